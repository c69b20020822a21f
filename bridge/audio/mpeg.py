"""Finds the first frame of an MP3 and what its Xing, Info or VBRI header promises.

Whether the file keeps the promise is left to `container.py` and `source.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

# How far behind the tags the first frame is looked for.
SEARCH_BYTES: Final = 65_536
# Bit rates of MPEG layer III in kbit/s by header index (ISO/IEC 11172-3 2.4.2.3 and ISO/IEC 13818-3 2.4.2.3).
_MPEG1_KBIT: Final = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBIT: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_RATES: Final = (44_100, 48_000, 32_000)


@dataclass(frozen=True)
class MpegFrame:
    """The first MPEG frame: where it is, its bytes and sample frames, and what a header in it promises of the whole."""

    offset: int
    length_bytes: int
    frames_each: int
    promised_mpeg_frames: int | None = None
    promised_bytes: int | None = None


def first_frame(at: Callable[[int, int], bytes], start: int) -> MpegFrame | None:
    """The first frame at or behind `start`; `at(offset, count)` reads from the file. None if this is no MP3."""
    window = at(start, SEARCH_BYTES)
    here = window.find(b"\xff")
    while here >= 0:
        lengths = _lengths(window[here : here + 4])
        if lengths is not None:
            length_bytes, frames_each, side_bytes = lengths
            following = at(start + here + length_bytes, 4)
            # One frame header is three lucky bytes; two in the right distance are an MP3.
            if _lengths(following) is not None or (len(following) < 4 and here == 0):
                promised = _promise(at(start + here, 4 + 36 + 18), side_bytes)
                return MpegFrame(start + here, length_bytes, frames_each, *promised)
        here = window.find(b"\xff", here + 1)
    return None


def _lengths(header: bytes) -> tuple[int, int, int] | None:
    """Bytes of the frame, sample frames in it and bytes of side information, or None if this is no layer III header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, rate_index, kbit_index = header[1] >> 3 & 3, header[2] >> 2 & 3, header[2] >> 4
    if version == 1 or rate_index == 3 or kbit_index in (0, 15):
        return None
    first_version, mono = version == 3, header[3] >> 6 == 3
    samplerate = _MPEG1_RATES[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    frames = 1_152 if first_version else 576
    kbit = (_MPEG1_KBIT if first_version else _MPEG2_KBIT)[kbit_index]
    side_bytes = (17 if mono else 32) if first_version else (9 if mono else 17)
    return frames // 8 * kbit * 1_000 // samplerate + (header[2] >> 1 & 1), frames, side_bytes


def _promise(frame: bytes, side_bytes: int) -> tuple[int | None, int | None]:
    """Number of MPEG frames and of bytes which the first frame's Xing, Info or VBRI header promises."""
    xing = frame[4 + side_bytes :]
    if xing[:4] in (b"Xing", b"Info") and len(xing) >= 16:
        flags, first, second = struct.unpack(">III", xing[4:16])
        frames = first if flags & 1 else None
        if not flags & 2:
            return frames, None
        return frames, (second if flags & 1 else first)
    vbri = frame[36:]
    if vbri[:4] == b"VBRI" and len(vbri) >= 18:
        size, count = struct.unpack(">II", vbri[10:18])
        return count, size
    return None, None
