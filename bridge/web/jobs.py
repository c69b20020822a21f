"""The routes of jobs: send a request, look, cancel, retry, forget.

What a request means is intake's; how audio comes in is told in `bridge.web.uploads`, how it goes out in
`bridge.web.audio`.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from bridge.errors import ClipError
from bridge.job import Job, State
from bridge.request import Frozen
from bridge.validation import suggest
from bridge.web import uploads
from bridge.web.answers import WebError, answer
from bridge.web.bodies import NamedQueries, json_object, options
from bridge.web.rooms import Rooms
from bridge.web.schema import SUBMIT, json_of, refusals, reply

PAGE_JOBS: Final = 50
PAGE_JOBS_MAX: Final = 500
_STATES: Final[tuple[str, ...]] = get_args(State)
_STATE_LIST = f"^({'|'.join(_STATES)})(,({'|'.join(_STATES)}))*$"


class _Cancel(Frozen):
    batch: bool = False


class _Retry(Frozen):
    pay_again: bool = False


def routes(rooms: Rooms) -> APIRouter:
    """`/jobs` and what lies below it, but for the audio."""
    router = APIRouter(prefix="/jobs", route_class=NamedQueries, tags=["jobs"], default_response_class=Response)

    @router.post(
        "",
        status_code=202,
        response_model=None,
        openapi_extra=SUBMIT,
        responses=reply(202, "Job", "The job; it goes on by itself.") | refusals(400, 404, 409, 413, 507),
    )
    async def submit_request(
        request: Request,
        x_clipbridge_trigger: Annotated[
            Literal["http", "cli"], Header(description="`cli` where a person's command made the request.")
        ] = "http",
    ) -> Response:
        """Takes a request and answers with its job. The same `client_id` with an equal request is the same job."""
        boundary = uploads.boundary_of(request.headers.get("content-type", ""))
        if boundary is None:
            given = await json_object(request)
            return _shown(await rooms.intake.submit(given, trigger=x_clipbridge_trigger), 202)
        upload = await uploads.receive(request.stream(), boundary, rooms.uploads_dir)
        return _shown(await _submit_upload(rooms, upload, x_clipbridge_trigger), 202)

    @router.get(
        "", response_model=None, responses=reply(200, "JobPage", "One page of jobs, newest first.") | refusals()
    )
    async def list_jobs(
        state: Annotated[
            list[str] | None,
            Query(
                description="Only jobs in these states: several times, or several with commas between.",
                json_schema_extra={"type": "array", "items": {"type": "string", "pattern": _STATE_LIST}},
            ),
        ] = None,
        batch: Annotated[str | None, Query(description="Only jobs of this batch.", min_length=1)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_JOBS_MAX)] = PAGE_JOBS,
        before: Annotated[str | None, Query(description="Only jobs older than this one.", min_length=1)] = None,
    ) -> Response:
        """The jobs, newest first."""
        states = [name for given in state or () for name in given.split(",")]
        for name in states:
            if name not in _STATES:
                raise ClipError(
                    "bad_request",
                    f'There is no state "{name[:40]}"{suggest(name, _STATES)}.',
                    hint=f"The states are {', '.join(_STATES)}.",
                )
        found = await rooms.jobs.page(states=tuple(dict.fromkeys(states)), batch=batch, limit=limit, before=before)
        return answer({"jobs": [job.public() for job in found.jobs], "next": found.next})

    @router.get("/{job_id}", response_model=None, responses=reply(200, "Job", "The job as it is now.") | refusals(404))
    async def show_job(job_id: str) -> Response:
        """One job."""
        return _shown(await known(rooms, job_id))

    @router.post(
        "/{job_id}/cancel",
        response_model=None,
        openapi_extra=_options("batch", "Cancel all living jobs of its batch too."),
        responses=reply(200, "Job", "The job; one that had ended already is as it was.") | refusals(400, 404, 409, 413),
    )
    async def cancel_job(job_id: str, request: Request) -> Response:
        """Stops a job wherever it is."""
        wanted = await options(request, _Cancel)
        return _shown(await _acted(rooms.intake.cancel(job_id, batch=wanted.batch)))

    @router.post(
        "/{job_id}/retry",
        response_model=None,
        openapi_extra=_options("pay_again", "Ask again where a call may have been charged already."),
        responses=reply(200, "Job", "The job, at work again.") | refusals(400, 404, 409, 413),
    )
    async def retry_job(job_id: str, request: Request) -> Response:
        """Takes a job up again that failed, was cancelled or waits. What is paid for is delivered at no charge."""
        wanted = await options(request, _Retry)
        return _shown(await _acted(rooms.intake.retry(job_id, pay_again=wanted.pay_again)))

    @router.post(
        "/{job_id}/forget",
        response_model=None,
        responses=reply(200, "Job", "The job, at its end.") | refusals(404, 409),
    )
    async def forget_job(job_id: str) -> Response:
        """Gives an uncertain job up."""
        return _shown(await _acted(rooms.intake.forget(job_id)))

    return router


async def known(rooms: Rooms, job_id: str) -> Job:
    """The job of that id. Raises ClipError `unknown_job`."""
    job = await rooms.jobs.get(job_id)
    if job is None:
        raise ClipError("unknown_job", f"There is no job {job_id[:80]}.", hint="`clipbridge jobs list` shows them all.")
    return job


async def _submit_upload(rooms: Rooms, upload: uploads.Upload, trigger: Literal["http", "cli"]) -> Job:
    """A request whose source came with it. What no job needs is removed again."""
    if upload.request.get("source") is not None:
        upload.discard()
        raise ClipError(
            "bad_request",
            "The request names a source and carries audio as well.",
            hint="Leave the source out, or leave the audio out.",
        )
    try:
        audio, is_new = upload.keep(rooms.uploads_dir)
    except BaseException:
        upload.discard()
        raise
    kept = False
    try:
        job = await rooms.intake.submit({**upload.request, "source": str(audio)}, trigger=trigger, uploaded=audio)
        # a repeated request is answered with the earlier job, which may have ended and let go of its audio
        kept = job.living and job.request.source == str(audio)
        return job
    finally:
        if is_new and not kept:
            uploads.discard(audio)


async def _acted(action: Awaitable[Job]) -> Job:
    """An action on a job. Its body was right, so what is refused now is refused for the job's state: 409."""
    try:
        return await action
    except WebError:
        raise
    except ClipError as error:
        if error.code != "bad_request":
            raise
        conflict = WebError(409, error.message, hint=error.hint)
        conflict.charged = error.charged
        raise conflict from error


def _shown(job: Job, status: int = 200) -> Response:
    return answer(job.public(), status)


def _options(key: str, description: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: {"type": "boolean", "default": False, "description": description}},
    }
    return json_of(schema, "May be left out.", required=False)
