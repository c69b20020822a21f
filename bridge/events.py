"""The one stream out: every change of a job, in order, to whoever listens; what was missed is replayed from the store.

Tells only what is on disk already. Who changes jobs is the runner's; how a listener is spoken to is the triggers' and the web's.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable

from bridge.job import Job
from bridge.store import JobStore
from bridge.store.jobs import Event

log = logging.getLogger(__name__)
KEPT_IN_MEMORY = 512  # a listener that is further behind reads the store

Callback = Callable[[Event, Job], None]


class Events:
    """The stream of one daemon."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._newest_id = 0
        self._recent: deque[Event] = deque(maxlen=KEPT_IN_MEMORY)
        self._callbacks: list[Callback] = []
        self._news = asyncio.Condition()
        self._waking: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Finds out how far the stream came in earlier runs."""
        self._newest_id = await self._store.newest_event_id()

    def publish(self, event: Event, job: Job) -> None:
        """Tells everybody of a change that is on disk. Called in the order of the events' ids."""
        self._newest_id = event.id
        self._recent.append(event)
        for callback in tuple(self._callbacks):
            try:
                callback(event, job)
            except Exception:
                # one listener's defect must not keep the news from the others, or stop the job it is about
                log.exception("a listener failed", extra={"facts": {"job": job.id}})
        waking = asyncio.ensure_future(self._wake())
        self._waking.add(waking)
        waking.add_done_callback(self._waking.discard)

    def subscribe(self, callback: Callback) -> Callable[[], None]:
        """Calls `callback(event, job)` in the loop for each change from now on; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def listen(self, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Every event after the given id, then every new one, without end; None: from now on, which is this very call.

        An id from the future (another database's) is taken as "from now on".
        """
        return self._told(self._newest_id if after is None or after > self._newest_id else after)

    async def _told(self, seen: int) -> AsyncGenerator[Event, None]:
        while True:
            while seen < self._newest_id:
                for event in await self._after(seen):
                    yield event
                    seen = event.id
            async with self._news:
                while self._newest_id <= seen:
                    await self._news.wait()

    async def _after(self, seen: int) -> list[Event]:
        if self._recent and self._recent[0].id <= seen + 1:
            return [event for event in self._recent if event.id > seen]
        return await self._store.events_since(seen)

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()
