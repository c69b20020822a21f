"""Writes audio files: WAV with our own hands, FLAC and MP3 by libsndfile, and says in a sentence why it could not.

What is in the blocks and how they become bytes is `blocks.py`'s matter.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np
import numpy.typing as npt
import soundfile

from bridge.audio.blocks import BITS, FLOATS, Block, packed
from bridge.audio.container import shown
from bridge.errors import ClipError, internal

# RIFF counts in 32 bits; one byte more and the file must be RF64 (EBU Tech 3306).
RIFF_MAX_BYTES: Final = 0xFFFFFFFF
_DISK_IS_FULL: Final = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


class WavWriter:
    """Writes a WAV file, RF64 where 32-bit sizes do not suffice.

    Parameters
    ----------
    frames : int
        How many frames will come; they stand in the header from the start, so that a hash can be taken on the way. A
        file of which fewer came gets its header corrected at the end.
    hashed : bool
        Whether `sha256` will be asked for.
    riff_max_bytes : int
        From which size on the file is RF64; only tests need another.

    Raises `OSError` as the system does; `writing` makes it a sentence. As a context manager it finishes the file and
    makes it durable (fsync), or just closes it after an error.
    """

    def __init__(
        self,
        path: str,
        *,
        samplerate: int,
        channels: int,
        subtype: str,
        frames: int,
        hashed: bool = False,
        riff_max_bytes: int = RIFF_MAX_BYTES,
    ) -> None:
        self.path, self.subtype, self.frames = path, subtype, 0
        self._promised = frames
        self._header = _Header(samplerate, channels, subtype, riff_max_bytes)
        self._hash = hashlib.sha256() if hashed else None
        self._file: BinaryIO = io.FileIO(path, "wb")
        self.bytes = 0
        try:
            self._put(memoryview(self._header.bytes_for(frames)))
        except OSError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if kind is None:
                self._finish()

    def write(self, block: Block, dither: np.random.Generator | None = None) -> None:
        """Appends a block of shape (frames, channels), as `packed` makes it."""
        self.write_packed(packed(block, self.subtype, dither), len(block))

    def write_packed(self, data: npt.NDArray[np.uint8], frames: int) -> None:
        """Appends `frames` frames that are in the file's sample format already."""
        self._put(data.data)
        self.frames += frames

    def sha256(self) -> str:
        """The hash of the whole file, once all promised frames are written and the file is closed."""
        if self._hash is None or self.frames != self._promised:
            raise internal(
                f"{self.frames} of {self._promised} promised frames were written: the file's hash is not known."
            )
        return self._hash.hexdigest()

    def _put(self, data: memoryview) -> None:
        if self._hash is not None:
            self._hash.update(data)
        self.bytes += len(data)
        while data:  # an unbuffered file may take less than it is given
            data = data[self._file.write(data) :]

    def _finish(self) -> None:
        if self._header.data_bytes(self.frames) % 2:
            self._put(memoryview(b"\0"))
        if self.frames != self._promised:
            self._file.seek(0)
            self._file.write(self._header.bytes_for(self.frames))
        os.fsync(self._file.fileno())


