"""Measures loudness, true peak and RMS of a stream of blocks, by ITU-R BS.1770-4.

Programme loudness is measured with both gates; what to do about a difference is left to `conform.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from bridge.audio.blocks import Block, go_to, opened, read_blocks
from bridge.audio.container import shown

# BS.1770-4, Annex 1: gating blocks of 400 ms that overlap by three quarters, so steps of 100 ms; both gates.
MIN_LUFS_SECONDS: Final = 0.4
_STEPS_A_SECOND: Final = 10
_STEPS_A_GATING_BLOCK: Final = 4
_OFFSET_LUFS: Final = -0.691
_ABSOLUTE_GATE_LUFS: Final = -70.0
_RELATIVE_GATE_LU: Final = -10.0

# The two stages of the K weighting as analogue prototypes, from which the standard's 48 kHz coefficients follow by
# the bilinear transform; so other rates get the same curve (B. De Man, "Evaluation of implementations of the EBU R128
# loudness measurement", AES 145, 2018).
_SHELF_HZ, _SHELF_DB, _SHELF_Q, _SHELF_EXPONENT = (
    1681.974450955533,
    3.999843853973347,
    0.7071752369554196,
    0.4996667741545416,
)
_HIGHPASS_HZ, _HIGHPASS_Q = 38.13547087602444, 0.5003270373238773
# The high pass decays with 4.2 ms; after 100 ms it is 190 dB down.
_RESPONSE_SECONDS: Final = 0.1

# True peak: BS.1770-4 Annex 2 asks for at least 192 kHz; we take twice that, since the four-times filter printed
# there may read 0.4 dB low. A Kaiser-windowed sinc of 32 taps a phase is flat within 0.02 dB up to 0.43 of the rate.
_PEAK_RATE: Final = 384_000
_MAX_OVERSAMPLING: Final = 8
_TAPS: Final = 32
_KAISER_BETA: Final = 6.0
_SEGMENT_FRAMES: Final = 32


@dataclass(frozen=True)
class Loudness:
    """Integrated loudness (None below 0.4 s and in silence), true peak and RMS over all channels (None in silence)."""

    lufs: float | None
    true_peak_dbtp: float | None
    rms_dbfs: float | None

    def turned(self, gain_db: float, lufs: float | None) -> Loudness:
        """The same programme after `gain_db`; its loudness is given, since the gates do not turn with it."""
        return replace(
            self,
            lufs=lufs,
            true_peak_dbtp=None if self.true_peak_dbtp is None else self.true_peak_dbtp + gain_db,
            rms_dbfs=None if self.rms_dbfs is None else self.rms_dbfs + gain_db,
        )


def measure(path: str, start_frame: int = 0, frames: int | None = None) -> Loudness:
    """Loudness of `frames` frames from `start_frame` on, or to the end, of the file at `path`. Raises `ClipError`
    `source_unreadable`.
    """
    with opened(path, "source_unreadable", f"Export {shown(path)} again.") as file:
        go_to(file, start_frame)
        meter = Meter(file.samplerate, file.channels)
        for block in read_blocks(file, frames, "float32"):
            meter.add(block)
        return meter.finish()


class Meter:
    """Takes blocks one after the other; keeps only the energy of each 100 ms, so it may run for hours."""

    def __init__(self, samplerate: int, channels: int) -> None:
        self._samplerate, self._channels = samplerate, channels
        self._weighting = _KWeighting(samplerate, channels)
        self._peak = _TruePeak(samplerate, channels)
        self._squares, self._frames = 0.0, 0
        self._steps: list[float] = []  # the weighted energy of each whole 100 ms
        self._open_step, self._weighted_frames = 0.0, 0

    def add(self, block: Block) -> None:
        """Takes a float block of shape (frames, channels), full scale 1.0."""
        self._frames += len(block)
        lanes = np.ascontiguousarray(block.T)
        for lane in lanes:
            self._squares += float(np.dot(lane, lane)) if lane.dtype == np.float64 else _energy(lane)
        self._peak.add(lanes)
        for weighted in self._weighting.add(lanes.astype(np.float32, copy=False)):
            self._gather(weighted)

    def finish(self) -> Loudness:
        """What was heard so far; may be called more than once, but nothing may be added after it."""
        for weighted in self._weighting.finish():
            self._gather(weighted)
        peak = self._peak.finish()
        count = self._frames * self._channels
        return Loudness(
            lufs=self.lufs_after(0.0),
            true_peak_dbtp=20 * math.log10(peak) if peak > 0 else None,
            rms_dbfs=10 * math.log10(self._squares / count) if self._squares > 0 else None,
        )

    def lufs_after(self, gain_db: float) -> float | None:
        """The integrated loudness that the finished programme would have if it were turned up by `gain_db`."""
        if len(self._steps) < _STEPS_A_GATING_BLOCK:
            return None
        bounds = np.arange(len(self._steps) + 1) * self._samplerate // _STEPS_A_SECOND
        sums = np.concatenate(([0.0], np.cumsum(self._steps)))
        energy = sums[_STEPS_A_GATING_BLOCK:] - sums[:-_STEPS_A_GATING_BLOCK]
        length = bounds[_STEPS_A_GATING_BLOCK:] - bounds[:-_STEPS_A_GATING_BLOCK]
        means = np.maximum(energy, 0.0) / length * 10 ** (gain_db / 10)
        loud = means[means > _mean_square(_ABSOLUTE_GATE_LUFS)]
        if not len(loud):
            return None
        gate = _lufs(float(loud.mean())) + _RELATIVE_GATE_LU
        return _lufs(float(loud[loud > _mean_square(gate)].mean()))

    def _gather(self, weighted: npt.NDArray[np.float32]) -> None:
        """Adds weighted frames, shape (channels, frames), to the energies of the 100 ms steps they fall into."""
        squares = np.einsum("cf,cf->f", weighted, weighted, dtype=np.float64)
        start, end = self._weighted_frames, self._weighted_frames + len(squares)
        self._weighted_frames = end
        step = len(self._steps)
        at = start
        while (step_end := (step + 1) * self._samplerate // _STEPS_A_SECOND) <= end:
            self._steps.append(self._open_step + float(squares[at - start : step_end - start].sum()))
            self._open_step, at, step = 0.0, step_end, step + 1
        self._open_step += float(squares[at - start :].sum())


def _energy(lane: npt.NDArray[np.float32]) -> float:
    return float(np.einsum("f,f->", lane, lane, dtype=np.float64))


def _lufs(mean_square: float) -> float:
    return _OFFSET_LUFS + 10 * math.log10(mean_square)


def _mean_square(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LUFS) / 10))


class _KWeighting:
    """The K weighting as one convolution, done block by block in the frequency domain (overlap-save)."""

    def __init__(self, samplerate: int, channels: int) -> None:
        self._overlap = math.ceil(_RESPONSE_SECONDS * samplerate)
        self._size = 1 << (6 * self._overlap).bit_length()
        self._step = self._size - self._overlap
        response = np.fft.irfft(_k_response(samplerate, 2 * self._size))[: self._overlap + 1]
        self._spectrum = np.fft.rfft(response, self._size).astype(np.complex64)
        self._window = np.zeros((channels, self._size), np.float32)
        self._filled = self._overlap  # the stretch before the first frame is silence

    def add(self, lanes: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        """The weighted frames that are ready, each of shape (channels, frames)."""
        ready, at = [], 0
        while at < lanes.shape[1]:
            count = min(self._size - self._filled, lanes.shape[1] - at)
            self._window[:, self._filled : self._filled + count] = lanes[:, at : at + count]
            self._filled, at = self._filled + count, at + count
            if self._filled == self._size:
                ready.append(self._weighted(self._size))
                self._window[:, : self._overlap] = self._window[:, self._step :].copy()
                self._filled = self._overlap
        return ready

    def finish(self) -> list[npt.NDArray[np.float32]]:
        """The frames that were still waiting."""
        if self._filled == self._overlap:
            return []
        self._window[:, self._filled :] = 0.0
        rest = self._weighted(self._filled)
        self._filled = self._overlap
        return [rest]

    def _weighted(self, end: int) -> npt.NDArray[np.float32]:
        spectrum = np.fft.rfft(self._window, axis=1) * self._spectrum
        weighted: npt.NDArray[np.float32] = np.fft.irfft(spectrum, self._size, axis=1)[:, self._overlap : end].astype(
            np.float32, copy=False
        )
        return weighted


def _k_response(samplerate: int, size: int) -> npt.NDArray[np.complex128]:
    """The K weighting's frequency response at the bins of a real transform of `size` points."""
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    tangent = math.tan(math.pi * _SHELF_HZ / samplerate)
    high = 10 ** (_SHELF_DB / 20)
    band = high**_SHELF_EXPONENT
    shelf = _biquad(
        z,
        (
            high + band * tangent / _SHELF_Q + tangent**2,
            2 * (tangent**2 - high),
            high - band * tangent / _SHELF_Q + tangent**2,
        ),
        (1 + tangent / _SHELF_Q + tangent**2, 2 * (tangent**2 - 1), 1 - tangent / _SHELF_Q + tangent**2),
    )
    tangent = math.tan(math.pi * _HIGHPASS_HZ / samplerate)
    first = 1 + tangent / _HIGHPASS_Q + tangent**2
    highpass = _biquad(
        z, (1.0, -2.0, 1.0), (1.0, 2 * (tangent**2 - 1) / first, (1 - tangent / _HIGHPASS_Q + tangent**2) / first)
    )
    return shelf * highpass


