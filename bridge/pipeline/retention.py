"""Clears the jobs' folders and what was uploaded for them: what is older than `keep_days`, then the oldest until `keep_gb` is met.

Never what is living, held or uncertain; the takes themselves lie in the results folders and are never touched.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bridge.config import Retention

log = logging.getLogger(__name__)
DAY_SECONDS = 86_400.0
GB = 1_000_000_000
RECENT_SECONDS = 600.0  # what was used a moment ago may be a job's that came after `kept` was made


@dataclass(frozen=True)
class _Folder:
    path: Path
    used_at: float
    bytes: int


def clear(folder: Path, kept: frozenset[str], retention: Retention, now_seconds: float | None = None) -> list[str]:
    """Removes old folders below `folder` and returns their names; never those in `kept`, nor what was used a moment ago."""
    now_seconds = time.time() if now_seconds is None else now_seconds
    if not folder.is_dir():
        return []
    measured = (_measured(entry) for entry in folder.iterdir() if entry.is_dir())
    found = [one for one in measured if one is not None]
    total_bytes = sum(one.bytes for one in found)
    removed = []
    for one in sorted(found, key=lambda one: one.used_at):
        if one.path.name in kept or now_seconds - one.used_at < RECENT_SECONDS:
            continue
        old = now_seconds - one.used_at > retention.keep_days * DAY_SECONDS
        if not old and total_bytes <= retention.keep_gb * GB:
            continue
        try:
            shutil.rmtree(one.path)
        except OSError as error:
            log.warning(
                "an old job's folder could not be removed",
                extra={"facts": {"job": one.path.name, "reason": str(error)}},
            )
            continue
        total_bytes -= one.bytes
        removed.append(one.path.name)
    return removed


def _measured(folder: Path) -> _Folder | None:
    """What a folder holds, or None where that cannot be seen: one such folder must not keep the others from being cleared."""
    try:
        used_at, size_bytes = folder.stat().st_mtime, 0
        for file in folder.rglob("*"):
            try:
                status = file.lstat()
            except FileNotFoundError:
                continue  # a job has just ended and tidied up
            used_at = max(used_at, status.st_mtime)
            size_bytes += status.st_size
    except OSError as error:
        log.warning("a job's folder could not be measured", extra={"facts": {"job": folder.name, "reason": str(error)}})
        return None
    return _Folder(folder, used_at, size_bytes)
