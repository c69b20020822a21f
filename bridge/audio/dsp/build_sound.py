"""Builders of effects on the sound itself: curves, sweeps, drive, crush, noise, compression.

A builder draws what the seed leaves open from its own generator, in a fixed order. Which words they belong to is left
to `words`; the arithmetic is in `filters`, `grit` and `level`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from bridge.audio.dsp.filters import Curve, Filter, Points, curve_kernel
from bridge.audio.dsp.grit import Crackle, Crush, Drive, Hiss
from bridge.audio.dsp.level import Gain, Squash
from bridge.audio.dsp.setting import Range, Setting
from bridge.audio.dsp.signal import Floats, Frames, Signal, Sine

_SHADE_HZ: Final = (70.0, 220.0, 700.0, 2_200.0, 5_500.0, 12_000.0)
_SHADE_DB: Final = 2.5
STILL_OCTAVES: Final = 0.15
"""A corner that drifts less than this is left where it is: nobody would hear it."""


def tone(source: Signal, s: Setting, *, curves: Sequence[Curve], move: float) -> Signal:
    """One or more curves at once, their corners drifting together by up to ± `move` / 2 octaves over some beats.

    Each seed has its own shade: where the corners settle, how far they go, and a few decibels here and there.
    """
    settle = 2.0 ** s.draw((-0.22, 0.22))
    reach = s.draw((0.85, 1.2))
    shade = tuple((hz, s.draw((-_SHADE_DB, _SHADE_DB))) for hz in _SHADE_HZ)
    curves = [(shade, s.amount), *((points, depth * reach) for points, depth in curves)]
    lfo = _lfo(s, float(s.rng.choice([3.0, 4.0, 6.0, 8.0])))
    if move < STILL_OCTAVES:
        return Filter(source, [curve_kernel(curves, s.samplerate, shift=settle)])
    ends = [curve_kernel(curves, s.samplerate, shift=settle * 2.0**side) for side in (-move / 2, move / 2)]

    def weights(start: int, frames: int) -> Frames:
        high_part = lfo.at(start, frames) * np.float32(0.5) + np.float32(0.5)
        return np.stack((1 - high_part, high_part))

    return Filter(source, ends, weights)


def _lfo(s: Setting, beats: float) -> Sine:
    return Sine(1.0 / max(beats * s.beat_seconds, 0.25), s.draw((0, 1)), s.samplerate)


_SWEEPS: Final[dict[str, Points]] = {
    "low": ((500, 0), (1_000, 5), (1_500, -12), (4_000, -48)),
    "high": ((250, -40), (700, -10), (1_000, 4), (1_600, 0)),
    "band": ((250, -36), (700, -10), (1_000, 6), (1_400, -10), (4_000, -36)),
    "notch": (
        (300, 0), (420, -30), (560, 2), (850, 2), (1_000, -36), (1_200, 2), (2_000, 2), (2_400, -36), (2_900, 2),
        (4_600, 1), (5_500, -30), (6_600, 0),
    ),
    "vowel": (
        (200, -8), (450, 6), (650, 9), (850, -4), (1_000, -2), (1_150, 8), (1_500, -12), (2_300, -10), (2_700, 3),
        (3_200, -10),
        (5_000, -26),
    ),
}  # fmt: skip


def sweep(source: Signal, s: Setting, *, shape: str, low_hz: float, high_hz: float, beats: Range) -> Signal:
    """A filter that wanders between two frequencies in time with the beat; five fixed kernels are blended on its
    way."""
    lfo = _lfo(s, float(2 ** round(np.log2(s.draw(beats)))))
    stops = 5
    shifts = np.geomspace(low_hz, min(high_hz, s.samplerate * 0.4), stops) / 1_000.0
    kernels = [curve_kernel([(_SWEEPS[shape], min(1.3, s.amount))], s.samplerate, shift=float(x)) for x in shifts]

    def weights(start: int, frames: int) -> Frames:
        place = (lfo.at(start, frames) * np.float32(0.5) + np.float32(0.5)) * (stops - 1)
        near: Frames = np.maximum(0, 1 - np.abs(place - np.arange(stops, dtype=np.float32)[:, np.newaxis]))
        return near

    return Filter(source, kernels, weights)


def drive(source: Signal, s: Setting, *, curve: str, gain: Range) -> Signal:
    """Push the clip into a bent line."""
    return Drive(source, curve=curve, gain=max(0.3, s.draw(gain) * s.amount), reference=s.reference)


def crush(source: Signal, s: Setting, *, bits: Range, rate_hz: Range) -> Signal:
    """Round to fewer bits and hold at a lower rate."""
    at = min(s.draw(rate_hz) * 2.0 ** ((1 - s.amount) * 1.5), s.samplerate * 0.6)
    depth = max(1.8, s.draw(bits) + (1 - s.amount) * 3)
    return Crush(source, bits=depth, hold_frames=s.samplerate / at, reference=s.reference)


def hiss(source: Signal, s: Setting, *, db: Range, dark: float = 0.5) -> Signal:
    """Steady noise, `db` against the clip's own level."""
    return Hiss(source, level=s.rms * 10 ** (s.draw(db) / 20) * s.amount, dark=dark, rng=s.rng)


def crackle(source: Signal, s: Setting, *, db: Range, per_second: Range) -> Signal:
    """Ticks and pops, `db` against the clip's reference level."""
    level = s.reference * 10 ** (s.draw(db) / 20) * s.amount
    return Crackle(source, level=level, per_second=s.draw(per_second) * s.intensity, rng=s.rng)


def ring(source: Signal, s: Setting, *, hz: Range, mix: float) -> Signal:
    """Multiply by a sine: sums and differences of every tone, as bells and robots have them."""
    carrier_hz, phase = min(s.draw(hz), s.samplerate * 0.3), s.draw((0, 1))
    wet = min(1.0, mix * s.amount)

    def curve(positions: Floats) -> Floats:
        return (1 - wet) + wet * 1.3 * np.sin(2 * np.pi * ((positions * (carrier_hz / s.samplerate) + phase) % 1.0))

    return Gain(source, curve)


def squash(source: Signal, s: Setting, *, ratio: float, attack_seconds: Range, release_seconds: Range) -> Signal:
    """Compress from well under the clip's own level."""
    threshold = max(1e-6, s.sounding_rms * s.draw((0.35, 0.7)))
    strength = 1 + (ratio - 1) * s.amount
    return Squash(
        source,
        threshold=threshold,
        ratio=strength,
        attack_seconds=s.draw(attack_seconds),
        release_seconds=s.draw(release_seconds),
        makeup=min(2.0, 2.2 ** (1 - 1 / strength)),
    )
