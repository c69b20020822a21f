"""Reads what a request carries: JSON bodies, and the names in its address.

Refuses what is no JSON, too large, or unknown by name. What the values mean is intake's; bodies with audio in them are
read by `bridge.web.uploads`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn, TypeVar

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.responses import Response

from bridge.errors import ClipError
from bridge.request import Frozen
from bridge.validation import findings, suggest
from bridge.web.answers import WebError

JSON_MAX_BYTES: Final = 4 << 20  # a list of two thousand requests with the largest `context` fits
M = TypeVar("M", bound=Frozen)


class NamedQueries(APIRoute):
    """A route that refuses unknown names after the "?", as every other unknown key is refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = sorted(field.alias for field in self.dependant.query_params)

        async def checked(request: Request) -> Response:
            unknown = sorted(set(request.query_params) - set(known))
            if unknown:
                raise ClipError(
                    "bad_request",
                    f'{request.url.path} knows no "{unknown[0]}"{suggest(unknown[0], known)}.',
                    hint=f"Known after the question mark: {', '.join(known)}."
                    if known
                    else "Leave out all after the question mark.",
                )
            return await handle(request)

        return checked


async def json_body(request: Request) -> Any:
    """The body as parsed JSON. Raises WebError 400 for what is no JSON and 413 for more than `JSON_MAX_BYTES`."""
    if int(request.headers.get("content-length", "0")) > JSON_MAX_BYTES:
        _too_large()
    body = bytearray()
    async for block in request.stream():
        body += block
        if len(body) > JSON_MAX_BYTES:
            _too_large()
    return parse(bytes(body), "The body")


async def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises WebError 400 also for any other JSON."""
    return an_object(await json_body(request), "The body")


async def options(request: Request, model: type[M]) -> M:
    """The few optional keys of an action; no body means all defaults. Raises ClipError `bad_request`, WebError 400."""
    given = {}
    if request.headers.get("content-length", "") not in ("", "0") or "transfer-encoding" in request.headers:
        given = await json_object(request)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise ClipError(
            "bad_request",
            "The body cannot be used: " + "; ".join(f"{key} {text}" for key, text in findings(error, model)) + ".",
            hint="Correct what is named; nothing was changed.",
        ) from None


def parse(text: bytes, what: str) -> Any:
    """JSON text as values; `what` names it in the sentence. Raises WebError 400."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise WebError(400, f"{what} is nested too deeply.", hint=_HINT) from None
    except ValueError as error:  # a wrong encoding, a wrong character, a number of thousands of digits
        raise WebError(400, f"{what} is not JSON: {error}.", hint=_HINT) from None


def an_object(value: Any, what: str) -> dict[str, Any]:
    """The value, if it is a JSON object. Raises WebError 400."""
    if not isinstance(value, dict):
        raise WebError(400, f"{what} is JSON, but no object.", hint=_HINT)
    return value


_HINT: Final = 'Send a JSON object in UTF-8, such as {"source": "/path/clip.wav", "preset": "lo-fi-tape"}.'


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # 1e999 would become an infinity, which no answer could hold
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _too_large() -> NoReturn:
    raise WebError(
        413,
        f"The body is larger than {JSON_MAX_BYTES >> 20} MiB.",
        hint="Send fewer requests at a time; audio goes in a multipart body or stays where it is.",
        code="too_large",
    )
