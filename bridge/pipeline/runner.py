"""Leads every living job through the stages: who goes next, what is kept at each step, what happens when something fails.

The stages themselves are the modules beside this one; whether a request is taken at all is intake's to say. All changes of a
job go through here, so that what is in memory, on disk and in the event stream is the same story.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bridge.config import Config
from bridge.errors import Charged, ClipError, SourceUnfinished, internal
from bridge.events import Events
from bridge.home import Home
from bridge.job import Call, Held, Job, Problem, charged_usd, seconds_of, timestamp
from bridge.pipeline import conform, prepare, retry, submit
from bridge.pipeline.asking import Asking, Waits, after, lost_answer, stopped_by
from bridge.pipeline.board import Board
from bridge.pipeline.placing import Placing
from bridge.pipeline.prepare import Prepared
from bridge.pipeline.unfinished import until_whole
from bridge.providers import Providers
from bridge.providers.base import Model, Provider, Running
from bridge.store import JobStore
from bridge.worker import Workers

T = TypeVar("T")
log = logging.getLogger(__name__)
AHEAD = 2  # jobs that are prepared or conformed while all calls are in flight


class Runner:
    """The one place from which jobs are moved on."""

    def __init__(
        self, home: Home, config: Config, store: JobStore, events: Events, workers: Workers, providers: Providers
    ) -> None:
        self._home = home
        self._config = config
        self._workers = workers
        self._providers = providers
        self._board = Board(store, events)
        self._asking = Asking(home, self._board, config.daemon.concurrency, lambda job_id: job_id in self._cancelling)
        self._placing = Placing(home, self._board)
        self._queue: list[tuple[int, int, str]] = []
        self._order = itertools.count()
        self._leading: dict[str, asyncio.Task[None]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._cancelling: dict[str, asyncio.Task[Job]] = {}
        self._stopping = False

    # ---- from outside -------------------------------------------------------------------------------------------------

    async def accept(self, job: Job) -> tuple[Job, bool]:
        """Stores a new job and takes it on; `(job, True)`, or the job that has its `client_id` already and False."""
        return await self._board.add(job, self._take_on)

    def add(self, job: Job) -> None:
        """Takes a job on: a new one, or one of an earlier run that goes on where it was."""
        self._board.put(job)
        self._take_on(job)

    def _take_on(self, job: Job) -> None:
        if job.held is None:
            self._enqueue(job.id)
        elif job.held.reason == "source_unfinished":
            self._lead(job.id)  # it only waits: that takes nobody's place
        else:
            self._wake_at(job.id, seconds_of(job.held.until))

    async def stop(self) -> None:
        """Lets go of all jobs where they are; the next start goes on from there.

        Answers that are paid for and under way are waited for, up to half a minute.
        """
        self._stopping = True
        for timer in self._timers.values():
            timer.cancel()
        await asyncio.gather(*self._cancelling.values(), return_exceptions=True)
        leading = list(self._leading.values())
        for task in leading:
            task.cancel()
        await asyncio.gather(*leading, return_exceptions=True)
        await self._asking.run_out()
        await self._board.settled()

    def living(self, job_id: str) -> Job | None:
        job = self._board.get(job_id)
        return job if job is not None and job.living else None

    async def cancel(self, job_id: str) -> Job:
        """Ends a living job at whatever stage it is. Work that a service cannot stop runs out; its audio is kept."""
        cancelling = self._cancelling.get(job_id)
        if cancelling is None:
            cancelling = asyncio.get_running_loop().create_task(self._cancel(job_id), name=f"cancel {job_id}")
            self._cancelling[job_id] = cancelling
            cancelling.add_done_callback(lambda _: self._cancelling.pop(job_id))
        return await asyncio.shield(cancelling)

    async def _cancel(self, job_id: str) -> Job:
        await self._let_go(job_id)
        self._unqueue(job_id)
        job = self.living(job_id)
        if job is not None and sum(take.placed for take in job.takes) < job.request.variations:
            return await self._end_cancelled(job_id)
        if job is not None:
            await self._end(job_id)
        return await self._board.ended(job_id)  # it came to its end in this very moment

    async def _let_go(self, job_id: str) -> None:
        """Nobody leads the job any more when this returns."""
        task = self._leading.get(job_id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def again(self, job_id: str, calls_that_count: Callable[[Job], tuple[Call, ...]]) -> Job:
        """Takes an ended or held job up again with `calls_that_count` of the job as it is now.

        Raises what that raises, and ClipError `bad_request` while its source is still being written, or an answer to a
        call is still to come.
        """
        async with self._board.changing_ended:
            job = await self._not_at_work(job_id)
            calls = calls_that_count(job)
            if job.held is not None and job.held.reason == "source_unfinished":
                raise ClipError(
                    "bad_request",
                    f"Job {job_id} waits for its source to become whole; it goes on by itself.",
                    hint="Finish the export, or cancel the job.",
                )
            if self._asking.is_running_out(job_id):
                raise ClipError(
                    "bad_request",
                    f"The answer to what job {job_id} sent is still under way.",
                    hint="Retry when it is there: what is paid for is then delivered at no further charge.",
                )
            self._unqueue(job_id)
            self._board.put(job)
            saving = self._board.change(
                job_id,
                state="queued",
                calls=calls,
                error=None,
                held=None,
                progress=0.0,
                message="Waiting for its turn.",
            )
            self._enqueue(job_id)
            taken_up = self._board.job(job_id)
            await saving
            return taken_up

    async def settle(self, job_id: str, decided: Callable[[Job], dict[str, Any]]) -> Job:
        """Changes a job that has ended as a person `decided`, who is shown the job as it is now. Raises what that raises."""
        async with self._board.changing_ended:
            job = await self._not_at_work(job_id)
            updates = decided(job)
            self._board.put(job)
            saving = self._board.change(job_id, **updates)
            settled = self._board.drop(job_id)
            await saving
            return settled

    async def _not_at_work(self, job_id: str) -> Job:
        """The job as it is now; where it has ended or is held, nobody leads it any more, nor is about to end it."""
        if job_id in self._cancelling:
            await asyncio.wait({self._cancelling[job_id]})
        job = self.living(job_id)
        if job is None or (job.held is not None and job.held.reason != "source_unfinished"):
            await self._let_go(job_id)  # who led it is about to leave
            job = self.living(job_id)
        return job or await self._board.ended(job_id)

    # ---- whose turn it is ---------------------------------------------------------------------------------------------

    def _enqueue(self, job_id: str) -> None:
        heapq.heappush(self._queue, (self._board.job(job_id).priority, next(self._order), job_id))
        # not at once: of those that are handed in together (at a start, say) the most urgent goes first
        asyncio.get_running_loop().call_soon(self._fill)

    def _unqueue(self, job_id: str) -> None:
        self._queue = [entry for entry in self._queue if entry[2] != job_id]
        heapq.heapify(self._queue)
        timer = self._timers.pop(job_id, None)
        if timer is not None:
            timer.cancel()

    def _fill(self) -> None:
        while self._queue and not self._stopping:
            priority, _, job_id = self._queue[0]
            if self._at_work(priority) >= self._config.daemon.concurrency + AHEAD:
                return
            heapq.heappop(self._queue)
            self._lead(job_id)

    def _at_work(self, priority: int) -> int:
        """The jobs under way that are at least as urgent: a person's clip does not wait until a folder's is done."""
        jobs = (self._board.get(job_id) for job_id in self._leading)
        return sum(1 for job in jobs if job is not None and job.held is None and job.priority <= priority)

    def _wake_at(self, job_id: str, at_seconds: float) -> None:
        delay_seconds = max(0.0, at_seconds - time.time())
        self._timers[job_id] = asyncio.get_running_loop().call_later(delay_seconds, self._wake, job_id)

    def _wake(self, job_id: str) -> None:
        self._timers.pop(job_id, None)
        self._enqueue(job_id)

    def _lead(self, job_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._led(job_id), name=f"job {job_id}")
        self._leading[job_id] = task
        task.add_done_callback(partial(self._left, job_id))

    def _left(self, job_id: str, task: asyncio.Task[None]) -> None:
        # not in the task itself: one that is cancelled before its first step never runs
        del self._leading[job_id]
        if not task.cancelled() and task.exception() is not None:
            log.error("a job could not be ended", exc_info=task.exception(), extra={"facts": {"job": job_id}})
        self._fill()

    async def _led(self, job_id: str) -> None:
        """One job's story with its possible endings."""
        try:
            await self._story(job_id)
        except Waits as waiting:
            self._hold(job_id, waiting.hold)
        except ClipError as error:
            await self._end_failed(job_id, error)
        except Exception as error:
            log.exception("a job met a defect", extra={"facts": {"job": job_id}})
            await self._end_failed(job_id, internal(f"The job met a defect: {type(error).__name__}: {error}."))

    # ---- the story of one job -----------------------------------------------------------------------------------------

    async def _story(self, job_id: str) -> None:
        provider, model = self._who(self._board.job(job_id))
        prepared = await self._prepared_when_whole(job_id, model)
        if provider is None or model is None:
            await self._copy(job_id, prepared)
        else:
            await self._ask_all(job_id, provider, model, prepared)
        await self._end(job_id)

    def _who(self, job: Job) -> tuple[Provider | None, Model | None]:
        if job.request.kind == "copy":
            return None, None
        provider = self._providers.get(job.provider)
        return provider, provider.model(job.model)

    async def _prepared_when_whole(self, job_id: str, model: Model | None) -> Prepared:
        for looks_left in reversed(range(prepare.MAX_LOOKS)):
            job = self._board.job(job_id)
            if job.held is not None and job.held.reason == "source_unfinished":
                await self._until_source_is_whole(job)
            self._board.change(job_id, state="preparing", held=None, progress=0.02, message="Reading the clip.")
            try:
                prepared = await self._prepared(job, model)
            except SourceUnfinished as error:
                # whole when it was asked for, and rewritten before its turn came
                if not looks_left:
                    raise
                until = timestamp(time.time() + self._config.daemon.unfinished_seconds)
                held = Held(reason="source_unfinished", until=until)
                self._board.change(job_id, state="held", held=held, message=f"{_WAITING[held.reason]} {error}")
                self._fill()
                continue
            kind = job.request.kind
            refusal = None if model is None or kind == "copy" else model.refusal(kind, prepared.seconds)
            if refusal is not None:
                raise refusal  # how long the clip is could not be seen while it was unfinished
            return prepared
        raise AssertionError("the last look returns or raises")

    async def _until_source_is_whole(self, job: Job) -> None:
        def grew(until: str) -> None:
            self._board.change(job.id, held=Held(reason="source_unfinished", until=until))

        await until_whole(job, self._workers.run, self._config.daemon.unfinished_seconds, grew)

    async def _prepared(self, job: Job, model: Model | None) -> Prepared:
        job_dir = self._home.job_dir(job.id)
        if job.cut is not None:
            prepared = Prepared(**job.cut)
            if job.request.source is None or prepare.still_there(prepared, job_dir):
                return prepared
        if job.request.source is None:
            assert model is not None
            prepared = prepare.without_source(job, model, job_dir)
        else:
            prepared = await self._audio(lambda: prepare.prepare(job, model, job_dir, self._workers.run))
        self._board.change(job.id, cut=prepared.to_dict())
        return prepared

    async def _copy(self, job_id: str, prepared: Prepared) -> None:
        for number in range(1, self._board.job(job_id).request.variations + 1):
            if await self._placing.is_delivered(job_id, number, prepared):
                continue
            self._board.change(job_id, state="conforming", progress=0.5, message="Copying the region.")
            made = await self._audio(partial(self._copied, job_id, number, prepared))
            await _to_the_end(self._placing.deliver(job_id, None, number, made, prepared))

    async def _copied(self, job_id: str, number: int, prepared: Prepared) -> conform.Conformed:
        job, folder, job_dir = self._board.job(job_id), self._placing.folder(job_id), self._home.job_dir(job_id)
        return await conform.copy(job, prepared, number, folder, job_dir, self._workers.run)

    async def _ask_all(self, job_id: str, provider: Provider, model: Model, prepared: Prepared) -> None:
        """All calls of the job at once, as far as there are places; each delivers its take as soon as it has one."""
        job = self._board.job(job_id)
        metering = asyncio.ensure_future(self._metered(job, prepared))
        open_calls = [*job.calls, *submit.plan(job, model)]
        outcomes = await _all_or_cancel(
            [self._take(job_id, call, provider, model, prepared, metering) for call in open_calls], metering
        )
        waits = [outcome for outcome in outcomes if isinstance(outcome, Waits)]
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Waits):
                raise outcome
        if waits:
            raise max(waits, key=lambda waiting: waiting.hold.seconds)

    async def _metered(self, job: Job, prepared: Prepared) -> Prepared:
        """What needs only the source is measured while the service renders."""
        if prepared.metered or not job.request.match_loudness or job.request.source is None:
            return prepared
        job_dir = self._home.job_dir(job.id)
        loudness = await self._audio(lambda: prepare.meter(job, prepared, job_dir, self._workers.run))
        metered = Prepared(**{**prepared.to_dict(), **loudness, "metered": True})
        self._board.change(job.id, cut=metered.to_dict())
        return metered

    async def _take(
        self,
        job_id: str,
        call: Call,
        provider: Provider,
        model: Model,
        prepared: Prepared,
        metering: asyncio.Future[Prepared],
    ) -> None:
        """One call from its question to its take on disk. What fails here fails this take, not the others."""
        try:
            if call.state in {"failed", "cancelled", "uncertain"}:
                return
            if call.state != "done":
                call = await self._asking.answered(job_id, call, provider, model, prepared)
            metered = await asyncio.shield(metering)
            if await self._placing.is_delivered(job_id, call.take, metered):
                return
            self._board.stage(job_id, call, "conforming")
            job, folder = self._board.job(job_id), self._placing.folder(job_id)
            assert call.result_file is not None
            result = self._home.job_dir(job_id) / call.result_file
            made = await self._audio(
                partial(conform.conform, job, metered, result, call.take, folder, self._workers.run)
            )
            await _to_the_end(self._placing.deliver(job_id, call, call.take, made, metered))
        except ClipError as error:
            log.warning("a take failed", extra={"facts": {"job": job_id, "take": call.take, **error.to_dict()}})
            await self._board.change_call(job_id, call, **after(error, self._board.call(job_id, call)))

    # ---- when something fails -----------------------------------------------------------------------------------------

    async def _audio(self, work: Callable[[], Awaitable[T]]) -> T:
        """Runs audio work; a process that crashed in it is given the work once more."""
        attempt = 1
        while True:
            try:
                return await work()
            except ClipError as error:
                decision = retry.decide("audio", error, attempt, free=True)
                if not isinstance(decision, retry.Again):
                    raise
                attempt += 1

    def _hold(self, job_id: str, hold: retry.Hold) -> None:
        self._asking.holds(job_id)
        at_seconds = time.time() + hold.seconds
        held = Held(reason=hold.reason, until=timestamp(at_seconds))
        self._board.change(job_id, state="held", held=held, message=_WAITING[hold.reason])
        self._wake_at(job_id, at_seconds)

    # ---- the endings --------------------------------------------------------------------------------------------------

    async def _end(self, job_id: str, failure: ClipError | None = None) -> None:
        """The end that follows from what the calls came to; `failure` is what kept the job from going on, if anything did."""
        await self._clear_up(job_id)
        job = self._board.job(job_id)
        placed = [take for take in job.takes if take.placed]
        problems = [call.error for call in job.calls if call.error is not None]
        if failure is not None:
            problems.insert(0, Problem.of(failure))
        if any(call.state == "uncertain" for call in job.calls):
            uncertain = next(call.error for call in job.calls if call.state == "uncertain")
            await self._finish(job_id, state="uncertain", error=uncertain, message="Paid or not: nobody knows.")
        elif placed:
            count = f"{len(placed)} of {job.request.variations} takes" if job.request.variations > 1 else "The take"
            verb = "are" if job.request.variations > 1 else "is"
            error = problems[0] if problems else None
            await self._finish(
                job_id,
                state="delivered",
                progress=1.0,
                error=error,
                message=f"{count} {verb} in {Path(placed[0].path).parent}.",
            )
        else:
            problems = problems or [Problem.of(internal("No take was made, and none of the calls says why."))]
            await self._finish(job_id, state="failed", error=problems[0], message=problems[0].message)

    async def _end_failed(self, job_id: str, error: ClipError) -> None:
        log.warning("a job failed", extra={"facts": {"job": job_id, **error.to_dict()}})
        await self._end(job_id, error)

    async def _end_cancelled(self, job_id: str) -> Job:
        await self._clear_up(job_id)
        job, stopped = self._board.job(job_id), set()
        for call in job.calls:
            running = Running(call.provider_job_id or "", call.handle)
            if call.state == "running" and await stopped_by(self._providers.get(job.provider), running):
                stopped.add((call.take, call.piece))
        # from here on without a pause: an answer that came during the last one is on the board
        calls = tuple(self._given_up(job_id, call, stopped) for call in self._board.job(job_id).calls)
        lost = next((call.error for call in calls if call.state == "uncertain"), None)
        if lost is not None:
            return await self._finish(job_id, state="uncertain", calls=calls, error=lost, message=lost.message)
        cost = charged_usd(calls)
        charged: Charged = "unknown" if cost is None else "yes" if cost else "no"
        unstoppable = any(call.state in _UNDER_WAY for call in calls)
        message = (
            "Cancelled."
            if not unstoppable
            else "Cancelled; what was sent runs out at the service, and its audio is kept."
        )
        error = Problem(
            code="cancelled",
            message=message,
            hint="`clipbridge jobs retry` takes it up again; what is ready by then is delivered at no further charge.",
            charged=charged,
        )
        return await self._finish(job_id, state="cancelled", calls=calls, error=error, message=message)

    def _given_up(self, job_id: str, call: Call, stopped: set[tuple[int, int]]) -> Call:
        """What becomes of a call when its job is cancelled."""
        if (call.take, call.piece) in stopped:
            return call.model_copy(update={"state": "cancelled"})
        if call.state not in {"intent", "sent"} or self._asking.is_running_out(job_id, call):
            return call
        provider = self._providers.get(self._board.job(job_id).provider)
        if provider.local:
            return call.model_copy(update={"state": "cancelled", "charged_usd": 0.0})
        return call.model_copy(update=after(lost_answer(provider), call))

    def _is_free(self, job: Job) -> bool:
        try:
            return self._providers.get(job.provider).local
        except ClipError:
            return False  # a copy, or a provider that this version does not have any more: its calls know

    async def _clear_up(self, job_id: str) -> None:
        """Before it is decided how a job ends: nothing half done of it stays in the results folder."""
        job = self._board.job(job_id)
        if sum(take.placed for take in job.takes) == job.request.variations:
            return
        try:
            await self._placing.clear(job)
        except ClipError as error:
            log.error("what a job left behind stays", extra={"facts": {"job": job_id, "reason": error.message}})

    async def _finish(self, job_id: str, **updates: Any) -> Job:
        """The last change of a job. Made at once, without a pause; and once it is decided, nothing keeps the job from leaving."""
        job = self._board.job(job_id)
        calls: tuple[Call, ...] = updates.get("calls", job.calls)
        self._asking.forget(job_id)
        cost = 0.0 if self._is_free(job) else charged_usd(calls)
        saving = self._board.change(job_id, held=None, charged_usd=cost, **updates)
        try:
            await saving
        except ClipError as error:
            # the board goes on trying; meanwhile the job is as ended as one can be
            log.error("a job's end is not on disk yet", extra={"facts": {"job": job_id, "reason": error.message}})
        finally:
            ended = self._board.drop(job_id)
        return ended


_WAITING = {
    "budget": "Waiting until the budget allows it.",
    "network": "Waiting for the network.",
    "provider_down": "Waiting for the service to come back.",
    "rate_limit": "Waiting because the service was asked too often.",
    "source_unfinished": "Waiting until the file is whole.",
}


_UNDER_WAY = {"intent", "sent", "running"}


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Short work that is not to be left half done: where this is cancelled, the work ends first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled() and task.exception() is not None:
            log.warning("a delivery failed", exc_info=task.exception())
        raise


async def _all_or_cancel(coroutines: list[Coroutine[Any, Any, None]], companion: asyncio.Future[Any]) -> list[Any]:
    """All results or exceptions; where this is cancelled, everything under way is cancelled with it."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        unfinished = [task for task in (*tasks, companion) if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        if companion.done() and not companion.cancelled():
            companion.exception()  # every take that needed it has it as its own error already
