"""Builders of effects that move: pitch, time, and level in time with the beat.

A builder draws what the seed leaves open from its own generator, in a fixed order. Which words they belong to is left
to `words`; the arithmetic is in `pitch_time`, `patterns` and `level`.
"""

from __future__ import annotations

import numpy as np

from bridge.audio.dsp import patterns
from bridge.audio.dsp.filters import Filter, low_pass_kernel
from bridge.audio.dsp.level import Gain
from bridge.audio.dsp.pitch_time import Grains, MovingDelay, Slices, Voice
from bridge.audio.dsp.setting import Range, Setting
from bridge.audio.dsp.signal import Floats, Mix, Signal


def wobble(
    source: Signal, s: Setting, *, wow_cents: Range, flutter_cents: Range, wow_hz: Range = (0.45, 0.9)
) -> Signal:
    """The unsteady speed of a tape or a record. A sine of depth d seconds at f Hz bends the pitch by 2 pi f d."""
    sines = []
    for cents, rate_hz in (
        (s.draw(wow_cents), s.draw(wow_hz)),
        (s.draw(wow_cents) * 0.5, s.draw(wow_hz) * 2.3),
        (s.draw(flutter_cents), s.draw((5.5, 9.5))),
    ):
        bend = 2.0 ** (cents * s.amount / 1200.0) - 1.0
        sines.append((rate_hz, bend / (2 * np.pi * rate_hz), s.draw((0, 1))))
    return MovingDelay(source, [Voice(0.0, tuple(sines))])


def chorus(
    source: Signal, s: Setting, *, voices: int, delay_ms: Range, depth_ms: Range, rate_hz: Range, wet: float
) -> Signal:
    """Several slightly late, slightly detuned copies, apart on the two sides."""
    made = [
        Voice(
            s.draw(delay_ms) / 1000,
            ((s.draw(rate_hz), s.draw(depth_ms) / 1000 * min(1.5, s.amount), s.draw((0, 1))),),
            gain=1 / np.sqrt(voices),
            spread_turns=s.draw((0.2, 0.45)),
        )
        for _ in range(voices)
    ]
    share = min(1.2, wet * s.amount)
    return Mix(source, MovingDelay(source, made), 1 - 0.35 * share, share)


def flanger(source: Signal, s: Setting, *, delay_ms: Range, rate_hz: Range, feedback: float) -> Signal:
    """A comb that moves; its feedback is written out as later and later copies."""
    delay, rate, phase, spread = s.draw(delay_ms) / 1000, s.draw(rate_hz), s.draw((0, 1)), s.draw((0.05, 0.2))
    again = min(0.85, feedback * s.amount)
    voices = [
        Voice(delay * k, ((rate, delay * 0.8 * k, phase),), gain=again ** (k - 1), spread_turns=spread)
        for k in range(1, 5)
    ]
    return Mix(source, MovingDelay(source, voices), 0.75, 0.75)


def shifted(source: Signal, semitones: float, grain: float = 1.0) -> Signal:
    """The clip at another pitch and its own speed; long grains for lower, short ones for higher, times `grain`."""
    ratio = 2.0 ** (semitones / 12)
    if ratio > 1.03:
        source = Filter(source, [low_pass_kernel(0.45 * source.samplerate / ratio, source.samplerate)])
    grain_seconds = 0.080 if ratio < 0.8 else 0.064 if ratio < 1.3 else 0.052
    return Grains(
        source, ratio=ratio, grain_seconds=grain_seconds * grain, search_seconds=0.018 if ratio < 1 else 0.012
    )


def pitch(
    source: Signal, s: Setting, *, semitones: tuple[float, ...], keep: float = 0.0, exact: bool = False
) -> Signal:
    """Shift by one of `semitones`; `keep` is how much of the original stays beside it."""
    chosen = float(s.rng.choice(semitones))
    if not exact:
        chosen = float(np.sign(chosen) * max(1, round(abs(chosen) * s.intensity)))
    moved = shifted(source, chosen, s.draw((0.82, 1.25)))
    return Mix(source, moved, keep, 1.0) if keep else moved


def cloud(
    source: Signal, s: Setting, *, grain_seconds: Range, scatter_seconds: Range, semitones: tuple[float, ...]
) -> Signal:
    """Two layers of grains from around now, one of them at another pitch."""
    layers = []
    for step in (0.0, float(s.rng.choice(semitones))):
        grain, scatter = s.draw(grain_seconds), s.draw(scatter_seconds) * min(1.5, s.amount)
        seed = int(s.rng.integers(2**32))
        layers.append(
            Grains(
                source,
                ratio=2.0 ** (step / 12),
                grain_seconds=grain,
                scatter_seconds=scatter,
                rng=np.random.default_rng(seed),
            )
        )
    return Mix(layers[0], layers[1], 0.85, 0.7)


