"""Server-sent events: every change of a job, as it happens, to whoever listens; after a break from where it broke off.

Only how a listener is spoken to; what is told, and what is replayed, is `bridge.events`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Final

from fastapi import APIRouter, Header
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.errors import ClipError
from bridge.events import Events
from bridge.store.jobs import Event
from bridge.web.bodies import NamedQueries
from bridge.web.rooms import Rooms
from bridge.web.schema import EVENTS, refusals

KEEP_ALIVE_SECONDS: Final = 15.0
GOODBYE_SECONDS: Final = 0.2  # for the last bytes to a listener that may not read any more
ID_MAX: Final = 2**63 - 1  # what the event table can count to


def routes(rooms: Rooms, closing: asyncio.Event) -> APIRouter:
    """`GET /events`; `closing` ends all streams when the server stops."""
    router = APIRouter(route_class=NamedQueries, tags=["events"])

    @router.get("/events", response_model=None, response_class=Response, responses=EVENTS | refusals())
    async def job_events(
        last_event_id: Annotated[
            str | None,
            Header(
                pattern="^[0-9]{1,19}$", description="The id of the last event seen: what came after it is told first."
            ),
        ] = None,
    ) -> Response:
        """Every change of every job from now on, or from `Last-Event-ID` on, until one side leaves."""
        after = None if last_event_id is None else int(last_event_id)
        if after is not None and after > ID_MAX:
            raise ClipError(
                "bad_request",
                f"Last-Event-ID {after} is no id of an event: none is larger than {ID_MAX}.",
                hint="Leave it out to be told all from now on.",
            )
        return JobStream(rooms.events, after, closing)

    return router


class JobStream(Response):
    """One listener's stream.

    A listener that reads slowly holds up its own stream only, and costs no memory: the next event is fetched when the
    last one has left.
    """

    media_type = "text/event-stream"

    def __init__(self, events: Events, after: int | None, closing: asyncio.Event) -> None:
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.body = b""
        self._events = events
        self._after = after
        self._closing = closing
        self.init_headers({"cache-control": "no-store"})
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        left = asyncio.create_task(_disconnected(receive))
        tasks = [
            asyncio.create_task(self._tell(send)),
            asyncio.create_task(_keep_alive(send)),
            asyncio.create_task(self._closing.wait()),
            left,
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()  # a defect while telling is the caller's to log
        if left not in done:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, send: Send) -> None:
        await _write(send, b": listening\n\n")  # at once, so that the other side knows that it is heard
        async for event in self._events.listen(self._after):
            await _write(send, _frame(event))


def _frame(event: Event) -> bytes:
    return f"id: {event.id}\nevent: job\ndata: {event.job_json}\n\n".encode()


async def _keep_alive(send: Send) -> None:
    while True:
        await asyncio.sleep(KEEP_ALIVE_SECONDS)
        await _write(send, b": still here\n\n")


async def _write(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
