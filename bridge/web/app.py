"""The HTTP application: its doors, its routes noun by noun, and the one shape of its refusals.

Puts together only; how it is listened for is `bridge.web.serve`, what it answers stands in the modules of the nouns.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from bridge import __version__
from bridge.errors import ClipError
from bridge.web import audio, health, jobs, money, offers, stream
from bridge.web.answers import CatchAll, on_clip_error, on_http_error, on_invalid
from bridge.web.doors import Doors
from bridge.web.rooms import Rooms
from bridge.web.schema import describe

PREFIX: Final = "/api/v1"


def create_app(rooms: Rooms, token: str) -> FastAPI:
    """The application over one engine. Setting `app.state.closing` ends its event streams."""
    app = FastAPI(
        title="clipbridge",
        version=__version__,
        description="Turns a clip into what its producer asks for; on this computer only.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers={
            ClipError: on_clip_error,
            HTTPException: on_http_error,
            RequestValidationError: on_invalid,
        },
        # nothing about a person's work is reported anywhere, whatever the environment of the daemon says
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    closing = asyncio.Event()
    app.state.closing = closing
    for routes in (
        health.routes(rooms),
        jobs.routes(rooms),
        audio.routes(rooms),
        stream.routes(rooms, closing),
        money.routes(rooms),
        offers.routes(rooms),
    ):
        app.include_router(routes, prefix=PREFIX)
    app.add_middleware(CatchAll)
    app.add_middleware(Doors, token=token)  # added last, so it stands first
    _describe_once(app)
    return app


def _describe_once(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
