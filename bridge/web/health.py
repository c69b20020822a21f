"""The one route without a token: whether the daemon lives, and which one it is."""

from __future__ import annotations

import os

from fastapi import APIRouter
from starlette.responses import Response

from bridge import __version__
from bridge.web.answers import answer
from bridge.web.bodies import NamedQueries
from bridge.web.rooms import Rooms
from bridge.web.schema import refusals, reply


def routes(rooms: Rooms) -> APIRouter:
    """`/health`."""
    router = APIRouter(route_class=NamedQueries, tags=["health"], default_response_class=Response)
    refused = refusals()
    del refused[401]

    @router.get(
        "/health",
        response_model=None,
        openapi_extra={"security": []},
        responses=reply(200, "Health", "It lives.") | refused,
    )
    async def health() -> Response:
        """That the daemon lives, where its home is and since when; asked without a token."""
        started_at = rooms.facts().get("started_at")
        return answer(
            {
                "version": __version__,
                "pid": os.getpid(),
                "home": str(rooms.home.root),
                "started_at": started_at,
                "state": "starting" if started_at is None else "ok",
            }
        )

    return router
