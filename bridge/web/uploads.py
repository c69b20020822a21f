"""Takes audio that comes in the body of a request: streamed to a file in the home folder, never held in memory.

A folder for each upload, so that the file keeps the name that the person gave it. Reads the body and keeps the file;
what is asked of it is intake's, and when a job no longer needs it is the retention's.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from bridge.errors import ClipError, internal
from bridge.web.answers import WebError
from bridge.web.bodies import JSON_MAX_BYTES, an_object, parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AUDIO_MAX_BYTES: Final = 4 << 30  # four hours of 48 kHz, 24 bit, stereo; what is larger is named by its path
NAME_MAX_BYTES: Final = 200  # leaves room below the 255 bytes of a file system
WRITE_BYTES: Final = 1 << 20  # one trip to a thread for each mebibyte
UNFINISHED: Final = "incoming-"

# what one of the three systems refuses in a name
_UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_PERCENT = re.compile("%(22|0[dD]|0[aA])")  # the three that browsers escape in a form's file names
_REFUSED_HINT: Final = "Send multipart/form-data with the parts request (a JSON object) and audio (one file)."


@dataclass(frozen=True)
class Upload:
    """What a multipart body held: the request beside the audio, and where the audio lies now."""

    request: dict[str, Any]
    audio: Path
    sha256: str

    def keep(self, uploads_dir: Path) -> tuple[Path, bool]:
        """Moves the audio to its lasting place; returns that, and whether it was put there just now.

        A request with a `client_id` that is sent again, audio and all, must come out equal: its place follows from what
        was sent. Without one, each upload has a place of its own.
        """
        client_id = self.request.get("client_id")
        name = secrets.token_hex(16)
        if isinstance(client_id, str):
            name = hashlib.sha256(
                f"{self.sha256}/{self.audio.name}/{client_id}".encode("utf-8", "surrogatepass")
            ).hexdigest()[:32]
        place = uploads_dir / name
        if (place / self.audio.name).is_file():
            self.discard()
            return place / self.audio.name, False
        self.audio.parent.rename(place)
        return place / self.audio.name, True

    def discard(self) -> None:
        discard(self.audio)


def discard(audio: Path) -> None:
    """Removes an upload with its folder."""
    shutil.rmtree(audio.parent, ignore_errors=True)


def sweep(uploads_dir: Path) -> None:
    """Removes what an earlier process left unfinished."""
    for folder in uploads_dir.glob(f"{UNFINISHED}*"):
        shutil.rmtree(folder, ignore_errors=True)


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a multipart/form-data body; None for any other body. Raises WebError 400 where it is missing."""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None
    from python_multipart.multipart import parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= 70:  # RFC 2046, section 5.1.1
        raise WebError(
            400, "The content-type of the multipart body names no boundary of 1 to 70 characters.", hint=_REFUSED_HINT
        )
    return boundary


async def receive(
    blocks: AsyncIterator[bytes], boundary: bytes, uploads_dir: Path, *, max_bytes: int = AUDIO_MAX_BYTES
) -> Upload:
    """Reads a multipart body to its end; of audio at most `max_bytes`.

    Raises WebError 400 (malformed) or 413, ClipError `bad_request` (other parts than the two), `disk_full` or
    `internal`; after any error nothing of it is left on disk.
    """
    # imported when the first upload comes, not at the daemon's start
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser

    folder = uploads_dir / f"{UNFINISHED}{secrets.token_hex(16)}"
    parts = _Parts()
    writer = _Writer(folder, max_bytes)
    try:
        parser = MultipartParser(boundary, parts.callbacks(), max_header_count=8, max_header_size=4096)
        async for block in blocks:
            parser.write(block)
            await writer.take(parts)
        await writer.finish(parts)
        if not parts.ended:
            raise WebError(400, "The multipart body ends before its last boundary.", hint=_REFUSED_HINT)
        if writer.path is None:
            raise ClipError("bad_request", "The multipart body has no part called audio.", hint=_REFUSED_HINT)
        request = an_object(parse(bytes(parts.request or b"{}"), "The part called request"), "The part called request")
        return Upload(request, writer.path, writer.sha256.hexdigest())
    except BaseException as error:
        writer.close()
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, FormParserError):
            raise WebError(400, f"The multipart body is malformed: {error}.", hint=_REFUSED_HINT) from None
        if isinstance(error, OSError):
            raise _disk_error(error, uploads_dir) from error
        raise


