"""The route of a job's audio: the snapshot of its source, and its takes.

Whole files, read in blocks off the loop; where the files lie is the pipeline's to say.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, BinaryIO, Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi import Path as InPath
from starlette.responses import Response, StreamingResponse

from bridge.errors import ClipError
from bridge.job import Job
from bridge.web.bodies import NamedQueries
from bridge.web.jobs import known
from bridge.web.rooms import Rooms
from bridge.web.schema import AUDIO, refusals

BLOCK_BYTES: Final = 256 << 10


def routes(rooms: Rooms) -> APIRouter:
    """`/jobs/{id}/audio/{source|take number}`."""
    router = APIRouter(prefix="/jobs", route_class=NamedQueries, tags=["audio"], default_response_class=Response)

    @router.get("/{job_id}/audio/{which}", response_model=None, responses=AUDIO | refusals(404))
    async def job_audio(
        job_id: str,
        which: Annotated[
            str, InPath(pattern="^(source|[1-9][0-9]{0,2})$", description="`source`, or a take's number.")
        ],
    ) -> Response:
        """The frames that a job took from its source, or one of its takes, as a WAV file."""
        job = await known(rooms, job_id)
        path, name = _file_of(rooms, job, which)
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise ClipError(
                "source_not_found",
                f"{path} cannot be opened: {error.strerror or error}.",
                hint="It was moved or removed since; retry the job, or send the request again.",
            ) from None
        headers = {
            "content-length": str(os.fstat(file.fileno()).st_size),
            "content-disposition": f"inline; filename*=UTF-8''{quote(name, safe='', errors='replace')}",
        }
        return StreamingResponse(_blocks(file), headers=headers, media_type="audio/wav")

    return router


def _file_of(rooms: Rooms, job: Job, which: str) -> tuple[Path, str]:
    """The file, and the name under which it is handed out."""
    if which == "source":
        if job.request.source is None:
            raise ClipError(
                "source_not_found",
                f"Job {job.id} has no source: it was made from words alone.",
                hint="Ask for one of its takes.",
            )
        return rooms.snapshot(job.id), f"{job.clip_name}.wav"
    for take in job.takes:
        if take.take == int(which):
            return Path(take.path), Path(take.path).name
    raise ClipError(
        "source_not_found",
        f"Job {job.id} has no take {which}; it is {job.state} and has {len(job.takes)}.",
        hint="Wait until the take is delivered, or ask for one that the job names.",
    )


async def _blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while block := await asyncio.to_thread(file.read, BLOCK_BYTES):
            yield block
