"""The transform itself: reads the source once for its levels, chains the effects of the prompt, blends, and writes
the take.

Which words mean what is in `words`; which container and level a clip finally gets is left to `bridge.audio.conform`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from bridge.audio.dsp.effects import EFFECTS, build
from bridge.audio.dsp.files import FileSignal, Levels, scan, write_float_wav
from bridge.audio.dsp.level import Ceiling, Gain
from bridge.audio.dsp.prompt import Reading, read_prompt
from bridge.audio.dsp.setting import Setting
from bridge.audio.dsp.signal import Floats, Frames, Mix, Signal
from bridge.audio.dsp.word import Step
from bridge.errors import ClipError

CEILING = 0.98
"""No take's peak is above this, unless the source's own is."""
_PROBE_SECONDS = 4.0
_AFTER_BLEND = ("wobble",)
"""Effects that bend the time of the whole take: beside an unbent source they would only comb it. Strength is their
depth."""
_END_FADE_SECONDS = 0.005
_TINY_SECONDS = 0.1
_TINY_SHARE = 0.7
"""In a clip shorter than that, an effect may move all sound past its end; some of the source stays, so that none is
lost."""
_TRIM_LIMITS = (0.2, 4.0)


@dataclass(frozen=True)
class Transformed:
    """What came of a transform: the file's frames, rate and channels, and the words that were heard in the prompt.

    `drawn` is true where the prompt held no known word and the seed chose `words` instead.
    """

    frames: int
    samplerate: int
    channels: int
    words: list[str]
    drawn: bool = False


def transform(
    source_path: str, target_path: str, *, prompt: str, negative_prompt: str, strength: float, seed: int
) -> Transformed:
    """Transform the clip in `source_path` as the prompt says and write it to `target_path` as float WAV.

    Same frames, rate and channels as the source; nothing is late; tails end with the clip. `strength` is 0…1: 0 gives
    the source's own frames, 1 the effects alone. The same source, words, strength and seed give the same bytes.

    Raises `ClipError`: `source_not_found`, `source_unreadable`, `source_unsupported` (more than two channels),
    `disk_full` or `internal` (the target cannot be written), `bad_request` (strength outside 0…1). No part of a take
    remains after an error.
    """
    if not 0.0 <= strength <= 1.0:
        raise ClipError(
            "bad_request",
            f"A strength of {strength:g} was asked for, but it goes from 0 to 1.",
            hint="Give a strength from 0 to 1.",
        )
    levels = scan(source_path)
    reading = read_prompt(prompt, negative_prompt, seed)
    plan = _Plan(levels, reading, strength, seed)
    with FileSignal(source_path) as source:
        untouched = strength == 0.0 or levels.peak == 0.0
        result = source if untouched else plan.blended(source, plan.trim(source_path))
        write_float_wav(result, levels.frames, target_path)
    return Transformed(
        frames=levels.frames,
        samplerate=levels.samplerate,
        channels=levels.channels,
        words=[pick.word.name for pick in reading.picks],
        drawn=reading.drawn,
    )


def blend_share(strength: float) -> float:
    """How much of the effects is heard: rises with strength from 0 to 1, 0.02 at 0.02, 0.86 at 0.6."""
    return 1.0 - float((1.0 - strength**1.2) ** 2.5)


def effect_depth(strength: float) -> float:
    """How deep the effects themselves go, 0.4 … 1: a low strength is a gentler effect, not only a quieter one."""
    return 0.4 + 0.6 * strength


def beat_seconds(clip_seconds: float, tempo_bpm: float | None) -> float:
    """The beat that rhythmic effects follow.

    The prompt's tempo if it names one; else, for a clip of up to 64 s, the halving of its length that comes to 85…170
    BPM (right for every loop of 1, 2, 4, 8 … bars); else 120 BPM. Very short clips get a quarter of their length.
    """
    if tempo_bpm is not None and clip_seconds > 0.7:
        return 60.0 / tempo_bpm
    if clip_seconds > 64.0:
        return 0.5
    if clip_seconds < 0.71:
        return max(clip_seconds / 4, 0.002)
    beat = clip_seconds
    while beat >= 60.0 / 85.0:
        beat /= 2
    return beat


@dataclass(frozen=True)
class _Planned:
    """One step of a word, with the key its draws and its room go by."""

    key: str
    intensity: float
    step: Step


class _Plan:
    """The effects of one run in order, ready to be built over the clip or over an excerpt of it."""

    def __init__(self, levels: Levels, reading: Reading, strength: float, seed: int) -> None:
        self._levels = levels
        tiny = levels.frames < _TINY_SECONDS * levels.samplerate
        self._share = min(blend_share(strength), _TINY_SHARE) if tiny else blend_share(strength)
        self._depth = effect_depth(strength)
        self._seed = seed
        self._beat = beat_seconds(levels.frames / levels.samplerate, reading.tempo_bpm)
        planned = [
            _Planned(f"{pick.word.name}/{number}", pick.intensity, step)
            for pick in reading.picks
            for number, step in enumerate(pick.word.steps)
        ]
        planned.sort(key=lambda item: _place(item.step))
        self._groups = _grouped([item for item in planned if item.step.effect not in _AFTER_BLEND])
        self._after = [item for item in planned if item.step.effect in _AFTER_BLEND and not tiny]
        self._memo: dict[str, Frames] = {}

    def effects(self, source: Signal, frames: int) -> Signal:
        """Chain the effects over `source`, which is `frames` long."""
        signal = source
        for group in self._groups:
            first = group[0]
            params = first.step.params
            if first.step.effect == "tone":
                params = {
                    "curves": [(item.step.params["points"], self._depth * item.intensity) for item in group],
                    "move": max(item.step.params["move"] for item in group),
                }
            amount = self._depth * first.intensity
            signal = build(first.step.effect, signal, self._setting(first, frames, amount), params)
        return signal

    def _setting(self, item: _Planned, frames: int, amount: float) -> Setting:
        drawn_by = int.from_bytes(hashlib.sha256(item.key.encode()).digest()[:4], "big")
        return Setting(
            samplerate=self._levels.samplerate,
            channels=self._levels.channels,
            frames=frames,
            peak=self._levels.peak,
            rms=self._levels.rms,
            sounding_rms=self._levels.sounding_rms,
            beat_seconds=self._beat,
            amount=amount,
            intensity=item.intensity,
            rng=np.random.default_rng((self._seed, drawn_by)),
            memo_key=item.key,
            memo=self._memo,
        )

    def trim(self, source_path: str) -> float:
        """The gain that makes the effects as loud as the source, from the clip's loudest few seconds."""
        frames = min(self._levels.frames, int(_PROBE_SECONDS * self._levels.samplerate))
        first = max(0, min(self._levels.loudest_frame, self._levels.frames - frames))
        with FileSignal(source_path, first, frames) as source:
            before, after = source.tap(), self.effects(source, frames).tap()
            changed = _heard_energy(after.read(0, frames), self._levels.samplerate)
            original = _heard_energy(before.read(0, frames), self._levels.samplerate)
        if changed <= 1e-14 or original <= 1e-14:
            return 1.0
        return float(np.clip(np.sqrt(original / changed), *_TRIM_LIMITS))

    def blended(self, source: Signal, trim: float) -> Signal:
        """Source and effects at this run's strength, with peaks in check."""
        wet = Ceiling(self.effects(source, self._levels.frames), 4 * max(self._levels.peak, CEILING))
        wet_to_end = Gain(wet, self._end_fade)
        mixed: Signal = Mix(source, wet_to_end, 1.0 - self._share, self._share * trim) if self._groups else source
        for item in self._after:
            amount = self._share**2 * item.intensity
            mixed = build(item.step.effect, mixed, self._setting(item, self._levels.frames, amount), item.step.params)
        return Ceiling(mixed, max(CEILING, self._levels.peak))

    def _end_fade(self, positions: Floats) -> Floats:
        """Tails end with the clip: their last milliseconds fade, so that a clip which ends in silence does not end in
        a click."""
        fade_frames = min(_END_FADE_SECONDS * self._levels.samplerate, self._levels.frames / 20)
        return np.clip((self._levels.frames - positions) / max(1.0, fade_frames), 0.0, 1.0)


def _grouped(planned: list[_Planned]) -> list[list[_Planned]]:
    """Tone curves that stand at one place become one filter; every other step stays by itself."""
    groups: list[list[_Planned]] = []
    for item in planned:
        before = groups[-1][-1].step if groups else None
        if before is not None and before.effect == item.step.effect == "tone" and _place(before) == _place(item.step):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def _place(step: Step) -> int:
    return EFFECTS[step.effect][0] if step.place is None else step.place


def _heard_energy(frames: Frames, samplerate: int) -> float:
    """The energy of frames as the ear weighs it, roughly: less below 100 Hz, some 4 dB more above 2 kHz.

    A sketch of the weighting of ITU-R BS.1770-4, close enough to balance wet against dry; takes are measured properly
    later.
    """
    power = np.square(np.abs(np.fft.rfft(frames, axis=-1))).sum(axis=0)
    frequencies_hz = np.fft.rfftfreq(frames.shape[1], 1 / samplerate)
    low = frequencies_hz**4 / (frequencies_hz**2 + 60.0**2) ** 2
    high = 1 + 1.5 * frequencies_hz**2 / (frequencies_hz**2 + 1_800.0**2)
    return float((power * low * high).sum() / max(1, frames.shape[1]) ** 2)