@dataclass
class _Parts:
    """What the parser found so far; audio waits here until there is enough for one write."""

    request: bytearray | None = None
    audio_name: str | None = None
    audio: bytearray = field(default_factory=bytearray)
    ended: bool = False
    _name: str = ""
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _key: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._key.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._headers.clear()

    def _header(self) -> None:
        self._headers[bytes(self._key).lower()] = bytes(self._value)
        self._key.clear()
        self._value.clear()

    def _open(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, facts = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = facts.get(b"name", b"").decode("utf-8", "replace")
        if self._name == "request" and self.request is None:
            self.request = bytearray()
        elif self._name == "audio" and self.audio_name is None:
            self.audio_name = file_name(facts.get(b"filename", b""))
        else:
            again = self._name in ("request", "audio")
            what = f'two parts called "{self._name}"' if again else f'a part called "{self._name[:60]}"'
            raise ClipError("bad_request", f"The multipart body has {what}.", hint=_REFUSED_HINT)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == "audio":
            self.audio += data[start:end]
            return
        assert self.request is not None
        self.request += data[start:end]
        if len(self.request) > JSON_MAX_BYTES:
            raise WebError(
                413,
                f"The part called request is larger than {JSON_MAX_BYTES >> 20} MiB.",
                hint=_REFUSED_HINT,
                code="too_large",
            )

    def _end(self) -> None:
        self.ended = True


class _Writer:
    """Writes the audio in large blocks, off the loop, and hashes it on the way."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None
        self._size_bytes = 0
        self.path: Path | None = None
        self.sha256 = hashlib.sha256()

    async def take(self, parts: _Parts, *, all_of_it: bool = False) -> None:
        if self._file is None and parts.audio_name is not None:
            self._folder.mkdir(parents=True, mode=0o700)
            self.path = self._folder / parts.audio_name
            self._file = self.path.open("xb", buffering=0)
        if self._file is None or (len(parts.audio) < WRITE_BYTES and not all_of_it):
            return
        self._size_bytes += len(parts.audio)
        if self._size_bytes > self._max_bytes:
            raise WebError(
                413,
                f"The audio is larger than {self._max_bytes / (1 << 30):g} GiB.",
                hint="Leave the file where it is and name its path as the request's source.",
                code="too_large",
            )
        block = bytes(parts.audio)
        parts.audio.clear()
        await asyncio.to_thread(self._write, block)

    async def finish(self, parts: _Parts) -> None:
        await self.take(parts, all_of_it=True)
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, block: bytes) -> None:
        assert self._file is not None
        self.sha256.update(block)
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]


def file_name(given: bytes) -> str:
    """The name of an uploaded file as a name that every system can hold; the ending stays.

    Only its last part counts: whatever folders a sender puts before it are not ours to follow.
    """
    try:
        text = given.decode("utf-8")
    except UnicodeDecodeError:
        text = given.decode("latin-1")
    text = _PERCENT.sub(lambda match: chr(int(match[1], 16)), text)
    text = _UNSAFE.sub("_", re.split(r"[/\\]", text)[-1]).strip().rstrip(" .")
    stem, ending = os.path.splitext(text)  # noqa: PTH122 (a name, no path)
    ending = ending if len(ending.encode()) <= 16 else ""
    stem = stem if ending else text
    while len((stem + ending).encode()) > NAME_MAX_BYTES:
        stem = stem[:-1]
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    return (stem.rstrip(" .") or "clip") + ending


def _disk_error(error: OSError, uploads_dir: Path) -> ClipError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ClipError(
            "disk_full",
            f"The audio could not be stored in {uploads_dir}: {error.strerror}.",
            hint="Free some space on that disk and send it again.",
        )
    return internal(f"The audio could not be stored in {uploads_dir}: {error.strerror or error}.")