class _Header:
    """The bytes before the samples, by Microsoft's RIFF WAVE (formats 1 and 3) and EBU Tech 3306 (RF64)."""

    def __init__(self, samplerate: int, channels: int, subtype: str, riff_max_bytes: int) -> None:
        self._width = (BITS.get(subtype) or FLOATS[subtype]) // 8
        self._is_float = subtype in FLOATS
        self._samplerate, self._channels, self._riff_max_bytes = samplerate, channels, riff_max_bytes
        self._is_rf64: bool | None = None

    def data_bytes(self, frames: int) -> int:
        return frames * self._width * self._channels

    def bytes_for(self, frames: int) -> bytes:
        data = self.data_bytes(frames)
        align = self._width * self._channels
        # libsndfile and DAWs expect the extension's size field, here zero, for anything but PCM
        extension = b"\0\0" if self._is_float else b""
        form = struct.pack(
            "<HHIIHH",
            3 if self._is_float else 1,
            self._channels,
            self._samplerate,
            self._samplerate * align,
            align,
            self._width * 8,
        )
        chunks = b"fmt " + struct.pack("<I", len(form) + len(extension)) + form + extension
        if self._is_float:
            chunks += b"fact" + struct.pack("<II", 4, min(frames, 0xFFFFFFFF))
        size = 4 + len(chunks) + 8 + data + data % 2
        if self._is_rf64 is None:  # decided once: the two kinds of header differ in length
            self._is_rf64 = size + 8 > self._riff_max_bytes
        if not self._is_rf64:
            return b"RIFF" + struct.pack("<I", size) + b"WAVE" + chunks + b"data" + struct.pack("<I", data)
        sizes = b"ds64" + struct.pack("<IQQQI", 28, size + 36, data, frames, 0)
        return b"RF64\xff\xff\xff\xffWAVE" + sizes + chunks + b"data\xff\xff\xff\xff"


class Encoder:
    """Writes FLAC or MP3 by libsndfile.

    libsndfile keeps silent about a full disk while it writes an MP3, so the bytes go through our hands. Raises
    `OSError` as the system does, at the write or at the end.
    """

    def __init__(self, path: str, *, samplerate: int, channels: int, container: str, subtype: str) -> None:
        self._file: BinaryIO = io.BufferedRandom(io.FileIO(path, "w+b"))
        self._error: OSError | None = None
        try:
            self._encoder = soundfile.SoundFile(
                self,
                "w",
                samplerate,
                channels,
                format=container.upper(),
                subtype=subtype if container == "flac" else None,
            )
        except soundfile.SoundFileError as error:
            self._file.close()
            raise internal(f"No {container} file with {samplerate} Hz in {subtype} can be made: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._encoder.close()
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as closing:
            self._error = self._error or closing
        if kind is None and self._error is not None:
            raise self._error

    def encode(self, block: Block) -> None:
        """Appends a float block of shape (frames, channels)."""
        try:
            self._encoder.write(block)
        except (soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all frames were taken
            if self._error is None:
                raise internal(f"The clip could not be encoded: {error}") from error
        if self._error is not None:
            raise self._error

    # What libsndfile calls. An exception cannot pass through its C code, so it is kept until the call is over.
    def write(self, data: bytes) -> int:
        if self._error is None:
            try:
                return self._file.write(data)
            except OSError as error:
                self._error = error
        return 0

    def read(self, count: int) -> bytes:
        return self._file.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except OSError as error:  # a seek flushes what is buffered
            self._error = self._error or error
            return -1

    def tell(self) -> int:
        return self._file.tell()


@contextlib.contextmanager
def writing(*paths: str | None) -> Iterator[None]:
    """Guards the making of the files at `paths`: an `OSError` becomes a sentence, and after any error none remains.

    Raises `ClipError` `disk_full`, or `delivery_failed` where writing failed for another reason.
    """
    try:
        yield
    except BaseException as error:
        for path in paths:
            if path is not None:
                with contextlib.suppress(OSError):  # it may never have come to be; the first error is the one to tell
                    Path(path).unlink()
        if isinstance(error, OSError):
            raise _cannot_write(error, paths[0] or "") from error
        raise


def _cannot_write(error: OSError, path: str) -> ClipError:
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else path
    folder = shown(str(Path(path).absolute().parent))
    if error.errno in _DISK_IS_FULL:
        return ClipError(
            "disk_full",
            f"The disk that holds {folder} is full; the audio could not be written.",
            hint="Free some space, then retry the job.",
        )
    if error.errno == errno.EFBIG:
        return ClipError(
            "disk_full",
            f"The disk that holds {folder} cannot take a file this long.",
            hint="Use a disk that takes files over 4 GB (not FAT32), or a shorter clip.",
        )
    return ClipError(
        "delivery_failed",
        f"No audio could be written into {folder}: {(error.strerror or str(error)).lower()}.",
        hint="Check that the folder exists and that this account may write there.",
    )
