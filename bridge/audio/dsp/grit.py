"""Grit: saturation without aliasing, reduced bits and rates, hiss and crackle.

Levels are relative to the clip's own (`Level` in `chain`), so a quiet recording is driven as hard as a loud one and
silence stays silence. How hard is left to `effects`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bridge.audio.dsp.signal import BLOCK_FRAMES, Effect, Frames, Signal

_HALF_BAND_TAPS = 31
"""Odd-phase taps of the half-band pair that doubles and halves the rate: flat to 0.37 of the rate, 60 dB down above
0.63."""


def _half_band() -> Frames:
    """The interpolating half of a windowed-sinc half-band filter: values midway between frames, `(taps + 1,)`."""
    count = _HALF_BAND_TAPS + 1
    offset = np.arange(count) - count / 2 + 0.5
    kernel = np.sinc(offset) * np.kaiser(count, 7.0)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def soft(x: Frames) -> Frames:
    """Even, rounded saturation."""
    return np.tanh(x)


def tube(x: Frames) -> Frames:
    """One side gives way earlier than the other: even harmonics, as a valve stage makes them."""
    bias = np.float32(0.35)
    return np.asarray(np.tanh(x + bias) - np.tanh(bias), dtype=np.float32)


def hard(x: Frames) -> Frames:
    """A straight line with short corners, as an overloaded converter or transistor stage."""
    return np.asarray(x / (1 + np.abs(x) ** 5) ** np.float32(0.2), dtype=np.float32)


def fuzz(x: Frames) -> Frames:
    """Nearly a square wave with an octave in it."""
    return np.tanh(x + np.float32(0.45) * np.abs(x)) - np.float32(0.12)


def fold(x: Frames) -> Frames:
    """Peaks fold back on themselves: metallic overtones that move with the level."""
    return np.asarray(np.sin(x * np.float32(np.pi / 2)), dtype=np.float32)


CURVES: dict[str, Callable[[Frames], Frames]] = {"soft": soft, "tube": tube, "hard": hard, "fuzz": fuzz, "fold": fold}


class Drive(Effect):
    """A bent line at twice the rate. `gain` is how far the clip's reference level is pushed into the bend.

    `reference` is the level (linear) that lands at 1 before the gain; the result is scaled back so that the reference
    keeps it.
    """

    def __init__(self, source: Signal, *, curve: str, gain: float, reference: float) -> None:
        super().__init__(source)
        self._curve = CURVES[curve]
        self._in = np.float32(gain / reference)
        rest = self._curve(np.zeros(1, dtype=np.float32))[0]
        probe = np.sin(np.linspace(0, 2 * np.pi, 512, endpoint=False)).astype(np.float32)
        loudness = float(np.sqrt(np.mean(np.square(self._curve(probe * np.float32(gain)) - rest))))
        self._rest = rest
        self._out = np.float32(reference * np.sqrt(0.5) / max(loudness, 1e-6))
        self._kernel = _half_band()

    def render(self, start: int) -> Frames:
        reach = len(self._kernel)
        frames = self.source.read(start - reach, start + BLOCK_FRAMES + reach) * self._in
        half = reach // 2
        result = np.empty((self.channels, BLOCK_FRAMES), dtype=np.float32)
        for channel in range(self.channels):
            line = frames[channel]
            between = np.convolve(line, self._kernel, "valid")
            on = self._curve(line) - self._rest
            off = self._curve(between.astype(np.float32)) - self._rest
            back = np.convolve(off, self._kernel, "valid")
            first = reach - (2 * half - 1)
            mixed = on[reach : reach + BLOCK_FRAMES] + back[first : first + BLOCK_FRAMES]
            result[channel] = mixed * np.float32(0.5)
        result *= self._out
        return result


class Crush(Effect):
    """Fewer bits and a lower rate: each frame is rounded, and held for `hold_frames` (may be fractional) around
    itself."""

    def __init__(self, source: Signal, *, bits: float, hold_frames: float, reference: float) -> None:
        super().__init__(source)
        self._hold = max(1.0, hold_frames)
        self._step = np.float32(2.0 ** (1.0 - bits) * reference)

    def render(self, start: int) -> Frames:
        reach = int(np.ceil(self._hold)) + 1
        frames = self.source.read(start - reach, start + BLOCK_FRAMES + reach)
        here = np.arange(start, start + BLOCK_FRAMES, dtype=np.float64)
        held = np.floor((np.floor(here / self._hold) + 0.5) * self._hold).astype(np.int64) - start + reach
        result: Frames = np.round(frames[:, held] / self._step) * self._step
        return result


class Hiss(Effect):
    """Adds steady noise at `level` (linear RMS); `dark` 0…1 takes its treble away."""

    def __init__(self, source: Signal, *, level: float, dark: float, rng: np.random.Generator) -> None:
        super().__init__(source)
        self._level, self._dark, self._rng = np.float32(level), np.float32(dark), rng
        self._last: Frames = np.zeros((self.channels, 1), dtype=np.float32)

    def render(self, start: int) -> Frames:
        noise: Frames = self._rng.standard_normal((BLOCK_FRAMES, self.channels), dtype=np.float32).T
        longer = np.concatenate((self._last, noise), axis=1)
        self._last = longer[:, -1:]
        shaped = longer[:, 1:] + self._dark * longer[:, :-1]
        hissing: Frames = np.asarray(shaped * self._level, dtype=np.float32)
        hissing += self.source.read(start, start + BLOCK_FRAMES)
        return hissing


class Crackle(Effect):
    """Adds the ticks and pops of a worn record: rare, uneven, each a short ringing click at about `level` (linear
    peak)."""

    RING_SECONDS = 0.006

    def __init__(self, source: Signal, *, level: float, per_second: float, rng: np.random.Generator) -> None:
        super().__init__(source)
        self._level, self._rng = level, rng
        self._per_block = per_second * BLOCK_FRAMES / self.samplerate
        self._ring = max(4, int(self.RING_SECONDS * self.samplerate))
        self._carry = np.zeros((self.channels, self._ring), dtype=np.float32)

    def render(self, start: int) -> Frames:
        result = np.zeros((self.channels, BLOCK_FRAMES + self._ring), dtype=np.float32)
        result[:, : self._ring] += self._carry
        time = np.arange(self._ring, dtype=np.float32) / self.samplerate
        for _ in range(int(self._rng.poisson(self._per_block))):
            at = int(self._rng.integers(BLOCK_FRAMES))
            size = self._level * min(4.0, float(self._rng.lognormal(-0.9, 0.8))) * float(self._rng.choice([-1.0, 1.0]))
            tone_hz = min(float(self._rng.uniform(900, 5_200)), self.samplerate * 0.4)
            decay_seconds = float(self._rng.uniform(0.0002, 0.0014))
            click = size * np.exp(-time / decay_seconds) * np.cos(2 * np.pi * tone_hz * time)
            sides = self._rng.uniform(0.35, 1.0, size=self.channels)
            result[:, at : at + self._ring] += (sides[:, np.newaxis] * click).astype(np.float32)
        self._carry = result[:, BLOCK_FRAMES:]
        return result[:, :BLOCK_FRAMES] + self.source.read(start, start + BLOCK_FRAMES)
