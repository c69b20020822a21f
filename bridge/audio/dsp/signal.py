"""Signals that are pulled: how effects read one another without ever holding a whole clip.

An effect is a `Signal` that renders its frames in order and reads its input through a `Tap`, which may reach back and
ahead. Nothing is ever late, therefore: an effect that needs the future asks for it, and the dry path reads the same
source at its own pace. What the frames are made of is left to the effects; which effects are chained is left to
`chain`.

Arrays in this package are `(channels, frames)` float32, because transforms and delay lines run along a contiguous
axis; only the file edge in `chain` turns them to soundfile's `(frames, channels)`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]
Floats = NDArray[np.float64]

BLOCK_FRAMES = 16_384
"""What a simple effect renders at once: small enough for a processor's cache, large enough to make numpy's calls
cheap."""


class Signal(ABC):
    """An endless stream of frames, zero before frame 0, kept only as far back as its slowest reader needs."""

    def __init__(self, channels: int, samplerate: int) -> None:
        self.channels = channels
        self.samplerate = samplerate
        self._cache: Frames = np.zeros((channels, 0), dtype=np.float32)
        self._cache_start = 0
        self._starts: list[int] = []

    @abstractmethod
    def render(self, start: int) -> Frames:
        """Give the next frames from `start` on, as many as suits the effect, shape `(channels, at least 1)`.

        Called in order: each call's `start` is where the last one ended, the first one's is 0.
        """

    def tap(self) -> Tap:
        """Give a new reader. All readers are made before the first read, since frames that nobody waits for are let
        go."""
        self._starts.append(0)
        return Tap(self, len(self._starts) - 1)

    def frames_between(self, start: int, stop: int, reader: int) -> Frames:
        """Render as far as `stop` and give the frames from `start` on, before which `reader` will not ask again."""
        self._starts[reader] = max(self._starts[reader], start)
        parts = [self._cache]
        end = self._cache_start + self._cache.shape[1]
        if end < stop:
            drop = min(max(0, min(self._starts) - self._cache_start), self._cache.shape[1])
            parts = [self._cache[:, drop:]]
            self._cache_start += drop
            while end < stop:
                parts.append(self.render(end))
                end += parts[-1].shape[1]
            self._cache = np.concatenate(parts, axis=1)
        inside = self._cache[:, max(start, 0) - self._cache_start : stop - self._cache_start] if stop > 0 else None
        if start >= 0 and inside is not None:
            return inside
        result = np.zeros((self.channels, stop - start), dtype=np.float32)
        if inside is not None:
            result[:, -start:] = inside
        return result


class Tap:
    """One reader of a signal; its reads may overlap, but never start before where an earlier one started."""

    def __init__(self, signal: Signal, number: int) -> None:
        self._signal, self._number = signal, number

    def read(self, start: int, stop: int) -> Frames:
        """Give frames `start` to `stop` (half open) as `(channels, stop - start)`; do not write into what is given."""
        return self._signal.frames_between(start, stop, self._number)


class Effect(Signal):
    """A signal made from one other signal with as many channels."""

    def __init__(self, source: Signal) -> None:
        super().__init__(source.channels, source.samplerate)
        self.source = source.tap()


class Mix(Signal):
    """Two signals side by side at fixed gains: the usual dry and wet."""

    def __init__(self, one: Signal, other: Signal, one_gain: float, other_gain: float) -> None:
        super().__init__(one.channels, one.samplerate)
        self._one, self._other = one.tap(), other.tap()
        self._one_gain, self._other_gain = np.float32(one_gain), np.float32(other_gain)

    def render(self, start: int) -> Frames:
        stop = start + BLOCK_FRAMES
        mixed: Frames = self._one.read(start, stop) * self._one_gain
        mixed += self._other.read(start, stop) * self._other_gain
        return mixed


def read_at(frames: Frames, positions: Floats) -> Frames:
    """Read between frames with a four-point cubic (Catmull and Rom's spline).

    `frames` is `(channels, n)`; `positions`, `(m,)`, are each at least 1 and below n - 2. Gives `(channels, m)`.
    """
    whole = np.floor(positions)
    index = whole.astype(np.intp)
    part = (positions - whole).astype(np.float32)
    half, two, more = np.float32(0.5), np.float32(2), np.float32(2.5)
    result = np.empty((frames.shape[0], len(positions)), dtype=np.float32)
    before, after, last = index - 1, index + 1, index + 2
    for channel, line in enumerate(frames):
        a, b, c, d = line[before], line[index], line[after], line[last]
        bend = half * (d - a) + np.float32(1.5) * (b - c)
        turn = a - more * b + two * c - half * d
        result[channel] = ((bend * part + turn) * part + half * (c - a)) * part + b
    return result


def read_near(frames: Frames, positions: Floats) -> Frames:
    """Read between frames along straight lines: half the cost of `read_at`, for copies that sound beside others.

    A little treble is lost. Shapes as for `read_at`, positions at least 0 and below n - 1.
    """
    index = positions.astype(np.intp)
    part = (positions - index).astype(np.float32)
    result = np.empty((frames.shape[0], len(positions)), dtype=np.float32)
    for channel, line in enumerate(frames):
        a = line[index]
        result[channel] = a + part * (line[index + 1] - a)
    return result


class Sine:
    """A sine of `rate_hz` that starts at `phase` (in turns), exact at any position.

    Within a block it is turned on from tables, which costs a tenth of computing it anew.
    """

    def __init__(self, rate_hz: float, phase: float, samplerate: int) -> None:
        self._turns_a_frame = rate_hz / samplerate
        self._phase = phase
        self._cos = self._sin = np.zeros(0, dtype=np.float32)

    def at(self, start: int, frames: int) -> Frames:
        """Give frames `start` to `start + frames`, `(frames,)`."""
        if len(self._sin) != frames:
            angles = np.arange(frames) * (2 * np.pi * self._turns_a_frame)
            self._cos, self._sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        angle = 2 * np.pi * ((start * self._turns_a_frame + self._phase) % 1.0)
        wave: Frames = self._cos * np.float32(np.sin(angle)) + self._sin * np.float32(np.cos(angle))
        return wave
