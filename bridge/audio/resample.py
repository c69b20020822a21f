"""Changes the sample rate of a stream of blocks with soxr at its best quality.

It counts frames exactly, so that a clip keeps its length; what happens where lengths truly differ is left to
`conform.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import soxr

from bridge.audio.blocks import Block

QUALITY: Final = "VHQ"


def resampled_frames(frames: int, from_rate: int, to_rate: int) -> int:
    """How many frames `frames` at `from_rate` are at `to_rate`: rounded, and at least one where there was one."""
    return max((2 * frames * to_rate + from_rate) // (2 * from_rate), 1 if frames else 0)


def rounding_frames(from_rate: int, to_rate: int) -> int:
    """By how many frames at `to_rate` a clip may differ because both its ends were rounded at `from_rate`."""
    return 1 + -(-to_rate // from_rate)


def resample(
    blocks: Iterable[Block],
    *,
    from_rate: int,
    to_rate: int,
    channels: int,
    dtype: str,
    wished_frames: int | None = None,
) -> Iterator[Block]:
    """The blocks, float of `dtype` and shape (frames, channels), at `to_rate`, without delay.

    On either side silence is assumed. Gives `resampled_frames` of what came in; or `wished_frames`, where these are
    more only by rounding. At equal rates the blocks pass untouched.
    """
    if from_rate == to_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype=dtype, quality=QUALITY)
    taken = given = 0
    for block in blocks:
        taken += len(block)
        # soxr's output lags behind its input, but must never run ahead of what is due
        out = stream.resample_chunk(np.ascontiguousarray(block))[: resampled_frames(taken, from_rate, to_rate) - given]
        given += len(out)
        if len(out):
            yield out
    if not taken:
        return
    due = resampled_frames(taken, from_rate, to_rate)
    if wished_frames is not None and due < wished_frames <= due + rounding_frames(from_rate, to_rate):
        due = wished_frames
    # silence behind the end, enough for the last frames that are due
    silence = np.zeros(
        (2 + (2 + due - resampled_frames(taken, from_rate, to_rate)) * -(-from_rate // to_rate), channels), dtype
    )
    rest = stream.resample_chunk(silence, last=True)
    yield rest[: due - given]
