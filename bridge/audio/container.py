"""Tells from a few bytes which container an audio file is in and whether the file is whole.

It looks at headers and sizes only, so it is quick enough for every look at a growing file; decoding, and everything
that only decoding can show (a FLAC cut in half), is left to `source.py`. It imports neither numpy nor libsndfile.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bridge.audio.mpeg import MpegFrame, first_frame
from bridge.errors import ClipError, SourceUnfinished

WHAT_WE_READ: Final = "Use a WAV, AIFF, FLAC, Ogg, MP3 or CAF file."

# Real files hold a few dozen chunks at most; the bound only keeps a hostile file from being walked for minutes.
MAX_CHUNKS: Final = 1_000
# The largest Ogg page: 27 header bytes, 255 lacing values, 255 segments of 255 bytes (RFC 3533, section 6).
OGG_PAGE_MAX_BYTES: Final = 27 + 255 + 255 * 255
# Some writers store the whole file's size where the size without the first eight bytes belongs, or leave out the last
# pad byte.
SIZE_SLACK_BYTES: Final = 9
_U32_UNKNOWN: Final = 0xFFFFFFFF
_U64_UNKNOWN: Final = 0xFFFFFFFFFFFFFFFF

_W64_RIFF: Final = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_W64_DATA: Final = b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_MAGICS: Final = (
    b"RIFF",
    b"RIFX",
    b"RF64",
    b"BW64",
    b"FORM",
    b"caff",
    b"fLaC",
    b"OggS",
    b"ID3",
    b"\xff\xfb",
    b"\xff\xf3",
    _W64_RIFF,
)

# Formats that people do drop and that we do not read: offset, bytes, what it is.
_KNOWN_BUT_UNREADABLE: Final = (
    (4, b"ftyp", "an M4A, AAC or MP4 file"),
    (0, b"\xff\xf1", "an AAC file"),
    (0, b"\xff\xf9", "an AAC file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA file"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"MThd", "a MIDI file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b".snd", "an AU file"),
)


def check_whole(path: str) -> str:
    """The container of the file at `path`: `wav`, `rf64`, `w64`, `aiff`, `flac`, `ogg`, `mp3` or `caf`.

    Raises `ClipError` `source_not_found`, `source_unreadable` (a folder, no permission, no audio) or
    `source_unsupported` (audio of a kind that we do not read), and `SourceUnfinished` where the file ends before its
    own header says it should, is empty, or has not yet got any sound.
    """
    with _opened(path) as file:
        look = _Look(file, os.fstat(file.fileno()).st_size, shown(path))
        return _container_of(look)


def mp3_promised_frames(path: str) -> int | None:
    """How many sample frames the Xing, Info or VBRI header of an MP3 promises, encoder delay and padding included.

    None where there is no such header. Raises as `check_whole`.
    """
    with _opened(path) as file:
        look = _Look(file, os.fstat(file.fileno()).st_size, shown(path))
        first = first_frame(look.at, _behind_id3(look))
        if first is None or first.promised_mpeg_frames is None:
            return None
        return first.promised_mpeg_frames * first.frames_each


def shown(path: str) -> str:
    """The file's name for use in a sentence: quoted, without folder, control characters or undecodable bytes."""
    name = Path(path).name or path
    name = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
    return f"“{name if len(name) <= 120 else name[:117] + '…'}”"


@dataclass(frozen=True)
class _Look:
    """An open file, its size in bytes, and the name for sentences."""

    file: BinaryIO
    size: int
    name: str

    def at(self, offset: int, count: int) -> bytes:
        """At most `count` bytes from `offset`; fewer at the end of the file."""
        if offset >= self.size:  # a claimed size may lead to where no system can seek
            return b""
        try:
            self.file.seek(offset)
            return self.file.read(count) or b""
        except OSError as error:
            raise unreadable(f"{self.name} could not be read: {_reason(error)}.") from error

    def unfinished(self, why: str) -> SourceUnfinished:
        return SourceUnfinished(f"{self.name} looks unfinished: {why}.")

    def whole_until(self, end: int, what: str) -> None:
        """Raises `SourceUnfinished` if the file is shorter than `end` bytes."""
        if end > self.size:
            raise self.unfinished(f"{what} should reach to byte {end:,}, but the file has only {self.size:,} bytes")


def not_found(path: str) -> ClipError:
    """The error for a file that is not there."""
    return ClipError(
        "source_not_found",
        f"{shown(path)} was not found.",
        hint="Check the path; the file may have been moved or renamed.",
    )


