"""A folder that is looked after, and what lies in it: which files count, by where they are and what they are called.

It looks and reports; whether a file is whole, new or to be taken is for the modules beside this one. All in a thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Container, Iterator
from dataclasses import dataclass, field
from typing import Literal

from bridge.config import Watch
from bridge.triggers.folder_names import AUDIO_ENDINGS, ending, is_hidden, is_ours, is_text, kind_of

Mention = Callable[[str, str], None]  # a path below the root, and why it is passed over
What = Literal["audio", "unnamed", "other", "folder"]


@dataclass(frozen=True)
class Place:
    """One folder: `Drop`, or one `[[watch]]` entry.

    `key` names it in the database; `moves`: what is done with goes to `_Done` or `_Failed` inside it; `closed_to`:
    folders below it that are not its business, but for those in `open_to` (real paths).
    """

    key: str
    root: str
    kind: Literal["drop", "watch"]
    preset: str
    settle_seconds: float
    recursive: bool = False
    moves: bool = False
    entry: Watch | None = None
    closed_to: tuple[str, ...] = field(default=(), compare=False)
    open_to: tuple[str, ...] = field(default=(), compare=False)

    def path(self, rel: str) -> str:
        return os.path.join(self.root, rel)

    def preset_of(self, rel: str) -> str:
        """The preset that a file is run with: in `Drop/<preset>/` the folder's name."""
        return (os.path.dirname(rel) if self.kind == "drop" else "") or self.preset


@dataclass(frozen=True)
class Seen:
    """A file as it lay there at one look: its path below the root, its size and time, and what its name promises."""

    rel: str
    size_bytes: int
    modified_ns: int
    what: What

    @property
    def name(self) -> str:
        return os.path.basename(self.rel)

    @property
    def mark(self) -> tuple[int, int]:
        """What changes when the content does, as far as that can be seen from outside."""
        return self.size_bytes, self.modified_ns


def scan(place: Place, presets: Container[str], mention: Mention) -> list[Seen]:
    """Everything in the place that counts, in no order. Raises OSError where the folder itself cannot be listed."""
    found = (_judge(place, rel, entry, presets, mention) for rel, entry in _entries(place, presets, mention))
    return [seen for seen in found if seen is not None]


def look(place: Place, rel: str, presets: Container[str], mention: Mention) -> Seen | None:
    """One path below the place as `scan` would see it, or None if it is not there or does not count."""
    folders = rel.split(os.sep)[:-1]
    if any(name.startswith(".") for name in folders) or (folders and is_ours(folders[0])):
        return None
    if len(folders) > _depth(place) or (folders and _is_no_preset(place, folders[0], presets)):
        return None
    above = place.root
    for name in folders:
        above = os.path.join(above, name)
        if os.path.islink(above) or _is_closed(place, above):
            return None
    return _judge(place, rel, _Path(place.path(rel)), presets, mention)


class _Path:
    """A path with the two questions of an `os.DirEntry` that are asked here."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self.path, follow_symlinks=follow_symlinks)

    def is_symlink(self) -> bool:
        return os.path.islink(self.path)


def _depth(place: Place) -> int:
    """How many folders deep a file may lie: `Drop/<preset>/` is one."""
    if place.kind == "drop":
        return 1
    return 1_000 if place.recursive else 0


def _entries(place: Place, presets: Container[str], mention: Mention) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """All that lies in the folders which count, with its path below the root; of folders those directly in the root."""
    visited: set[tuple[int, int]] = set()
    waiting = [""]
    while waiting:
        below = waiting.pop()
        folder = place.path(below) if below else place.root
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in visited:  # a folder mounted or joined into itself
                continue
            visited.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            if not below:
                raise
            mention(below, f"the folder cannot be listed: {error.strerror}")
            continue
        for entry in entries:
            rel = os.path.join(below, entry.name)
            if entry.is_dir(follow_symlinks=False):
                if _enters(place, below, rel, entry) and not _is_no_preset(place, rel, presets):
                    waiting.append(rel)
                if below:
                    continue
            yield rel, entry


def _enters(place: Place, below: str, rel: str, entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or (not below and is_ours(entry.name)):
        return False
    return rel.count(os.sep) < _depth(place) and not _is_closed(place, entry.path)


def _is_closed(place: Place, folder: str) -> bool:
    if not place.closed_to:
        return False
    real = os.path.realpath(folder)
    return is_inside(real, place.closed_to) and not is_inside(real, place.open_to)


def is_inside(path: str, folders: Collection[str]) -> bool:
    """Whether a real path is one of the folders, or lies below one."""
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _judge(
    place: Place, rel: str, entry: os.DirEntry[str] | _Path, presets: Container[str], mention: Mention
) -> Seen | None:
    kind = kind_of(entry.name)
    if kind == "untouched" or (place.kind == "watch" and kind != "audio") or is_ours(rel):
        return None
    if place.kind == "watch" and not is_text(rel):
        mention(rel, "its name is not proper text; rename it")
        return None
    try:
        status = entry.stat()
    except OSError as error:
        return _broken(place, rel, entry, kind, error, mention)
    if is_hidden(status):
        return None
    if stat.S_ISDIR(status.st_mode):
        return _folder(place, rel, entry, status, presets, mention)
    if place.kind == "watch":
        if not stat.S_ISREG(status.st_mode):
            mention(rel, "it is not an ordinary file")
            return None
    elif kind != "audio" and os.path.dirname(rel) and os.path.dirname(rel) not in presets:
        # some project's folder rather than a preset's: only its clips are answered, the rest is not torn apart
        return None
    return Seen(rel, status.st_size, status.st_mtime_ns, kind)


def _is_no_preset(place: Place, rel: str, presets: Container[str]) -> bool:
    """Whether a folder in Drop is called like a clip, and no preset is."""
    return place.kind == "drop" and os.sep not in rel and ending(rel) in AUDIO_ENDINGS and rel not in presets


def _folder(
    place: Place,
    rel: str,
    entry: os.DirEntry[str] | _Path,
    status: os.stat_result,
    presets: Container[str],
    mention: Mention,
) -> Seen | None:
    if entry.is_symlink():
        mention(rel, "it is a link to a folder, and those are not followed")
        return None
    return Seen(rel, 0, status.st_mtime_ns, "folder") if _is_no_preset(place, rel, presets) else None


def _broken(
    place: Place, rel: str, entry: os.DirEntry[str] | _Path, kind: What, error: OSError, mention: Mention
) -> Seen | None:
    """A link that leads nowhere or in circles: in Drop somebody expects an answer."""
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return None  # gone
    if not stat.S_ISLNK(status.st_mode) or place.kind == "watch":
        mention(rel, f"it cannot be looked at: {error.strerror}")
        return None
    return Seen(rel, status.st_size, status.st_mtime_ns, kind)
