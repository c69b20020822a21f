"""Builders of space: rooms, springs, swells, echoes, width.

A builder draws what the seed leaves open from its own generator, in a fixed order. Which words they belong to is left
to `words`; the responses are made in `space`.
"""

from __future__ import annotations

import numpy as np

from bridge.audio.dsp import space
from bridge.audio.dsp.build_motion import shifted, wobble
from bridge.audio.dsp.filters import Convolution, Points
from bridge.audio.dsp.grit import Drive
from bridge.audio.dsp.level import Width
from bridge.audio.dsp.pitch_time import MovingDelay, Voice
from bridge.audio.dsp.setting import Range, Setting
from bridge.audio.dsp.signal import Mix, Signal


def reverb(
    source: Signal,
    s: Setting,
    *,
    seconds: Range,
    damping: float,
    wet: float,
    dry: float = 0.8,
    predelay_ms: Range = (0.0, 12.0),
    attack_ms: float = 0.0,
    early: float = 0.5,
    colour: Points = ((100.0, 0.0),),
) -> Signal:
    """A room around the clip. `wet` and `dry` are gains at amount 1."""
    long, pause = s.draw(seconds) * (0.6 + 0.4 * s.intensity), s.draw(predelay_ms) / 1000
    seed = int(s.rng.integers(2**32))
    response = s.once(
        lambda: space.room(
            np.random.default_rng(seed),
            s.channels,
            s.samplerate,
            seconds=long,
            damping=damping,
            predelay_seconds=pause,
            attack_seconds=attack_ms / 1000,
            early=early,
            colour=colour,
        )
    )
    return Mix(source, Convolution(source, response), 1 - (1 - dry) * min(1.0, s.amount), wet * s.amount)


def spring(source: Signal, s: Setting, *, seconds: Range, wet: float) -> Signal:
    """A spring tank beside the clip."""
    long, seed = s.draw(seconds), int(s.rng.integers(2**32))
    response = s.once(lambda: space.spring(np.random.default_rng(seed), s.channels, s.samplerate, seconds=long))
    return Mix(source, Convolution(source, response), 0.85, wet * s.amount)


def swell(source: Signal, s: Setting, *, seconds: Range, wet: float) -> Signal:
    """A room played backwards: every sound is led into."""
    long, seed = s.draw(seconds), int(s.rng.integers(2**32))
    response = s.once(
        lambda: space.room(
            np.random.default_rng(seed), s.channels, s.samplerate, seconds=long, damping=0.5, early=0.0,
            colour=((120, -9), (250, 0), (6_000, 0), (12_000, -8)),
        )[:, ::-1]
    )  # fmt: skip
    led = Convolution(source, np.ascontiguousarray(response), ahead_frames=response.shape[1] - 1)
    return Mix(source, led, max(0.0, 1 - 0.7 * s.amount), wet * s.amount)


def echo(
    source: Signal,
    s: Setting,
    *,
    beats: tuple[float, ...],
    feedback: Range,
    wet: float,
    colour: Points,
    ping_pong: bool = False,
    drift_cents: float = 0.0,
    push: float = 0.0,
) -> Signal:
    """Repeats in time with the beat, each duller than the last; with tape's drift and push where asked for."""
    delay = float(s.rng.choice(beats)) * s.beat_seconds * s.draw((0.985, 1.015))
    again = min(0.9, s.draw(feedback) * (0.75 + 0.25 * s.intensity))
    response = s.once(
        lambda: space.echoes(
            s.channels, s.samplerate, delay_seconds=delay, feedback=again, colour=colour, ping_pong=ping_pong
        )
    )
    repeats: Signal = Convolution(source, response)
    if drift_cents:
        repeats = wobble(repeats, s, wow_cents=(drift_cents * 0.5, drift_cents), flutter_cents=(1.0, 3.0))
    if push:
        repeats = Drive(repeats, curve="tube", gain=push, reference=s.reference)
    return Mix(source, repeats, 1 - 0.2 * min(1.0, s.amount), wet * s.amount)


def shimmer(
    source: Signal, s: Setting, *, seconds: Range, wet: float, semitones: tuple[float, ...] = (12.0,)
) -> Signal:
    """A long room fed with the clip an octave higher, beside the clip."""
    high = Mix(shifted(source, float(s.rng.choice(semitones))), source, 0.9, 0.45)
    long, seed = s.draw(seconds), int(s.rng.integers(2**32))
    response = s.once(
        lambda: space.room(
            np.random.default_rng(seed), s.channels, s.samplerate, seconds=long, damping=0.35, attack_seconds=0.12,
            early=0.0,
            colour=((120, -24), (350, -4), (900, 0), (9_000, 1), (15_000, -8)),
        )
    )  # fmt: skip
    return Mix(source, Convolution(high, response), max(0.3, 1 - 0.4 * s.amount), wet * s.amount)


def wide(source: Signal, s: Setting, *, sides: float, late_ms: Range) -> Signal:
    """More difference between the sides, and a short late copy that differs on each; one channel is doubled instead."""
    late = [s.draw(late_ms) / 1000 for _ in range(2)]
    rates = [s.draw((0.11, 0.31)) for _ in range(2)]
    voices = [
        Voice(late[k], ((rates[k], 0.0012, s.draw((0, 1))),), gain=(0.5, -0.42)[k], spread_turns=0.5) for k in range(2)
    ]
    doubled = Mix(source, MovingDelay(source, voices), 0.9, min(1.0, 0.75 * s.amount))
    return Width(doubled, 1 + (sides - 1) * s.amount)