def _biquad(
    z: npt.NDArray[np.complex128], b: tuple[float, float, float], a: tuple[float, float, float]
) -> npt.NDArray[np.complex128]:
    return (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)


class _TruePeak:
    """The largest value between the samples, by oversampling; stretches that cannot reach the present maximum are
    skipped.
    """

    def __init__(self, samplerate: int, channels: int) -> None:
        factor = min(_MAX_OVERSAMPLING, max(1, math.ceil(_PEAK_RATE / samplerate)))
        self._matrix = _oversampling_matrix(factor)
        # no interpolated value exceeds its neighbours' largest by more than the taps' absolute sum
        self._bound = float(np.abs(self._matrix).sum(axis=0).max()) if factor > 1 else 1.0
        self._factor, self._peak = factor, 0.0
        self._rest: Block = np.zeros(
            (channels, _TAPS - 1), np.float32
        )  # half of it is the silence before the first frame

    def add(self, lanes: Block) -> None:
        """Takes lanes of shape (channels, frames)."""
        if not lanes.size:
            return
        self._peak = max(self._peak, float(np.abs(lanes).max()))
        if self._factor == 1:
            return
        line = np.concatenate((self._rest, lanes.astype(np.float32, copy=False)), axis=1)
        segments = (line.shape[1] - _TAPS + 1) // _SEGMENT_FRAMES
        used = segments * _SEGMENT_FRAMES
        if segments:
            for lane in line:
                self._look(lane[: used + _TAPS - 1], segments)
        self._rest = line[:, used:]

    def finish(self) -> float:
        """The true peak, linear."""
        if self._factor > 1 and self._rest.shape[1]:
            rest, self._rest = self._rest, self._rest[:, :0]
            missing = -(rest.shape[1]) % _SEGMENT_FRAMES
            line = np.pad(rest, ((0, 0), (0, missing + _TAPS - 1)))
            for lane in line:
                self._look(lane, (lane.shape[0] - _TAPS + 1) // _SEGMENT_FRAMES)
        return self._peak

    def _look(self, lane: npt.NDArray[np.float32], segments: int) -> None:
        width = _SEGMENT_FRAMES + _TAPS - 1
        windows = np.lib.stride_tricks.sliding_window_view(lane, width)[::_SEGMENT_FRAMES][:segments]
        levels = np.abs(lane[: segments * _SEGMENT_FRAMES]).reshape(segments, _SEGMENT_FRAMES).max(axis=1)
        behind = float(np.abs(lane[segments * _SEGMENT_FRAMES :]).max())
        reach = np.maximum(levels, np.append(levels[1:], behind))
        # the loudest first: what it raises the maximum by spares others
        loudest = int(reach.argmax())
        if reach[loudest] * self._bound > self._peak:
            self._peak = max(self._peak, float(np.abs(windows[loudest] @ self._matrix).max()))
        candidates = reach * self._bound > self._peak
        if candidates.any():
            self._peak = max(self._peak, float(np.abs(windows[candidates] @ self._matrix).max()))


def _oversampling_matrix(factor: int) -> npt.NDArray[np.float32]:
    """From the frames around a segment, shape (segment + taps - 1), to its values at all phases but the samples
    themselves.
    """
    phases = np.arange(1, factor) / factor
    offsets = np.arange(_TAPS)[:, None] - (_TAPS // 2 - 1) - phases
    window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1 - (2 * offsets / _TAPS) ** 2))) / np.i0(_KAISER_BETA)
    taps = np.sinc(offsets) * window
    taps /= taps.sum(axis=0)
    matrix = np.zeros((_SEGMENT_FRAMES + _TAPS - 1, _SEGMENT_FRAMES, max(factor - 1, 1)), np.float32)
    for frame in range(_SEGMENT_FRAMES if factor > 1 else 0):
        matrix[frame : frame + _TAPS, frame] = taps
    return matrix.reshape(len(matrix), -1)
