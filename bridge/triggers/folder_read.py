"""Reads what intake is to be told of a file: whether a request can be made of it at all, its hash, and its side file.

What becomes of the file is `folder_take`'s to decide. All of it runs in a thread.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.audio.container import check_whole, shown
from bridge.errors import ClipError, SourceUnfinished
from bridge.triggers.folder_away import sha256_of
from bridge.triggers.folder_names import NAME_LIMIT, SIDE_ENDING, ending, is_text, readable
from bridge.triggers.folder_place import Place, Seen

SIDE_FILE_MAX_BYTES: Final = 1_000_000
EXPORT_IT: Final = "Export it as WAV and drop that; AIFF, FLAC, Ogg, MP3 and CAF are read too."


class Changed(Exception):
    """The file is no longer what it was when it came to rest."""


@dataclass(frozen=True)
class Read:
    """What was read of a file: its hash if it is whole, and the request it makes or what is wrong with its side file."""

    sha256: str | None
    given: dict[str, Any] | ClipError


def read_file(place: Place, seen: Seen, unfinished: bool) -> Read:
    """Raises ClipError for what no request can be made of, and Changed."""
    _check(place, seen)
    path = place.path(seen.rel)
    sha256 = None
    if not unfinished:
        try:
            sha256 = sha256_of(path)
            status = os.stat(path)
            if (status.st_size, status.st_mtime_ns) != seen.mark:
                raise Changed
        except OSError:
            sha256 = None  # not readable, or gone: intake says so in a sentence
    try:
        return Read(sha256, _given(place, path))
    except ClipError as error:
        return Read(sha256, error)


def _check(place: Place, seen: Seen) -> None:
    """Raises ClipError for a file that no request can be made of."""
    path = place.path(seen.rel)
    if not is_text(seen.rel):
        raise ClipError(
            "source_unsupported",
            f"The name {shown(path)} holds bytes that are no text, so no request can name the file.",
            hint="Rename it with ordinary characters and drop it again.",
        )
    if seen.what == "folder":
        raise ClipError(
            "source_unreadable",
            f"{shown(path)} is a folder, not an audio file, and no preset is called so.",
            hint="Drop the audio file inside it; a folder in Drop must be called as a preset is.",
        )
    if seen.what == "audio":
        return
    try:
        check_whole(path)
    except SourceUnfinished:
        pass  # as far as it goes it is a clip
    except ClipError as error:
        if error.code == "source_unsupported":
            raise ClipError(error.code, error.message, hint=EXPORT_IT) from None
        raise error if error.code == "source_not_found" else _unsupported(path) from None
    if seen.what == "other":
        raise _unsupported(path)


def _unsupported(path: str) -> ClipError:
    last = ending(Path(path).name)
    what = f"A {readable(last)} file" if last else "A file without an ending"
    return ClipError(
        "source_unsupported",
        f"{shown(path)} is no clip: {what} is not something that clipbridge reads.",
        hint=EXPORT_IT,
    )


def _given(place: Place, path: str) -> dict[str, Any]:
    """The request that a file makes, with the values of its side file in Drop. Raises ClipError `bad_request`."""
    given: dict[str, Any] = {}
    if place.kind == "drop":
        given = _side_values(Path(path + SIDE_ENDING))
    return {**given, "source": path}


def _side_values(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > SIDE_FILE_MAX_BYTES:
            raise _bad_side_file(file, f"it has more than {SIDE_FILE_MAX_BYTES:,} bytes")
        values = json.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        if len(os.fsencode(file.name)) > NAME_LIMIT:
            return {}  # the clip's own name is so long that nothing can lie beside it
        raise _bad_side_file(file, (error.strerror or str(error)).lower()) from error
    except (ValueError, RecursionError) as error:
        raise _bad_side_file(file, f"it is not proper JSON ({error})") from error
    if not isinstance(values, dict):
        raise _bad_side_file(file, "it holds no JSON object")
    if "source" in values:
        raise _bad_side_file(file, 'it names a "source", and that is always the clip beside it')
    return values


def _bad_side_file(file: Path, why: str) -> ClipError:
    return ClipError(
        "bad_request",
        f"The side file {shown(str(file))} cannot be used: {why}.",
        hint='Correct it (for example {"prompt": "lo-fi tape", "strength": 0.5}) and drop the clip again.',
    )
