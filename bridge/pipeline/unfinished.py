"""Waits for a source that somebody is still writing, for as long as it grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from bridge.errors import ClipError, SourceUnfinished
from bridge.job import Job, timestamp
from bridge.pipeline.prepare import RunTask

LOOK_SECONDS = 0.5
TELL_SECONDS = 5.0  # how often a growing file moves the job's "until" on


async def until_whole(job: Job, run_task: RunTask, unfinished_seconds: float, grew: Callable[[str], None]) -> None:
    """Returns when the source is whole; `grew(until)` is told now and then while it grows.

    Raises ClipError `source_unreadable` when it has not grown for `unfinished_seconds`, `source_not_found` when it is gone,
    and whatever else is wrong with it once it stands still.
    """
    assert job.request.source is not None
    path = Path(job.request.source)
    seen, examined = None, None
    verdict: ClipError = SourceUnfinished(f"{path.name} never became whole.")
    gives_up_at, told_at = time.monotonic() + unfinished_seconds, time.monotonic()
    while True:
        try:
            status = await asyncio.to_thread(path.stat)
        except FileNotFoundError:
            raise ClipError(
                "source_not_found",
                f"{path.name} went away before it was whole.",
                hint="Send it again when the program that writes it has finished.",
            ) from None
        except OSError as error:
            raise ClipError(
                "source_unreadable",
                f"{path.name} cannot be looked at: {error.strerror}.",
                hint="Check its folder and rights.",
            ) from None
        now = (status.st_size, status.st_mtime_ns)
        if now != seen:
            if seen is not None:
                gives_up_at = time.monotonic() + unfinished_seconds
            seen = now
            if time.monotonic() - told_at > TELL_SECONDS:
                told_at = time.monotonic()
                grew(timestamp(time.time() + unfinished_seconds))
        elif now != examined:
            examined = now
            try:
                await run_task("inspect", path=str(path), priority=job.priority)
                return
            except SourceUnfinished as error:
                verdict = error
        if time.monotonic() > gives_up_at:
            raise verdict
        await asyncio.sleep(min(LOOK_SECONDS, unfinished_seconds / 4))
