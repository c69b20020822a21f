"""What a file's name says in a folder: a clip, something else, or something that is never touched; and numbered names.

Names only; what is in the files, and what becomes of them, is for the modules beside this one.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import PurePath
from typing import Final, Literal

DONE: Final = "_Done"
FAILED: Final = "_Failed"
SIDE_ENDING: Final = ".json"
PROVENANCE_ENDING: Final = ".clipbridge.json"
REPORT_ENDING: Final = ".error.txt"
RAW_ENDING: Final = " raw.wav"
NAME_LIMIT: Final = 255  # of one name: bytes on Linux, UTF-16 units on Windows and macOS

AUDIO_ENDINGS: Final = frozenset(
    {
        ".wav", ".wave", ".w64", ".rf64", ".bwf", ".aif", ".aiff", ".aifc", ".flac", ".ogg", ".oga", ".opus", ".mp3",
        ".caf",
    }
)  # fmt: skip
# The contract's (section 3) in the first line; then what other browsers and copiers call a file that is not there yet,
# and the overviews that other DAWs write beside a clip.
UNTOUCHED_ENDINGS: Final = frozenset(
    {
        ".asd", ".reapeaks", ".part", ".tmp", ".crdownload", SIDE_ENDING,
        ".download", ".partial", ".filepart", ".opdownload", ".aria2",
        ".pkf", ".sfk", ".peak", ".ovw", ".wfm", ".gpk",
    }
)  # fmt: skip
# what file managers leave in a folder
UNTOUCHED_NAMES: Final = frozenset({"desktop.ini", "thumbs.db", "icon\r"})

Kind = Literal["audio", "unnamed", "other", "untouched"]


def ending(name: str) -> str:
    """The ending in small letters with its dot; a dot or space at the very end of the name does not count."""
    stem, dot, tail = name.rstrip(". ").rpartition(".")
    return f".{tail.lower()}" if dot and stem else ""


def kind_of(name: str) -> Kind:
    """What the name promises. `unnamed` has no ending at all, so only its content can tell."""
    last = ending(name)
    if name.startswith(".") or last in UNTOUCHED_ENDINGS or name.lower() in UNTOUCHED_NAMES:
        return "untouched"
    if name.lower().endswith(REPORT_ENDING):
        return "untouched"
    if last in AUDIO_ENDINGS:
        return "audio"
    return "other" if last else "unnamed"


def is_hidden(status: os.stat_result) -> bool:
    """Whether the file is hidden by a flag rather than by a leading dot (macOS, Windows)."""
    flags: int = getattr(status, "st_flags", 0)
    attributes: int = getattr(status, "st_file_attributes", 0)
    return bool(flags & stat.UF_HIDDEN or attributes & stat.FILE_ATTRIBUTE_HIDDEN)


def is_ours(name: str) -> bool:
    """Whether a folder of that name is one into which the bridge puts files away."""
    return name.casefold() in {DONE.casefold(), FAILED.casefold()}


def is_text(name: str) -> bool:
    """Whether the name is proper Unicode: on Linux a name can be any bytes, and such a one fits in no request."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def readable(name: str) -> str:
    """The name with whatever is not Unicode replaced, so that it can be written anywhere."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def numbered(name: str, number: int) -> str:
    """`clip.wav`, `clip (2).wav`, `clip (3).wav`, …"""
    return name if number == 1 else _with_tail(name, f" ({number})")


def with_ending(name: str, tail: str) -> str:
    """`name` and then `tail`, the name shortened where both together would be too long for a file."""
    return shortened(name, NAME_LIMIT - _length(tail)) + tail


def provenance_name(name: str) -> str:
    """The name of the provenance file that lies beside a take of that name."""
    return PurePath(name).stem + PROVENANCE_ENDING


def shortened(name: str, limit: int) -> str:
    """As many characters of the name as fit into `limit`."""
    while _length(name) > limit:
        name = name[:-1]
    return name


def _with_tail(name: str, tail: str) -> str:
    stem, last = PurePath(name).stem, PurePath(name).suffix
    return shortened(stem, NAME_LIMIT - _length(tail + last)) + tail + last


def _length(text: str) -> int:
    if sys.platform in {"win32", "darwin"}:
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(os.fsencode(text))
