"""Filters: linear-phase curves that may move, and convolution with long responses.

Everything runs block by block in the frequency domain and is never late against its input. Which curve or response a
word stands for is left to `words` and `space`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.audio.dsp.signal import Effect, Frames, Signal

Spectrum = NDArray[np.complex64]
Points = Sequence[tuple[float, float]]
Curve = tuple[Points, float]
"""Points (Hz, dB) and how much of their decibels counts."""
Weights = Callable[[int, int], Frames]
"""(start, frames) -> `(kernels, frames)`: how much of each kernel sounds at each frame."""

_FULL_BAND_HZ = 16_000.0
"""Curves are drawn for sources that reach this far; for narrower ones their treble points slide down with the band."""
_TREBLE_HZ = 1_000.0


def spectrum(frames: Frames, size: int) -> Spectrum:
    """The half spectrum of `size` real frames along the last axis, divided by `size`.

    Scaled so, because numpy transforms in single precision only where there is a scale; unscaled it is 2.5 times
    slower.
    """
    return np.asarray(np.fft.rfft(frames, size, axis=-1, norm="forward"), dtype=np.complex64)


def response_spectrum(response: Frames, size: int) -> Spectrum:
    """The half spectrum of a response, zero-padded to `size` and scaled to undo the scale of `spectrum`."""
    return (np.fft.rfft(response, size, axis=-1) * size).astype(np.complex64)


def waveform(bins: Spectrum, size: int) -> Frames:
    """Back from a product of `spectrum` and `response_spectrum` to frames."""
    return np.asarray(np.fft.irfft(bins, size, axis=-1), dtype=np.float32)


def gains_db(points: Points, frequencies_hz: NDArray[np.floating[Any]], samplerate: int) -> NDArray[np.float64]:
    """Draw a curve through `points` (Hz, dB), straight over the logarithm of frequency, level beyond its ends."""
    squeeze = min(1.0, np.log2(max(samplerate / 2 / _TREBLE_HZ, 1.4)) / np.log2(_FULL_BAND_HZ / _TREBLE_HZ))
    octaves = [
        np.log2(hz) if hz <= _TREBLE_HZ else np.log2(_TREBLE_HZ) + np.log2(hz / _TREBLE_HZ) * squeeze
        for hz, _ in points
    ]
    return np.asarray(np.interp(np.log2(np.maximum(frequencies_hz, 1.0)), octaves, [db for _, db in points]))


def curve_kernel(curves: Sequence[Curve], samplerate: int, *, shift: float = 1.0) -> Frames:
    """Make one linear-phase kernel with the response of all `curves` together, centred on its middle frame.

    `shift` scales the frequencies. Shape `(taps,)`, taps odd: a twelfth of a second, which resolves about 40 Hz under
    the Hann window.
    """
    taps = max(63, samplerate // 12) | 1
    size = 1 << (2 * taps - 1).bit_length()
    frequencies_hz = np.fft.rfftfreq(size, 1 / samplerate)
    total_db = np.zeros(len(frequencies_hz))
    for points, depth in curves:
        total_db += gains_db([(hz * shift, db * depth) for hz, db in points], frequencies_hz, samplerate)
    response = np.fft.irfft(10.0 ** (np.clip(total_db, -90.0, 18.0) / 20.0), size)
    kernel = np.roll(response, taps // 2)[:taps] * np.hanning(taps + 2)[1:-1]
    return np.asarray(kernel, dtype=np.float32)


def low_pass_kernel(edge_hz: float, samplerate: int) -> Frames:
    """A plain linear-phase low pass, 6 dB down at `edge_hz` and 60 dB down a tenth of the band above it."""
    taps = 95
    kernel = np.sinc((np.arange(taps) - taps // 2) * (2 * edge_hz / samplerate)) * np.kaiser(taps, 5.6)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


class Filter(Effect):
    """One or more linear-phase kernels on the same input, blended as `weights` says from frame to frame."""

    def __init__(self, source: Signal, kernels: Sequence[Frames], weights: Weights | None = None) -> None:
        super().__init__(source)
        taps = max(len(kernel) for kernel in kernels)
        self._centre = taps // 2
        self._size = 16_384 if taps < 1_024 else 32_768
        while self._size < 4 * taps:
            self._size *= 2
        self._frames = self._size - taps + 1
        self._kernels = [response_spectrum(kernel, self._size) for kernel in kernels]
        self._weights = weights

    def render(self, start: int) -> Frames:
        bins = spectrum(self.source.read(start - self._centre, start + self._frames + self._centre), self._size)
        heard = slice(self._size - self._frames, self._size)
        if self._weights is None:
            return waveform(bins * self._kernels[0], self._size)[:, heard]
        weights = self._weights(start, self._frames)
        result = np.zeros((self.channels, self._frames), dtype=np.float32)
        for kernel, weight in zip(self._kernels, weights, strict=True):
            result += waveform(bins * kernel, self._size)[:, heard] * weight
        return result


class Convolution(Effect):
    """Convolution with a long response in equal partitions (uniformly partitioned overlap-save).

    `response` is `(channels, taps)`, or `(channels out, channels in, taps)` where the inputs cross over.
    `ahead_frames` shifts the result earlier: how a swell can lead into a sound.
    """

    PARTITION_FRAMES = 32_768

    def __init__(self, source: Signal, response: Frames, ahead_frames: int = 0) -> None:
        super().__init__(source)
        size = self.PARTITION_FRAMES
        self._ahead = ahead_frames
        count = -(-response.shape[-1] // size)
        padded = np.zeros((*response.shape[:-1], count * size), dtype=np.float32)
        padded[..., : response.shape[-1]] = response
        self._parts = [response_spectrum(padded[..., k * size : (k + 1) * size], 2 * size) for k in range(count)]
        self._recent: deque[Spectrum] = deque(maxlen=count)

    def _window(self, start: int) -> Spectrum:
        size = self.PARTITION_FRAMES
        return spectrum(self.source.read(start + self._ahead - size, start + self._ahead + size), 2 * size)

    def render(self, start: int) -> Frames:
        size = self.PARTITION_FRAMES
        if start == 0:
            for k in range(len(self._parts) - 1, 0, -1):
                self._recent.appendleft(self._window(-k * size))
        self._recent.appendleft(self._window(start))
        total = np.zeros((self.channels, size + 1), dtype=np.complex64)
        for part, bins in zip(self._parts, self._recent, strict=True):
            if part.ndim == 2:
                total += part * bins
            else:
                for column in range(part.shape[1]):
                    total += part[:, column] * bins[column]
        return waveform(total, 2 * size)[:, size:]