def slices(source: Signal, s: Setting, *, pattern: str, beats: tuple[float, ...]) -> Signal:
    """Re-cut the clip in phrases of one of `beats`."""
    phrase = min(float(s.rng.choice(beats)) * s.beat_frames, float(max(s.frames, 64)))
    seed = int(s.rng.integers(2**32))
    made = patterns.PATTERNS[pattern](seed, min(2.0, s.intensity))
    return Slices(source, phrase_frames=phrase, clip_frames=s.frames, pattern=made)


def swing(source: Signal, s: Setting, *, share: Range) -> Signal:
    """Every second eighth comes late: the first of each pair is stretched to `share` of the beat, the second
    hurries."""
    beat = s.beat_frames
    late = min(0.72, 0.5 + (s.draw(share) - 0.5) * s.intensity)

    def time_map(frame: float) -> float:
        number, place = divmod(frame / beat, 1.0)
        moved = place * 0.5 / late if place < late else 0.5 + (place - late) * 0.5 / (1 - late)
        return (number + moved) * beat

    return Grains(source, ratio=1.0, grain_seconds=0.036, search_seconds=0.008, time_map=time_map)


def tremolo(source: Signal, s: Setting, *, beats: tuple[float, ...], depth: float, square: float = 0.0) -> Signal:
    """Level up and down in time; `square` 0…1 hardens its edges."""
    frames = float(s.rng.choice(beats)) * s.beat_frames
    phase, deep = s.draw((0, 1)), min(1.0, depth * s.amount)

    def curve(positions: Floats) -> Floats:
        wave = np.sin(2 * np.pi * ((positions / frames + phase) % 1.0))
        wave = np.tanh(wave * (1 + 7 * square)) / np.tanh(1 + 7 * square)
        return np.asarray(1 - deep * (0.5 + 0.5 * wave))

    return Gain(source, curve)


def pan(source: Signal, s: Setting, *, beats: tuple[float, ...], depth: float) -> Signal:
    """From side to side in time; one channel gets a soft tremolo instead."""
    frames = float(s.rng.choice(beats)) * s.beat_frames
    phase, deep = s.draw((0, 1)), min(1.0, depth * s.amount)

    def curve(positions: Floats) -> Floats:
        wave = deep * np.sin(2 * np.pi * ((positions / frames + phase) % 1.0))
        if s.channels == 1:
            return 1 - 0.35 * (deep + wave)
        return np.stack((np.sqrt((1 - wave) / 1.0), np.sqrt((1 + wave) / 1.0)))

    return Gain(source, curve)


def gate(source: Signal, s: Setting, *, steps_a_beat: tuple[float, ...], density: Range) -> Signal:
    """A rhythm of open and shut steps, sixteen of them, drawn by the seed; the first is always open."""
    step = s.beat_frames / float(s.rng.choice(steps_a_beat))
    open_share = s.draw(density)
    steps = (s.rng.random(16) < open_share).astype(np.float64)
    steps[0] = 1.0
    steps[int(s.rng.integers(1, 4))] = 0.0
    floor = max(0.0, 1 - s.amount)
    edge = min(0.45, 0.004 * s.samplerate / step)

    def curve(positions: Floats) -> Floats:
        place = positions / step
        number = np.floor(place).astype(np.int64)
        inside = place - number
        here, before = steps[number % 16], np.where(number > 0, steps[(number - 1) % 16], steps[0])
        held = before + (here - before) * np.clip(inside / edge, 0, 1)
        held *= np.where(here > 0, 1 - np.clip((inside - 0.82) / 0.18, 0, 1) * (1 - steps[(number + 1) % 16]), 1)
        return floor + (1 - floor) * held

    return Gain(source, curve)


def pump(source: Signal, s: Setting, *, depth: float, recover_beats: Range) -> Signal:
    """Duck on every beat and breathe back, as a compressor keyed by the kick does."""
    beat, recover, bend = s.beat_frames, s.draw(recover_beats), s.draw((1.4, 2.4))
    deep = min(0.97, depth * s.amount)
    dip = min(0.2, 0.006 * s.samplerate / beat)

    def curve(positions: Floats) -> Floats:
        place = (positions / beat) % 1.0
        back = np.clip((place - dip) / recover, 0, 1) ** bend
        fall = np.clip(place / dip, 0, 1)
        end = 1 - deep + deep * min(1.0, ((1 - dip) / recover)) ** bend
        return np.where(place < dip, end + (1 - deep - end) * fall, 1 - deep + deep * back)

    return Gain(source, curve)
