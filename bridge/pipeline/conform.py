"""The fourth stage: make what came back fit the clip's hole, in a hidden file beside the place where the take will lie."""

from __future__ import annotations

import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from bridge.errors import ClipError
from bridge.job import Job
from bridge.pipeline.prepare import SNAPSHOT, Prepared, RunTask

log = logging.getLogger(__name__)
Hidden = Literal["take", "raw", "side"]
# below this the source counts as silent: nothing of it reaches 16 bits (−96 dBFS)
SILENCE_PEAK = 10 ** (-96 / 20)


@dataclass(frozen=True)
class Conformed:
    """A take that fits, not yet under its own name; `raw` is the one with its loudness untouched, where that differs."""

    file: Path
    raw: Path | None
    facts: dict[str, Any]
    notes: tuple[str, ...]


async def conform(job: Job, prepared: Prepared, result: Path, take: int, folder: Path, run_task: RunTask) -> Conformed:
    """Exactly the region's frames at the source's rate, channels and sample format; loudness matched where asked.

    Raises ClipError `bad_result` for what cannot be a take, `delivery_failed` or `disk_full` for the folder.
    """
    make_ready(folder)
    hidden, raw = hidden_file(folder, job, take), hidden_file(folder, job, take, "raw")
    _make_way(hidden, raw)
    match = None
    if job.request.match_loudness and job.request.source is not None:
        match = {
            "lufs": prepared.lufs,
            "rms_dbfs": prepared.rms_dbfs,
            "true_peak_dbtp": prepared.true_peak_dbtp,
            "source_silent": prepared.peak < SILENCE_PEAK,
        }
    facts = await run_task(
        "conform",
        priority=job.priority,
        result_path=str(result),
        take_path=str(hidden),
        frames=prepared.frames,
        samplerate=prepared.samplerate,
        channels=prepared.channels,
        subtype=prepared.subtype,
        result_gain_db=-prepared.sent_gain_db,
        match=match,
        raw_path=None if match is None else str(raw),
    )
    return Conformed(hidden, raw if facts["raw_written"] else None, facts, tuple(facts["notes"]))


async def copy(job: Job, prepared: Prepared, take: int, folder: Path, job_dir: Path, run_task: RunTask) -> Conformed:
    """Strength 0: the region's own frames, bit for bit, without asking anybody."""
    make_ready(folder)
    hidden = hidden_file(folder, job, take)
    _make_way(hidden)
    facts = await run_task(
        "copy",
        priority=job.priority,
        snapshot_path=str(job_dir / SNAPSHOT),
        lead_frames=prepared.lead_frames,
        frames=prepared.frames,
        take_path=str(hidden),
        subtype=prepared.subtype,
        channels=prepared.channels,
    )
    return Conformed(hidden, None, facts, ("Strength 0: a copy of the source, nothing was sent or charged.",))


def hidden_file(folder: Path, job: Job, take: int, suffix: Hidden = "take") -> Path:
    """The hidden name under which a take grows; no DAW shows it and no watched folder takes it."""
    return folder / f".clipbridge-{job.id}-{take}-{suffix}.tmp"


def sweep(folder: Path, job: Job) -> None:
    """Removes what a job that ended in the middle of something has left behind."""
    for take in range(1, job.request.variations + 1):
        try:
            _clear(*(hidden_file(folder, job, take, suffix) for suffix in get_args(Hidden)))
        except OSError as error:
            log.debug("a hidden file stays", extra={"facts": {"job": job.id, "reason": str(error)}})


def _make_way(*hidden: Path) -> None:
    # written anew rather than written over: after a crash it may be a second name of a take that is delivered already
    try:
        _clear(*hidden)
    except OSError as error:
        raise delivery_failed(hidden[0].parent, error) from None


def _clear(*hidden: Path) -> None:
    for file in hidden:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            file.unlink()


def make_ready(folder: Path) -> None:
    """Makes the folder where it is missing. Raises ClipError `delivery_failed` where nothing can be put there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise delivery_failed(folder, error) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise delivery_failed(folder, PermissionError(13, "permission denied"))


def delivery_failed(folder: Path, error: OSError) -> ClipError:
    return ClipError(
        "delivery_failed",
        f"The take could not be put into {folder}: {error.strerror or error}.",
        hint="Make that folder writable (or connect its disk), then `clipbridge jobs retry` delivers what is ready at no charge.",
    )
