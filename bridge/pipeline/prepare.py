"""The first stage: find the region in the source, keep a copy of its frames, and write what the provider is to be sent."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bridge.errors import ClipError
from bridge.job import Job
from bridge.providers.base import Model
from bridge.request import Request

RunTask = Callable[..., Awaitable[dict[str, Any]]]
SNAPSHOT = "source.wav"
RATE_WITHOUT_SOURCE = 44_100  # what every Stable Audio model makes
MAX_LOOKS = 3  # how often a source that is rewritten while it is read is read anew


@dataclass(frozen=True)
class Prepared:
    """The facts of the clip that the later stages need; kept with the job, so that a restart goes on from here."""

    frames: int
    lead_frames: int
    samplerate: int
    channels: int
    subtype: str  # what a take of it is written as
    frames_sha256: str
    sent_file: str | None  # the name in the job's folder
    peak: float
    seconds: float
    sent_gain_db: float = 0.0  # by what the sent file had to be turned down to fit its sample format
    lufs: float | None = None
    rms_dbfs: float | None = None
    true_peak_dbtp: float | None = None
    metered: bool = False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


async def prepare(job: Job, model: Model | None, job_dir: Path, run_task: RunTask) -> Prepared:
    """Cuts the region out of the source into `job_dir`, and with a model the file to be sent beside it.

    Raises ClipError: whatever is wrong with the source, its region, or the disk.
    """
    request = job.request
    assert request.source is not None
    job_dir.mkdir(parents=True, exist_ok=True)
    for _ in range(MAX_LOOKS):
        source = await run_task("inspect", path=request.source, priority=job.priority)
        start, end = region_frames(request, source)
        sent_name = None if model is None else f"sent.{model.upload.container}"
        cut = await run_task(
            "cut",
            priority=job.priority,
            path=request.source,
            start_frame=start,
            end_frame=end,
            snapshot_path=str(job_dir / f"{SNAPSHOT}.tmp"),
            sent_path=None if sent_name is None else str(job_dir / f"{sent_name}.tmp"),
            sent=None if model is None else _upload(model, request.channels == "stereo"),
        )
        if _is_the_same(request.source, source):
            break
    else:
        raise ClipError(
            "source_unreadable",
            f"{request.source} is being rewritten all the time; it changed in the middle of each of {MAX_LOOKS} readings.",
            hint="Wait until the program that writes it has finished, then send it again.",
        )
    if model is not None and model.upload.max_bytes is not None and cut["sent_bytes"] > model.upload.max_bytes:
        raise ClipError(
            "too_large",
            f"What would be sent to {model.name} has {cut['sent_bytes'] / 1e6:.1f} MB;"
            f" it takes at most {model.upload.max_bytes / 1e6:.1f} MB.",
            hint="Choose a shorter region.",
        )
    # the names appear only when the files are whole: whoever finds them after a crash may trust them
    for name in filter(None, (SNAPSHOT, sent_name)):
        (job_dir / f"{name}.tmp").replace(job_dir / name)
    return Prepared(
        frames=cut["frames"],
        lead_frames=cut["lead_frames"],
        samplerate=cut["samplerate"],
        channels=2 if request.channels == "stereo" else cut["channels"],
        subtype=source["take_subtype"],
        frames_sha256=cut["frames_sha256"],
        sent_file=sent_name,
        peak=cut["peak"],
        sent_gain_db=cut["sent_gain_db"],
        seconds=cut["frames"] / cut["samplerate"],
    )


def without_source(job: Job, model: Model, job_dir: Path) -> Prepared:
    """The hole of a take that has no source: the provider's rate, stereo, 24 bit, round(duration × rate) frames."""
    assert job.request.duration is not None
    job_dir.mkdir(parents=True, exist_ok=True)
    samplerate = model.result_samplerate or RATE_WITHOUT_SOURCE
    frames = max(1, math.floor(job.request.duration * samplerate + 0.5))
    return Prepared(
        frames=frames,
        lead_frames=0,
        samplerate=samplerate,
        channels=2,
        subtype="PCM_24",
        frames_sha256="",
        sent_file=None,
        peak=1.0,
        seconds=frames / samplerate,
    )


def region_frames(request: Request, source: dict[str, Any]) -> tuple[int, int]:
    """The region in frames of the source, half open. Raises ClipError `region_out_of_range`."""
    region, frames, samplerate = request.region, source["frames"], source["samplerate"]
    if region is None:
        return 0, frames
    start, end = region.in_frames(samplerate)
    if end > frames or start >= end:
        what = f"{start} to {end}" if start < end else f"{start} (less than one frame long)"
        raise ClipError(
            "region_out_of_range",
            f"The region, frames {what}, does not lie in {Path(request.source or '').name},"
            f" which has {frames} frames ({frames / samplerate:.3f} s at {samplerate} Hz).",
            hint="Choose a region inside the file, at least one frame long.",
        )
    return start, end


def still_there(prepared: Prepared, job_dir: Path) -> bool:
    """Whether the files of an earlier run are there to go on with."""
    names = [SNAPSHOT, *filter(None, [prepared.sent_file])]
    return all((job_dir / name).is_file() for name in names)


async def meter(job: Job, prepared: Prepared, job_dir: Path, run_task: RunTask) -> dict[str, Any]:
    """The region's loudness and true peak: needs only the source, so it runs while the service renders."""
    return await run_task(
        "meter",
        priority=job.priority,
        path=str(job_dir / SNAPSHOT),
        start_frame=prepared.lead_frames,
        frames=prepared.frames,
    )


def _upload(model: Model, stereo: bool) -> dict[str, Any]:
    upload = model.upload
    return {
        "container": upload.container,
        "subtype": upload.subtype,
        "samplerate": upload.samplerate,
        "channels": upload.channels or (2 if stereo else None),
        "min_seconds": model.input_min_seconds,
    }


def _is_the_same(path: str, source: dict[str, Any]) -> bool:
    try:
        now = Path(path).stat()
    except OSError:
        return True  # gone after it was read whole: what was cut is what it held
    return (now.st_size, now.st_mtime_ns) == (source["size_bytes"], source["modified_ns"])
