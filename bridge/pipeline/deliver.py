"""The last stage: give the take its name, beside nothing that was there before, and its provenance beside it.

A take is whole before anybody sees it, and repeating any step after a crash is harmless.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bridge.pipeline.names import take_stem

SIDE_FILE = ".clipbridge.json"
RAW = " raw.wav"
# file systems without hard links (exFAT, many shares) answer with one of these
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EACCES}


def free_stems(folder: Path, clip: str, preset: str, take: int) -> Iterator[str]:
    """Names for take k that nothing in the folder has yet, best first."""
    number = take
    while True:
        stem = take_stem(clip, preset, number)
        if not any(os.path.lexists(folder / f"{stem}{ending}") for ending in (".wav", SIDE_FILE, RAW)):
            yield stem
        number += 1


def place(hidden: Path, target: Path) -> None:
    """Renames `hidden` (whole and on disk) to `target` in the same folder. Raises FileExistsError: it never overwrites."""
    if sys.platform == "win32":
        hidden.rename(target)  # refuses an existing target by itself
        return
    try:
        os.link(hidden, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # without links: the empty file reserves the name, then the take replaces it in one step
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        hidden.replace(target)
    else:
        hidden.unlink()
    _sync_folder(target.parent)


def write_side_file(take: Path, content: dict[str, Any], hidden: Path) -> None:
    """Puts the provenance beside a take; it grows under the name `hidden`, so that a crash leaves nothing that nobody clears."""
    with hidden.open("w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    hidden.replace(take.with_name(f"{take.stem}{SIDE_FILE}"))


def is_placed(hidden: Path, target: Path, sha256: str) -> bool:
    """Whether the take got its name in an earlier run. While `hidden` is another file, a target of equal content is not it."""
    try:
        if hidden.exists() and not hidden.samefile(target):
            return False
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def place_rest(hidden: Path, target: Path) -> None:
    """Finishes what a crash interrupted after `place` had given the name: gives it now, or clears the second name."""
    try:
        if hidden.exists():
            place(hidden, target)
    except FileExistsError:
        hidden.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {
            errno.EINVAL,
            errno.ENOTSUP,
        }:  # some shares cannot sync a folder; the rename stands all the same
            raise
    finally:
        os.close(handle)
