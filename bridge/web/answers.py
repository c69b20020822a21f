"""How HTTP answers: jobs and pages as plain JSON, and every refusal in the contract's one shape with its status.

Which request is refused, and why, is decided elsewhere; here only the code becomes a status.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.errors import ERROR_CODES, ClipError, ErrorCode, internal

log = logging.getLogger(__name__)

# what is not named here is a refusal of a well-formed request: 409
_STATUS_OF_CODE: Final[dict[str, int]] = {
    "bad_request": 422,  # malformed in content; what is no JSON object at all is a 400 (`WebError`)
    "unauthorized": 401,
    "forbidden": 403,
    "source_not_found": 404,
    "unknown_job": 404,
    "internal": 500,
    "disk_full": 507,
}
STATUS_OF: Final[dict[str, int]] = {code: _STATUS_OF_CODE.get(code, 409) for code in ERROR_CODES}


class WebError(ClipError):
    """A refusal whose status HTTP itself gives and no error code tells: 400, 405, 413, a page that is not there."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str,
        code: ErrorCode = "bad_request",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.status = status
        self.headers = headers


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer. Escaped to ASCII: a file name that is no valid Unicode must not break the job it belongs to."""
    body = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    return Response(body, status, headers, media_type="application/json")


def refusal(error: ClipError) -> Response:
    """The contract's error object with the status that belongs to it."""
    status = error.status if isinstance(error, WebError) else STATUS_OF[error.code]
    headers = dict(error.headers or {}) if isinstance(error, WebError) else {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status >= 500:
        log.error("a request failed", extra={"facts": {"code": error.code, "reason": error.message}})
    return answer({"error": error.to_dict()}, status, headers)


async def on_clip_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ClipError)
    return refusal(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """What routing refuses: no such page, a method that the page does not know."""
    assert isinstance(error, HTTPException)
    place, headers = request.url.path, error.headers
    if error.status_code == 404:
        message, hint = f"There is nothing at {place}.", "GET /openapi.json lists what there is."
    elif error.status_code == 405:
        allowed = ", ".join(_methods_of(request))
        message, hint, headers = f"{place} does not take {request.method}.", f"Use {allowed}.", {"allow": allowed}
    else:
        message, hint = f"{place} refused it: {error.detail}.", "GET /openapi.json says what is expected."
    return refusal(WebError(error.status_code, message, hint=hint, headers=headers))


def _methods_of(request: Request) -> list[str]:
    """All methods that the page takes; a single route of it knows its own only."""
    return [
        method
        for method in ("GET", "POST")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def on_invalid(_request: Request, error: Exception) -> Response:
    """Values in the address or the headers that are not what they should be, all at once."""
    assert isinstance(error, RequestValidationError)
    wrong = [f"{finding['loc'][-1]} {_finding(finding)}" for finding in error.errors()]
    return refusal(
        ClipError(
            "bad_request",
            f"The request cannot be used: {'; '.join(wrong)}.",
            hint="Correct what is named and send it again; GET /openapi.json says what is allowed.",
        )
    )


def _finding(finding: Mapping[str, Any]) -> str:
    if finding["type"] == "missing":
        return "is missing"
    text = repr(finding.get("input"))
    given = text if len(text) <= 60 else f"{text[:57]}…"
    if finding["type"] == "string_pattern_mismatch":
        return f"should look like {finding['ctx']['pattern']}, not {given}"
    return f"{str(finding['msg']).removeprefix('Input ')}, not {given}"


class CatchAll:
    """The last line: a defect of ours becomes an answer in the contract's shape, with the traceback in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            log.debug("the other side left before it had sent all", extra={"facts": {"path": scope.get("path")}})
        except Exception:
            if started:
                raise  # too late for an answer; the server logs it and ends the connection
            log.exception("a request met a defect", extra={"facts": {"path": scope.get("path")}})
            await refusal(internal("clipbridge met a defect of its own while it handled this request."))(
                scope, receive, send
            )