def unreadable(message: str, hint: str = WHAT_WE_READ) -> ClipError:
    """The error for a file that no waiting will make readable."""
    return ClipError("source_unreadable", message, hint=hint)


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _opened(path: str) -> BinaryIO:
    """The file, opened unbuffered. Only an ordinary file is opened at all, since opening a pipe would block."""
    name = shown(path)
    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            raise unreadable(f"{name} is a folder, not an audio file.", "Name a file inside the folder.")
        if not stat.S_ISREG(mode):
            raise unreadable(f"{name} is not an ordinary file but a device, pipe or socket.", "Name an audio file.")
        return io.FileIO(path, "rb")
    except ValueError as error:  # a zero byte, or characters that this system's file names cannot hold
        raise not_found(path) from error
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
            raise not_found(path) from error
        if error.errno == errno.ELOOP:
            raise unreadable(f"{name} is a link that leads back to itself.", "Name the file itself.") from error
        if isinstance(error, PermissionError):
            raise unreadable(
                f"{name} could not be opened: this account is not allowed to read it.",
                "Allow reading, or copy the file elsewhere.",
            ) from error
        raise unreadable(
            f"{name} could not be opened: {_reason(error)}.", "Check the disk or share it is on."
        ) from error


def _container_of(look: _Look) -> str:
    head = look.at(0, 4_096)
    if not head:
        raise look.unfinished("it is still empty")
    if not any(head):
        raise look.unfinished("it starts with nothing but zeros")
    if len(head) < 16 and any(magic.startswith(head) or head.startswith(magic) for magic in _MAGICS):
        raise look.unfinished(f"it has only {len(head)} bytes")
    if head.startswith((b"RIFF", b"RIFX")):
        return _wav(look, head)
    if head.startswith((b"RF64", b"BW64")):
        return _rf64(look, head)
    if head.startswith(_W64_RIFF):
        return _w64(look, head)
    if head.startswith(b"FORM"):
        return _aiff(look, head)
    if head.startswith(b"caff"):
        return _caf(look)
    if head.startswith(b"OggS"):
        return _ogg(look)
    start = _behind_id3(look)
    if start and start >= look.size:
        raise look.unfinished("it ends within its tags")
    if look.at(start, 4) == b"fLaC":
        return _flac(look, start)
    for offset, magic, what in _KNOWN_BUT_UNREADABLE:
        if head[offset:].startswith(magic):
            raise ClipError(
                "source_unsupported", f"{look.name} is {what}, which clipbridge does not read.", hint=WHAT_WE_READ
            )
    first = first_frame(look.at, start)
    if first is not None:
        return _mp3(look, first)
    raise unreadable(
        f"{look.name} is {'text' if _is_text(head) else 'no audio that clipbridge knows'}, whatever its name says."
    )


def _is_text(head: bytes) -> bool:
    text = head.decode("utf-8", errors="ignore")
    return len(text.encode()) >= len(head) - 3 and all(c.isprintable() or c.isspace() for c in text)


def _chunks(
    look: _Look, offset: int, header_bytes: int, align: int, parse: Callable[[bytes], tuple[bytes, int]]
) -> Iterator[tuple[bytes, int, int]]:
    """Id, offset of the body and length of the body of each chunk, until the file or the bound on their number ends."""
    for _ in range(MAX_CHUNKS):
        header = look.at(offset, header_bytes)
        if len(header) < header_bytes or not any(header[:4]):
            return
        name, length = parse(header)
        yield name, offset + header_bytes, length
        if length < 0:
            return
        offset += header_bytes + length + -length % align
    raise unreadable(f"{look.name} has more than {MAX_CHUNKS:,} chunks and no sound in them.")


def _sound(look: _Look, body: int, length: int, streamed: bool) -> None:
    """Checks the chunk that holds the sound: `streamed` says that its writer could not know the length."""
    if length <= 0 or (streamed and body >= look.size):
        raise look.unfinished("its header says that it holds no sound yet")
    if not streamed:
        look.whole_until(body + length, "the sound")


def _wav(look: _Look, head: bytes) -> str:
    if head[8:12] != b"WAVE":
        raise unreadable(f"{look.name} is a RIFF file, but not WAVE audio.")
    order = "<" if head.startswith(b"RIFF") else ">"
    for name, body, length in _chunks(look, 12, 8, 2, lambda header: struct.unpack(order + "4sI", header)):
        if name == b"data":
            _sound(look, body, length, streamed=length == _U32_UNKNOWN)
            size: int = struct.unpack(order + "I", head[4:8])[0]
            if size != _U32_UNKNOWN:
                look.whole_until(size + 8 - SIZE_SLACK_BYTES, "the file")
            return "wav"
    raise look.unfinished("it has no sound yet")


