"""Reads audio in blocks and turns blocks into bytes, so that memory does not grow with a clip's length.

Files are written in `writers.py`; what the blocks mean (a cut, a take) is the callers' matter.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import soundfile

from bridge.audio.container import not_found, shown
from bridge.errors import ClipError, ErrorCode

Block = npt.NDArray[Any]  # (frames, channels): float32 or float64, full scale 1.0; int32 for 32-bit PCM read exactly

BLOCK_FRAMES: Final = 65_536
# Resampling swings a little over the top of a clip at full scale. Up to 0.01 dB of it is cut off like any rounding;
# more is too much for an integer format, and the clip is turned down.
OVER_FULL_SCALE: Final = 10 ** (0.01 / 20)
# The dither is noise, but the same noise each time: the same result gives the same take, byte for byte.
DITHER_SEED: Final = 20_000

BITS: Final = {"PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
FLOATS: Final = {"FLOAT": 32, "DOUBLE": 64}
# Sample formats of other containers, and the WAV format that holds them bit for bit.
_SAME_IN_WAV: Final = {
    "PCM_S8": "PCM_U8",
    "ALAC_16": "PCM_16",
    "ALAC_20": "PCM_24",
    "ALAC_24": "PCM_24",
    "ALAC_32": "PCM_32",
}
_INT32_SCALE: Final = 2.0**-31


def lossless_subtype(subtype: str) -> str | None:
    """The WAV sample format that holds every sample of `subtype` bit for bit; None for what is compressed with loss."""
    return subtype if subtype in BITS or subtype in FLOATS else _SAME_IN_WAV.get(subtype)


def exact_dtype(subtype: str) -> str:
    """The dtype to read `subtype` as without losing a bit: float32, which holds 24 bits, wherever that is enough."""
    return {"PCM_32": "int32", "ALAC_32": "int32", "DOUBLE": "float64"}.get(subtype, "float32")


def working_dtype(subtype: str) -> str:
    """The float dtype to calculate in: float32 holds 24 bits exactly, so only PCM_32 and DOUBLE need float64."""
    return "float64" if subtype in ("PCM_32", "DOUBLE", "ALAC_32") else "float32"


def as_float(block: Block, dtype: str) -> Block:
    """An int32 block scaled to full scale 1.0, a float block in `dtype`; not copied where nothing changes."""
    if block.dtype == np.int32:
        floats = block.astype(dtype)
        floats *= floats.dtype.type(_INT32_SCALE)
        return floats
    return block.astype(dtype, copy=False)


def peak_of(block: Block) -> float:
    """The largest absolute sample, linear, 1.0 = full scale; NaN or infinite if a sample of a float block is."""
    if not block.size:
        return 0.0
    # numpy hands a NaN on, and Python's max() keeps it where it comes first
    peak = max(float(block.max()), -float(block.min()))
    return peak * _INT32_SCALE if block.dtype == np.int32 else peak


@contextlib.contextmanager
def opened(path: str, code: ErrorCode, hint: str) -> Iterator[soundfile.SoundFile]:
    """The audio file at `path`, open for reading; libsndfile's errors, then and later, become `ClipError` `code`.

    A source that is no longer there is `source_not_found`.
    """
    try:
        with soundfile.SoundFile(_for_libsndfile(path)) as file:
            yield file
    except soundfile.SoundFileError as error:
        if code == "source_unreadable" and not Path(path).exists():
            raise not_found(path) from error
        why = getattr(error, "error_string", str(error)).rstrip(".").lower()
        raise ClipError(code, f"{shown(path)} could not be decoded: {why}.", hint=hint) from error


def _for_libsndfile(path: str) -> str | bytes:
    """Bytes outside Windows: soundfile cannot encode a name that is not valid UTF-8."""
    return path if sys.platform == "win32" else os.fsencode(path)


def read_blocks(file: soundfile.SoundFile, frames: int | None, dtype: str) -> Iterator[Block]:
    """Blocks of shape (frames, channels) from where `file` stands: `frames` in all, or to the end.

    Fewer come where the file ends before.
    """
    left = frames
    while left is None or left > 0:
        wanted = BLOCK_FRAMES if left is None else min(BLOCK_FRAMES, left)
        block: Block = file.read(wanted, dtype=dtype, always_2d=True)
        if not len(block):
            return
        yield block
        if left is not None:
            left -= len(block)


@contextlib.contextmanager
def ahead(blocks: Iterator[Block]) -> Iterator[Iterator[Block]]:
    """The same blocks, decoded one ahead in a thread while the last one is worked on.

    A context manager, so that nothing is read any more when the file behind it is closed.
    """

    def handed_on() -> Iterator[Block]:
        coming = pool.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, blocks, None)
            yield block

    with ThreadPoolExecutor(1) as pool:
        yield handed_on()


def go_to(file: soundfile.SoundFile, frame: int) -> None:
    """Moves `file`, just opened, to `frame`.

    What is compressed with loss is decoded up to there, since libsndfile's jumps within Vorbis land on other samples
    than a decode from the start.
    """
    if lossless_subtype(file.subtype) is not None:
        file.seek(min(frame, file.frames))
        return
    for _ in read_blocks(file, frame, "float32"):
        pass


def with_channels(block: Block, channels: int) -> Block:
    """A float block with one or two channels: mono doubled, stereo as (L+R)/2."""
    if block.shape[1] == channels:
        return block
    if channels == 1:
        mono: Block = (block[:, :1] + block[:, 1:2]) * block.dtype.type(0.5)
        return mono
    return np.repeat(block, channels, axis=1)


def packed(block: Block, subtype: str, dither: np.random.Generator | None = None) -> npt.NDArray[np.uint8]:
    """The little-endian WAV bytes of a block.

    Float blocks are rounded, after TPDF dither of two steps' width if `dither` is given, and limited to full scale;
    what came from a file of this format comes out bit for bit. int32 blocks can only become PCM_32.
    """
    if subtype in FLOATS:
        floats = np.ascontiguousarray(as_float(block, working_dtype(subtype)), dtype=f"<f{FLOATS[subtype] // 8}")
        return floats.reshape(-1).view(np.uint8)
    bits = BITS[subtype]
    if block.dtype == np.int32:
        return _low_bytes(np.ascontiguousarray(block, dtype="<i4"), 32)
    full = 2.0 ** (bits - 1)
    scaled = block * block.dtype.type(full)
    if dither is not None:
        scaled += dither.random(scaled.shape, dtype=np.float32)
        scaled -= dither.random(scaled.shape, dtype=np.float32)
    np.rint(scaled, out=scaled)
    # the largest float32 below 2^31 is 2^31 - 128; float64, in which 32-bit audio is handled, has 2^31 - 1
    top = full - 1 if bits < 32 or scaled.dtype == np.float64 else full - 128
    np.clip(scaled, -full, top, out=scaled)
    return _low_bytes(scaled.astype("<i4"), bits)


def _low_bytes(steps: npt.NDArray[np.int32], bits: int) -> npt.NDArray[np.uint8]:
    """The lower `bits` of each of `steps`, as WAV stores them: 8 bits without a sign."""
    if bits == 32:
        return steps.reshape(-1).view(np.uint8)
    if bits == 16:
        return steps.astype("<i2").reshape(-1).view(np.uint8)
    if bits == 8:
        return (steps.reshape(-1) + 128).astype(np.uint8)
    four = steps.reshape(-1).view(np.uint8).reshape(-1, 4)
    three = np.empty((len(four), 3), np.uint8)
    # column by column: four times as fast as one copy of rows of three bytes
    for column in range(3):
        three[:, column] = four[:, column]
    return three.reshape(-1)


class Behind:
    """One helper thread, one step behind: it hashes and writes while the next block is decoded and resampled."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown()

    def do(self, step: Callable[..., None], *arguments: Any) -> None:
        """Starts `step` once the step before it is done; raises what that one raised."""
        self.wait()
        self._pending = self._pool.submit(step, *arguments)

    def wait(self) -> None:
        """Waits for the last step; raises what it raised."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()
