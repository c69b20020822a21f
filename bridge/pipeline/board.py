"""The living jobs as they are now: changed here first, then on disk, then told to whoever listens, always in that order.

Only bookkeeping; why a job changes is the runner's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

from bridge.errors import Charged
from bridge.events import Events
from bridge.job import Call, Job, State, Take, charged_usd, timestamp
from bridge.store import JobStore
from bridge.store.jobs import Event

log = logging.getLogger(__name__)
SAVE_AGAIN_SECONDS: Final = 5.0  # after a full disk, say
PROGRESS_EVERY_SECONDS: Final = 0.5  # progress alone is not worth an event more often

# where a call is, and how far the job is while its slowest call is there
_STAGES: Final[dict[str, tuple[State, float, str]]] = {
    "waiting": ("submitting", 0.10, "Waiting for a free place."),
    "submitting": ("submitting", 0.10, "Sending the clip."),
    "rendering": ("rendering", 0.15, "The clip is being transformed."),
    "fetching": ("fetching", 0.80, "Fetching the result."),
    "conforming": ("conforming", 0.90, "Making the take fit."),
    "ended": ("conforming", 1.00, "Making the take fit."),
}
_ORDER: Final = list(_STAGES)
RENDERING_SHARE: Final = 0.65  # of the whole way, from the start of rendering to fetching


class Saving:
    """A change on its way to disk. Awaiting it is safe to cancel: the change is made and told all the same."""

    def __init__(self, future: asyncio.Future[Event | None]) -> None:
        self._future = future

    def __await__(self) -> Generator[Any, None, Event | None]:
        return asyncio.shield(self._future).__await__()


class Board:
    """The jobs that live now, by id."""

    def __init__(self, store: JobStore, events: Events) -> None:
        self._store = store
        self._events = events
        self._jobs: dict[str, Job] = {}
        self._stages: dict[str, dict[tuple[int, int], tuple[str, float]]] = {}
        self._told_at: dict[str, float] = {}
        self._saving: set[asyncio.Future[Any]] = set()
        self._unsaved: dict[str, Job] = {}
        #: held by whoever changes a job that has ended, from reading it to the change
        self.changing_ended = asyncio.Lock()

    def put(self, job: Job) -> None:
        self._jobs[job.id] = job

    async def add(self, job: Job, then: Callable[[Job], None]) -> tuple[Job, bool]:
        """Stores a new job; `(job, True)`, or the job that has its `client_id` already and False.

        `then` is called with a job that is new, also where nobody waits for the answer any more.
        """
        adding = self._store.add(job)
        # told from the future itself, so that events go out in the order of their ids
        adding.add_done_callback(partial(self._added, then))
        stored, event = await asyncio.shield(adding)
        return stored, event is not None

    def _added(self, then: Callable[[Job], None], adding: asyncio.Future[tuple[Job, Event | None]]) -> None:
        if adding.cancelled() or adding.exception() is not None:
            return  # whoever asked has the error
        job, event = adding.result()
        if event is not None:
            self.put(job)
            then(job)
            self._events.publish(event, job)

    def get(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def job(self, job_id: str) -> Job:
        return self._jobs[job_id]

    def drop(self, job_id: str) -> Job:
        """Takes an ended job off the board."""
        self._stages.pop(job_id, None)
        self._told_at.pop(job_id, None)
        return self._jobs.pop(job_id)

    def change(self, job_id: str, **updates: Any) -> Saving:
        """Changes a job; awaited, the change is on disk. It need not be waited for where nothing hangs on it."""
        before = self._jobs[job_id]
        after = before.model_copy(update={**updates, "updated_at": timestamp()})
        self._jobs[job_id] = after
        if job_id in self._unsaved:
            self._unsaved[job_id] = after  # what is stored anew later must not be older than this
        saving = self._store.save(before, after)
        self._saving.add(saving)
        saving.add_done_callback(partial(self._saved, after))
        return Saving(saving)

    async def ended(self, job_id: str) -> Job:
        """A job that is not on the board any more, as it is on disk when all changes so far are there."""
        await self.settled()
        job = await self._store.get(job_id)
        assert job is not None, "a job that was on the board is in the store"
        return job

    async def settled(self) -> None:
        """Waits until every change so far is on disk or has failed."""
        await asyncio.gather(*self._saving, return_exceptions=True)

    # ---- calls and takes ----------------------------------------------------------------------------------------------

    def find_call(self, job_id: str, call: Call) -> Call | None:
        for known in self._jobs[job_id].calls:
            if (known.take, known.piece) == (call.take, call.piece):
                return known
        return None

    def call(self, job_id: str, call: Call) -> Call:
        """The call as the board has it, or as it was planned."""
        return self.find_call(job_id, call) or call

    async def change_call(self, job_id: str, call: Call, **updates: Any) -> Call:
        """Puts a call on the board, or changes it, and returns when that is on disk. A job that has ended is changed there."""
        if job_id in self._jobs:
            return await self._change_call(job_id, call, updates)
        async with self.changing_ended:
            if job_id in self._jobs:  # taken up again in the meantime
                return await self._change_call(job_id, call, updates)
            self.put(await self.ended(job_id))
            try:
                return await self._change_call(job_id, call, updates)
            finally:
                self.drop(job_id)

    async def _change_call(self, job_id: str, call: Call, updates: dict[str, Any]) -> Call:
        changed = self.call(job_id, call).model_copy(update=updates) if updates else call
        others = [known for known in self._jobs[job_id].calls if (known.take, known.piece) != (call.take, call.piece)]
        calls = tuple(sorted([*others, changed], key=lambda one: (one.take, one.piece)))
        job = self._jobs[job_id]
        await self.change(job_id, calls=calls, **({} if job.living else _known_late(job, calls)))
        return changed

    def drop_call(self, job_id: str, call: Call) -> None:
        """Takes a call back that never reached the service."""
        kept = tuple(one for one in self._jobs[job_id].calls if (one.take, one.piece) != (call.take, call.piece))
        self.change(job_id, calls=kept)

    def change_take(self, job_id: str, take: Take) -> Saving:
        others = [known for known in self._jobs[job_id].takes if known.take != take.take]
        return self.change(job_id, takes=tuple(sorted([*others, take], key=lambda one: one.take)))

    def stage(self, job_id: str, call: Call, stage: str, part: float | None = None) -> None:
        """Says where a call is (`part`: how far its rendering is, 0…1); the job shows its slowest call."""
        stages = self._stages.setdefault(job_id, {})
        stages[(call.take, call.piece)] = (stage, part or 0.0)
        job = self._jobs[job_id]
        slowest = min((name for name, _ in stages.values()), key=_ORDER.index)
        state, _, message = _STAGES[slowest]
        expected = max(len(stages), job.request.variations)
        progress = sum(_STAGES[name][1] + RENDERING_SHARE * done for name, done in stages.values()) / expected
        if state == job.state:
            soon = time.monotonic() - self._told_at.get(job_id, 0.0) < PROGRESS_EVERY_SECONDS
            if soon or progress <= job.progress:
                return
        self._told_at[job_id] = time.monotonic()
        self.change(job_id, state=state, message=message, progress=round(max(progress, job.progress), 3))

    # ---- on disk ------------------------------------------------------------------------------------------------------

    def _saved(self, job: Job, saving: asyncio.Future[Any]) -> None:
        self._saving.discard(saving)
        if saving.cancelled():
            return
        error = saving.exception()
        if error is None:
            event: Event | None = saving.result()
            if event is not None:
                self._events.publish(event, job)
            return
        log.error("a job's change could not be stored", extra={"facts": {"job": job.id, "reason": str(error)}})
        self._unsaved[job.id] = self._jobs.get(job.id, job)
        asyncio.get_running_loop().call_later(SAVE_AGAIN_SECONDS, self._save_again, job.id)

    def _save_again(self, job_id: str) -> None:
        if job_id in self._unsaved:
            left = self._unsaved.pop(job_id)
            job = self._jobs.get(job_id, left)
            saving = self._store.save_all(job)
            self._saving.add(saving)
            saving.add_done_callback(partial(self._saved, job))


def _known_late(job: Job, calls: tuple[Call, ...]) -> dict[str, Any]:
    """What the answer to a call means for a job that was cancelled in the meantime."""
    cost = charged_usd(calls)
    lost = next((call.error for call in calls if call.state == "uncertain"), None)
    if lost is not None:
        return {"charged_usd": cost, "state": "uncertain", "error": lost, "message": lost.message}
    if job.error is None or job.error.code != "cancelled":
        return {"charged_usd": cost}
    charged: Charged = "unknown" if cost is None else "yes" if cost else "no"
    return {"charged_usd": cost, "error": job.error.model_copy(update={"charged": charged})}
