"""Puts a file away into `_Done` or `_Failed`: never over anything, with its side files, a report beside what failed.

It moves; which file goes where, and when that is tried again, is for the modules beside this one. It runs in a thread.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bridge.audio.container import shown
from bridge.errors import Charged
from bridge.job import Problem
from bridge.triggers.folder_names import (
    NAME_LIMIT,
    PROVENANCE_ENDING,
    REPORT_ENDING,
    SIDE_ENDING,
    numbered,
    provenance_name,
    readable,
    shortened,
    with_ending,
)

# file systems without hard links (exFAT, many shares), or files that are not ours to link, answer with one of these
_NO_LINKS: Final = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EACCES}
_COST: Final[dict[Charged, str]] = {
    "no": "nothing was charged.",
    "yes": "it was charged.",
    "unknown": "nobody knows whether it was charged; look at your account at the service.",
}


def put_away(source: Path, into: Path, report: str | None = None) -> Path | None:
    """Moves a file (or link, or folder) into `into` under its own name, or with " (2)" and so on where that is taken.

    With a `report`, `<file name>.error.txt` is written beside it. Its side file and its provenance move along. Returns
    where it lies now, or None if it was gone. Raises OSError where it cannot be moved; then everything is as before.
    """
    if not os.path.lexists(source):
        return None
    into.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        target = into / numbered(source.name, number)
        if _is_same(source, target):  # linked there before a crash; only the old name is left to go
            source.unlink()
        elif not _place(source, target, report):
            continue
        for companion, its_target in _companions(source, target):
            # a side file that cannot follow must not bring the moved clip back
            with contextlib.suppress(OSError):
                move_without_replacing(companion, its_target)
        _sync(into)
        _sync(source.parent)
        return target
    raise AssertionError("counting ends never")


def move_without_replacing(source: Path, target: Path) -> None:
    """Renames `source` to `target`, also to another file system. Raises FileExistsError for a taken name, OSError."""
    status = source.lstat()
    if stat.S_ISDIR(status.st_mode):
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "the name is taken", str(target))
        source.rename(target)  # of what may come in between it could replace an empty folder only
    elif stat.S_ISLNK(status.st_mode):
        # from another folder a link that says where to go from here would lead elsewhere
        target.symlink_to(source.absolute().parent / source.readlink())
        _remove_or_undo(source, target)
    elif sys.platform == "win32":
        try:
            source.rename(target)  # refuses an existing target by itself
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _move_far(source, target)
    else:
        _move_file(source, target)


def report_of(problem: Problem, name: str, job_id: str | None, charged_usd: float | None = None) -> str:
    """The text for a person that goes beside a file which failed."""
    cost = _COST[problem.charged]
    if problem.charged == "yes" and charged_usd:
        cost = f"it was charged (${charged_usd:.2f})."
    lines = [
        f"clipbridge could not make a take of {shown(name)}.",
        "",
        f"What happened: {readable(problem.message)}",
        f"What to do:    {readable(problem.hint)}",
        f"Cost:          {cost}",
        f"Code:          {problem.code}",
    ]
    if job_id is not None:
        lines.append(f"Job:           {job_id}")
    return "\n".join(lines) + "\n"


def _place(source: Path, target: Path, report: str | None) -> bool:
    """Moves one file and writes its report; False where a name is taken."""
    if os.path.lexists(target) or any(os.path.lexists(its_target) for _, its_target in _companions(source, target)):
        return False
    report_file = target.parent / with_ending(readable(target.name), REPORT_ENDING)
    if report is not None and not _write_report(report_file, report):
        return False
    try:
        move_without_replacing(source, target)
    except OSError as error:
        if report is not None:
            report_file.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            return False  # somebody was faster; the next name
        raise
    return True


def _write_report(file: Path, text: str) -> bool:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        # the very same report, from before a crash that came before the move
        return file.is_file() and file.read_text("utf-8", errors="replace") == text
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return True


def _companions(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """The side file and the provenance that lie beside a file, each with the name it gets beside `target`."""
    side = source.name + SIDE_ENDING
    if len(os.fsencode(side)) <= NAME_LIMIT and source.with_name(side).is_file():
        yield source.with_name(side), target.parent / with_ending(target.name, SIDE_ENDING)
    provenance = source.with_name(shortened(provenance_name(source.name), NAME_LIMIT))
    if provenance.name.endswith(PROVENANCE_ENDING) and provenance.is_file():
        yield provenance, target.parent / with_ending(target.stem, PROVENANCE_ENDING)


def _is_same(source: Path, target: Path) -> bool:
    try:
        one, other = source.lstat(), target.lstat()
    except OSError:
        return False
    return stat.S_ISREG(one.st_mode) and one.st_ino != 0 and (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _move_file(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EXDEV:
            _move_far(source, target)
            return
        if error.errno not in _NO_LINKS:
            raise
        _rename_onto_reserved(source, target)
    else:
        _remove_or_undo(source, target)


def _rename_onto_reserved(source: Path, target: Path) -> None:
    """Without links: an empty file of ours reserves the name, then the file replaces it in one step."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    try:
        source.replace(target)
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno != errno.EXDEV:
            raise
        _move_far(source, target)


def _move_far(source: Path, target: Path) -> None:
    """To another file system: a copy, whole and on disk before it gets its name; only then the source goes."""
    before = source.stat()
    hidden = target.with_name(f".clipbridge-{secrets.token_hex(8)}.part")
    try:
        with source.open("rb") as reader, hidden.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
        shutil.copystat(source, hidden)
        now = source.stat()
        if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise OSError(errno.EBUSY, "the file was changed while it was moved", str(source))
        if sys.platform == "win32":
            hidden.rename(target)
        else:
            _move_file(hidden, target)
    finally:
        hidden.unlink(missing_ok=True)
    _remove_or_undo(source, target)


def _remove_or_undo(source: Path, target: Path) -> None:
    try:
        source.unlink()
    except OSError:
        target.unlink()
        raise


def _sync(folder: Path) -> None:
    """Lets the move be on disk before its row is forgotten: else a power cut brings the file back, to be run again."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some shares cannot; the rename stands all the same
            raise
    finally:
        os.close(handle)
