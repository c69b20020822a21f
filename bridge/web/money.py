"""The routes of money: what requests would cost, and what was spent. Prices and charges themselves are the engine's."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from bridge.web.answers import WebError, answer
from bridge.web.bodies import NamedQueries, json_body
from bridge.web.rooms import Rooms
from bridge.web.schema import json_of, refusals, reply

PAGE_ENTRIES: Final = 100
PAGE_ENTRIES_MAX: Final = 1_000
ID_MAX: Final = 2**63 - 1  # what the ledger can count to
_PRICED: Final = {"anyOf": [{"type": "object"}, {"type": "array"}]}


def routes(rooms: Rooms) -> APIRouter:
    """`/price` and `/ledger`."""
    router = APIRouter(route_class=NamedQueries, tags=["money"], default_response_class=Response)

    @router.post(
        "/price",
        response_model=None,
        openapi_extra=json_of(_PRICED, "A request as `POST /api/v1/jobs` takes it, or a list of them."),
        responses=reply(200, "Price", "The price of each, and of all.") | refusals(400, 413),
    )
    async def price_requests(request: Request) -> Response:
        """What requests would cost, and by whom; no job is made. One that would be refused says so in its `error`."""
        given = await json_body(request)
        if not isinstance(given, dict | list):
            raise WebError(
                400, "The body is JSON, but neither an object nor a list.", hint="Send a request, or a list of them."
            )
        return answer(await rooms.intake.price(given))

    @router.get("/ledger", response_model=None, responses=reply(200, "LedgerPage", "One page of charges.") | refusals())
    async def list_ledger(
        limit: Annotated[int, Query(ge=1, le=PAGE_ENTRIES_MAX)] = PAGE_ENTRIES,
        before: Annotated[int | None, Query(ge=1, le=ID_MAX, description="Only charges older than this one.")] = None,
    ) -> Response:
        """What was spent, newest first."""
        page = await rooms.ledger.page(limit, before)
        return answer({"entries": [asdict(entry) for entry in page.entries], "next": page.next})

    return router
