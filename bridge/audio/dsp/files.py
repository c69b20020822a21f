"""The file edge of the engine: levels of a source in one pass, its frames as a signal, and the take as float WAV.

The take's header is written here, because libsndfile dates the peak chunk of float files and the same request would
then not give the same bytes. Other containers and sample formats are left to `bridge.audio.conform`.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile as sf

from bridge.audio.dsp.signal import Frames, Signal
from bridge.errors import ClipError, internal

READ_FRAMES = 65_536
_SCAN_FRAMES = 65_536
"""The grid on which the loudest place is looked for: it decides how takes sound, so reading must not change it."""
_RIFF_LIMIT_BYTES = 0xFFFF_0000


@dataclass(frozen=True)
class Levels:
    """A source's size and levels (linear): peak, RMS over all frames, RMS while something sounds, and where it is
    loudest."""

    frames: int
    samplerate: int
    channels: int
    peak: float
    rms: float
    sounding_rms: float
    loudest_frame: int


def open_source(path: str) -> sf.SoundFile:
    """Open a source for reading, with the contract's errors."""
    if not Path(path).exists():
        raise ClipError(
            "source_not_found",
            f"The clip {path} was to be transformed, but there is no such file.",
            hint="Check that it was not moved or renamed, and send it again.",
        )
    try:
        file = sf.SoundFile(path)
    except (sf.LibsndfileError, OSError) as error:
        raise _unreadable(path, str(error)) from error
    if file.channels > 2:
        file.close()
        raise ClipError(
            "source_unsupported",
            f"The clip {path} has {file.channels} channels, and the offline effects work on one or two.",
            hint="Export it as mono or stereo.",
        )
    return file


def _unreadable(path: str, why: str) -> ClipError:
    return ClipError(
        "source_unreadable",
        f"The clip {path} was to be transformed, but it could not be read: {why}",
        hint="Export the clip again as WAV, and send that.",
    )


def read_block(file: sf.SoundFile, frames: int) -> Frames:
    """Read up to `frames` frames as `(channels, frames)` float32; fewer only at the end."""
    try:
        block = file.read(frames, dtype="float32", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise _unreadable(file.name, str(error)) from error
    return np.ascontiguousarray(block.T)


def scan(path: str) -> Levels:
    """Read a source once, block by block. Raises `source_unreadable` for frames that are not numbers."""
    with open_source(path) as file:
        count, peak, energy, loudest, loudest_frame, weighted = 0, 0.0, 0.0, -1.0, 0, 0.0
        window = max(1, min(_SCAN_FRAMES, file.samplerate // 20))
        while True:
            block = read_block(file, _SCAN_FRAMES)
            if block.shape[1] == 0:
                break
            highest = float(np.abs(block).max())
            if not np.isfinite(highest):
                raise _unreadable(path, "some of its frames are not numbers.")
            squares = np.square(block, dtype=np.float64).sum(axis=0)
            power = float(squares.sum())
            weighted += float(np.square(np.add.reduceat(squares, np.arange(0, len(squares), window))).sum())
            if power > loudest:
                loudest, loudest_frame = power, count
            peak, energy, count = max(peak, highest), energy + power, count + block.shape[1]
        if count == 0:
            raise _unreadable(path, "it holds no frames.")
        rms = float(np.sqrt(energy / max(1, count * file.channels)))
        # Each window's power counts by its own energy, so that the pauses between drum hits do not make them look
        # quiet.
        sounding_rms = float(np.sqrt(weighted / energy / (window * file.channels))) if energy > 0 else 0.0
        return Levels(count, file.samplerate, file.channels, peak, rms, sounding_rms, loudest_frame)


class FileSignal(Signal):
    """The frames of a file, from `first` on and `frames` long (None = to its end), then silence without end."""

    def __init__(self, path: str, first: int = 0, frames: int | None = None) -> None:
        self._file = open_source(path)
        super().__init__(self._file.channels, self._file.samplerate)
        if first:
            self._file.seek(first)
        self._left = frames

    def __enter__(self) -> FileSignal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def render(self, start: int) -> Frames:
        wanted = READ_FRAMES if self._left is None else min(READ_FRAMES, self._left)
        block = read_block(self._file, wanted) if wanted else np.zeros((self.channels, 0), dtype=np.float32)
        if self._left is not None:
            self._left -= block.shape[1]
        if block.shape[1] == READ_FRAMES:
            return block
        padded = np.zeros((self.channels, READ_FRAMES), dtype=np.float32)
        padded[:, : block.shape[1]] = block
        return padded


def float_wav_header(frames: int, samplerate: int, channels: int) -> bytes:
    """The bytes before the frames of a 32-bit float WAV; RF64 (EBU Tech 3306) where RIFF's 32-bit sizes are too
    small."""
    data_bytes = frames * channels * 4
    form = struct.pack("<HHIIHHH", 3, channels, samplerate, samplerate * channels * 4, channels * 4, 32, 0)
    body = b"fmt " + struct.pack("<I", len(form)) + form
    body += b"fact" + struct.pack("<II", 4, min(frames, 0xFFFF_FFFF))
    if data_bytes <= _RIFF_LIMIT_BYTES:
        head = b"RIFF" + struct.pack("<I", 4 + len(body) + 8 + data_bytes) + b"WAVE"
        return head + body + b"data" + struct.pack("<I", data_bytes)
    sizes = struct.pack("<QQQI", 4 + 36 + len(body) + 8 + data_bytes, data_bytes, frames, 0)
    head = b"RF64" + struct.pack("<I", 0xFFFF_FFFF) + b"WAVE" + b"ds64" + struct.pack("<I", len(sizes)) + sizes
    return head + body + b"data" + struct.pack("<I", 0xFFFF_FFFF)


def write_float_wav(signal: Signal, frames: int, path: str) -> None:
    """Pull `frames` frames out of `signal` into a float WAV at `path`; nothing is left there after an error."""
    tap = signal.tap()
    target = Path(path)
    try:
        with target.open("wb") as file:
            file.write(float_wav_header(frames, signal.samplerate, signal.channels))
            for start in range(0, frames, READ_FRAMES):
                block = tap.read(start, min(start + READ_FRAMES, frames))
                file.write(np.ascontiguousarray(block.T, dtype="<f4").tobytes())
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ClipError(
                "disk_full",
                f"The take {path} could not be written: the disk is full.",
                hint="Free some space and retry; the source was not touched.",
            ) from error
        raise internal(f"The take {path} could not be written: {error}.") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
