"""Level over time: gain curves, compression, stereo width, and the peak control at the end.

Gain curves are functions of position alone; what they look like is left to `effects`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bridge.audio.dsp.signal import BLOCK_FRAMES, Effect, Floats, Frames, Signal

GainCurve = Callable[[Floats], Floats]
"""Positions in frames, `(n,)` -> gains, `(n,)` or `(channels, n)`."""


class Gain(Effect):
    """Multiplies by a curve of position: tremolo, gate, pump, pan."""

    def __init__(self, source: Signal, curve: GainCurve) -> None:
        super().__init__(source)
        self._curve = curve

    def render(self, start: int) -> Frames:
        gains = self._curve(np.arange(start, start + BLOCK_FRAMES, dtype=np.float64))
        result: Frames = self.source.read(start, start + BLOCK_FRAMES) * gains.astype(np.float32)
        return result


class Width(Effect):
    """Scales the difference of left and right; one channel passes as it is."""

    def __init__(self, source: Signal, sides: float) -> None:
        super().__init__(source)
        self._sides = np.float32(sides)

    def render(self, start: int) -> Frames:
        frames = self.source.read(start, start + BLOCK_FRAMES)
        if self.channels != 2:
            return frames
        middle = (frames[0] + frames[1]) * np.float32(0.5)
        side = (frames[0] - frames[1]) * (np.float32(0.5) * self._sides)
        return np.stack((middle + side, middle - side))


class Squash(Effect):
    """A compressor on the level of all channels together, followed every 2 ms; it looks ahead by half its attack."""

    STEP_SECONDS = 0.002

    def __init__(
        self,
        source: Signal,
        *,
        threshold: float,
        ratio: float,
        attack_seconds: float,
        release_seconds: float,
        makeup: float,
    ) -> None:
        super().__init__(source)
        self._step = max(1, int(self.STEP_SECONDS * self.samplerate))
        self._threshold, self._slope = threshold, 1.0 - 1.0 / ratio
        self._attack = 1.0 - float(np.exp(-self._step / (attack_seconds * self.samplerate)))
        self._release = 1.0 - float(np.exp(-self._step / (release_seconds * self.samplerate)))
        self._ahead = int(attack_seconds * self.samplerate * 0.5)
        self._makeup = makeup
        self._followed = 0.0
        self._gain = 1.0

    def render(self, start: int) -> Frames:
        step = self._step
        count = max(1, BLOCK_FRAMES // step)
        frames = self.source.read(start, start + count * step + self._ahead)
        heard = np.abs(frames[:, self._ahead :]).max(axis=0).reshape(count, step).max(axis=1)
        if start == 0:
            # The clip begins as if it had been playing, or its first hit would pass before the follower has risen.
            self._followed = float(heard[: max(1, int(0.25 / self.STEP_SECONDS))].max())
            self._gain = (max(1.0, self._followed / self._threshold)) ** -self._slope
        gains = np.empty(count + 1)
        gains[0] = self._gain
        followed = self._followed
        for number, level in enumerate(heard.tolist()):
            followed += (level - followed) * (self._attack if level > followed else self._release)
            over = followed / self._threshold
            gains[number + 1] = over**-self._slope if over > 1 else 1.0
        self._followed, self._gain = followed, float(gains[-1])
        curve = np.interp(np.arange(count * step) / step, np.arange(count + 1), gains) * self._makeup
        result: Frames = frames[:, : count * step] * curve.astype(np.float32)
        return result


class Ceiling(Effect):
    """Keeps peaks at or under `ceiling` (linear) by turning down smoothly over some 6 ms to either side of them."""

    STEP_SECONDS = 0.001
    REACH_STEPS = 3

    def __init__(self, source: Signal, ceiling: float) -> None:
        super().__init__(source)
        self._ceiling = ceiling
        self._step = max(1, int(self.STEP_SECONDS * self.samplerate))

    def render(self, start: int) -> Frames:
        step, reach = self._step, self.REACH_STEPS
        count = max(1, BLOCK_FRAMES // step)
        edge = 2 * reach * step
        frames = self.source.read(start - edge, start + count * step + edge)
        here = frames[:, edge : edge + count * step]
        peaks = np.abs(frames).max(axis=0).reshape(count + 4 * reach, step).max(axis=1)
        if peaks.max() <= self._ceiling:
            return here
        # A step's gain is the mean of minima that all include both its neighbours, so the line drawn between the
        # middles of two steps is under what either of them needs.
        needed = np.minimum(1.0, self._ceiling / np.maximum(peaks, 1e-9)).astype(np.float64)
        lowest = np.lib.stride_tricks.sliding_window_view(needed, 2 * reach + 1).min(axis=1)
        smooth = np.lib.stride_tricks.sliding_window_view(lowest, 2 * reach - 1).mean(axis=1)
        middles = (np.arange(count + 2) - 0.5) * step
        gains = np.interp(np.arange(count * step), middles, smooth)
        result: Frames = here * gains.astype(np.float32)
        return result