def _rf64(look: _Look, head: bytes) -> str:
    """RF64 keeps the true sizes in a `ds64` chunk that comes first (EBU Tech 3306, section 3)."""
    if head[8:12] != b"WAVE" or (len(head) >= 16 and head[12:16] != b"ds64"):
        raise unreadable(f"{look.name} calls itself RF64, but is not WAVE audio with 64-bit sizes.")
    if len(head) < 36:
        raise look.unfinished("it has no sound yet")
    file_size, data_size = struct.unpack("<QQ", head[20:36])
    for name, body, length in _chunks(look, 12, 8, 2, lambda header: struct.unpack("<4sI", header)):
        if name == b"data":
            true_length = data_size if length == _U32_UNKNOWN else length
            _sound(look, body, true_length, streamed=true_length == _U64_UNKNOWN)
            if file_size != _U64_UNKNOWN:
                look.whole_until(file_size + 8 - SIZE_SLACK_BYTES, "the file")
            return "rf64"
    raise look.unfinished("it has no sound yet")


def _w64(look: _Look, head: bytes) -> str:
    """Wave64: chunks are named by sixteen bytes, and a size counts the header of twenty-four bytes too."""

    def parse(header: bytes) -> tuple[bytes, int]:
        return header[:16], int.from_bytes(header[16:], "little") - 24

    if len(head) < 40:
        raise look.unfinished("it has no sound yet")
    for name, body, length in _chunks(look, 40, 24, 8, parse):
        if name == _W64_DATA:
            _sound(look, body, length, streamed=False)
            look.whole_until(int.from_bytes(head[16:24], "little") - SIZE_SLACK_BYTES, "the file")
            return "w64"
    raise look.unfinished("it has no sound yet")


def _aiff(look: _Look, head: bytes) -> str:
    if head[8:12] not in (b"AIFF", b"AIFC"):
        raise unreadable(f"{look.name} is an IFF file, but not AIFF audio.")
    for name, body, length in _chunks(look, 12, 8, 2, lambda header: struct.unpack(">4sI", header)):
        if name == b"SSND":
            _sound(look, body + 8, length - 8, streamed=False)
            look.whole_until(int.from_bytes(head[4:8], "big") + 8 - SIZE_SLACK_BYTES, "the file")
            return "aiff"
    raise look.unfinished("it has no sound yet")


def _caf(look: _Look) -> str:
    """Core Audio: a data chunk of size -1 reaches to the end of the file (Apple's specification, "Audio Data")."""
    edit_count_bytes = 4
    for name, body, length in _chunks(look, 8, 12, 1, lambda header: struct.unpack(">4sq", header)):
        if name == b"data":
            streamed = length == -1
            _sound(look, body + edit_count_bytes, 1 if streamed else length - edit_count_bytes, streamed)
            return "caf"
    raise look.unfinished("it has no sound yet")


def _flac(look: _Look, start: int) -> str:
    """FLAC: a chain of metadata blocks, the last one marked, then the sound (RFC 9639, section 8.1)."""
    offset = start + 4
    for _ in range(MAX_CHUNKS):
        header = look.at(offset, 4)
        if len(header) < 4:
            raise look.unfinished("it ends within its header")
        offset += 4 + int.from_bytes(header[1:], "big")
        if header[0] & 0x80:
            if offset >= look.size:
                raise look.unfinished("it has no sound yet")
            return "flac"
    raise unreadable(f"{look.name} has more than {MAX_CHUNKS:,} FLAC metadata blocks.")


def _ogg(look: _Look) -> str:
    """Ogg: the last page of a whole file carries the end-of-stream flag (RFC 3533, section 6)."""
    tail_start = max(0, look.size - OGG_PAGE_MAX_BYTES)
    tail = look.at(tail_start, OGG_PAGE_MAX_BYTES)
    end = len(tail)
    while (page := tail.rfind(b"OggS", 0, end)) >= 0:
        end = page + 3
        header = tail[page : page + 27]
        if len(header) < 27:
            break
        if header[4] != 0 or header[5] > 7:  # four bytes of sound that happen to spell a page's name
            continue
        lacing = tail[page + 27 : page + 27 + header[26]]
        if len(lacing) < header[26]:
            break
        look.whole_until(tail_start + page + 27 + len(lacing) + sum(lacing), "its last page")
        if header[5] & 4:
            return "ogg"
        break
    raise look.unfinished("its last page is not marked as the end")


def _behind_id3(look: _Look) -> int:
    """The offset behind any ID3v2 tags at the start (id3.org, "ID3v2.4.0 main structure", section 3.1)."""
    offset = 0
    for _ in range(MAX_CHUNKS):
        header = look.at(offset, 10)
        if len(header) < 10 or not header.startswith(b"ID3") or any(byte & 0x80 for byte in header[6:]):
            break
        length = header[6] << 21 | header[7] << 14 | header[8] << 7 | header[9]
        offset += 10 + length + (10 if header[5] & 0x10 else 0)
    return offset


def _mp3(look: _Look, first: MpegFrame) -> str:
    look.whole_until(first.offset + first.length_bytes, "its first frame")
    if first.promised_bytes is not None:
        # One frame of slack: encoders disagree on whether the header's own frame counts.
        look.whole_until(first.offset + first.promised_bytes - first.length_bytes, "the sound")
    return "mp3"
