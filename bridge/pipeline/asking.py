"""The calls of a job: the intent on disk first, then the question, then looking after it until its result is a file.

This is where money can be spent, so every step that it takes back or repeats is one that cannot have cost anything. Which
calls a job needs is `submit.py`'s, what is done with a result the runner's.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable
from typing import Any

from bridge.errors import ClipError, Passing
from bridge.home import Home
from bridge.job import Call, Problem
from bridge.pipeline import retry, submit
from bridge.pipeline.board import Board
from bridge.pipeline.fetch import wait
from bridge.pipeline.prepare import Prepared
from bridge.providers.base import Answer, Finished, Model, Provider, Question, Running
from bridge.turns import Turns

log = logging.getLogger(__name__)
RUN_OUT_SECONDS = 30.0  # how long a stop waits for answers that are paid for already


class Waits(Exception):
    """A call has to wait; the job is held until then."""

    def __init__(self, hold: retry.Hold) -> None:
        super().__init__(hold.reason)
        self.hold = hold


class Asking:
    """All calls of one daemon: at most `places` in flight; `is_cancelled` tells whether a job's end was asked for."""

    def __init__(self, home: Home, board: Board, places: int, is_cancelled: Callable[[str], bool]) -> None:
        self._home = home
        self._board = board
        self._places = Turns(places)
        self._is_cancelled = is_cancelled
        self._running_out: dict[asyncio.Task[None], tuple[str, int, int]] = {}
        self._holds: dict[str, int] = {}

    def is_running_out(self, job_id: str, call: Call | None = None) -> bool:
        """Whether an answer is still to come that nobody waits for any more: of this call, or of any of the job's."""
        return any(
            out_of == job_id and (call is None or (take, piece) == (call.take, call.piece))
            for out_of, take, piece in self._running_out.values()
        )

    async def run_out(self) -> None:
        """Waits for answers that are paid for and under way, up to half a minute."""
        if self._running_out:
            await asyncio.wait(self._running_out, timeout=RUN_OUT_SECONDS)

    def holds(self, job_id: str) -> None:
        """Counts one more wait of the job: the next one is longer."""
        self._holds[job_id] = self._holds.get(job_id, 0) + 1

    def forget(self, job_id: str) -> None:
        """The job has ended, or got on: its waits count no more."""
        self._holds.pop(job_id, None)

    async def answered(self, job_id: str, call: Call, provider: Provider, model: Model, prepared: Prepared) -> Call:
        """The call with its result in a file, as soon as it is its turn.

        Raises ClipError where it failed, and `Waits` where the job has to wait.
        """
        if self._places.full:
            self._board.stage(job_id, call, "waiting")
        async with self._places.turn(self._board.job(job_id).priority):
            return await self._answered(job_id, call, provider, model, prepared)

    async def _answered(self, job_id: str, call: Call, provider: Provider, model: Model, prepared: Prepared) -> Call:
        # the intent is on disk before anything is sent
        job = self._board.job(job_id)
        question, notes = submit.question(job, call, model, prepared, self._home.job_dir(job_id))
        known = self._board.find_call(job_id, call)
        if known is not None and known.state in {"intent", "sent"} and not provider.local:
            raise lost_answer(provider)
        for attempt in itertools.count(1 + self._holds.get(job_id, 0)):
            try:
                if known is not None and known.state == "running":
                    answer: Answer = Running(
                        known.provider_job_id or "",
                        known.handle,
                        look_again_seconds=0.0,
                        available_until=known.available_until,
                    )
                else:
                    self._board.stage(job_id, call, "submitting")
                    call = call.model_copy(update={"state": "intent", "notes": tuple(notes)})
                    await self._intend(job_id, call)
                    self._board.stage(job_id, call, "rendering")
                    answer = await self._ask(job_id, call, provider, question)
                if isinstance(answer, Running):
                    answer = await self._waited(job_id, call, provider, question, answer)
                self._board.stage(job_id, call, "fetching")
                return await self._keep(job_id, call, answer)
            except ClipError as error:
                known = self._board.find_call(job_id, call)
                looking = known is not None and known.state == "running"
                step: retry.Step = "look" if looking else "ask"
                decision = retry.decide(step, error, attempt, free=provider.local or looking)
                if isinstance(decision, retry.Hold) and not looking:
                    self._board.drop_call(job_id, call)  # by the meaning of `Passing` it never reached the service
                if isinstance(decision, retry.Hold):
                    raise Waits(decision) from None
                if isinstance(decision, retry.GiveUp):
                    raise decision.error from None
        raise AssertionError("it is counted without end")

    async def _intend(self, job_id: str, call: Call) -> None:
        try:
            await self._board.change_call(job_id, call)
        except asyncio.CancelledError:
            self._board.drop_call(job_id, call)  # nothing was sent: nobody is to think that it may have been paid for
            raise

    async def _ask(self, job_id: str, call: Call, provider: Provider, question: Question) -> Answer:
        if provider.local:
            return await provider.ask(question)
        asking = asyncio.ensure_future(_asked(provider, question))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # the question is out and may be paid for: its answer is kept, whoever gave up waiting
            cancelled = self._is_cancelled(job_id)
            running_out = asyncio.ensure_future(self._run_out(job_id, call, provider, asking, cancelled))
            self._running_out[running_out] = (job_id, call.take, call.piece)
            running_out.add_done_callback(self._running_out.pop)
            raise

    async def _run_out(
        self, job_id: str, call: Call, provider: Provider, asking: asyncio.Future[Answer], cancelled: bool
    ) -> None:
        try:
            answer = await asking
        except Passing:
            # by its meaning it never reached the service
            if cancelled:
                await self._board.change_call(job_id, call, state="cancelled", charged_usd=0.0)
            else:
                self._board.drop_call(job_id, call)
            return
        except ClipError as error:
            await self._board.change_call(job_id, call, **after(error, call))
            return
        if isinstance(answer, Finished):
            await self._keep(job_id, call, answer)
            return
        # where only the daemon ends, the job goes on at its next start
        stopped = cancelled and await stopped_by(provider, answer)
        await self._board.change_call(
            job_id,
            call,
            state="cancelled" if stopped else "running",
            provider_job_id=answer.provider_job_id,
            handle=dict(answer.handle),
            available_until=answer.available_until,
        )

    async def _waited(
        self, job_id: str, call: Call, provider: Provider, question: Question, running: Running
    ) -> Finished:
        # the service's name for it is on disk before the first look: a restart looks, and does not buy again
        await self._board.change_call(
            job_id,
            call,
            state="running",
            provider_job_id=running.provider_job_id,
            handle=dict(running.handle),
            available_until=running.available_until,
        )
        return await wait(provider, question, running, lambda part: self._board.stage(job_id, call, "rendering", part))

    async def _keep(self, job_id: str, call: Call, finished: Finished) -> Call:
        self.forget(job_id)
        job_dir = self._home.job_dir(job_id)
        name = finished.file.relative_to(job_dir).as_posix()
        return await self._board.change_call(
            job_id,
            call,
            state="done",
            result_file=name,
            charged_usd=finished.charged_usd,
            seed=finished.seed if finished.seed is not None else call.seed,
            notes=(*call.notes, *finished.notes),
            error=None,
        )


def after(error: ClipError, call: Call) -> dict[str, Any]:
    """What an error makes of a call. One with its audio kept stays done, so that a retry delivers it free."""
    if call.state == "done":
        return {"error": Problem.of(error)}
    state = "uncertain" if error.code == "unknown_outcome" else "failed"
    charged = None if error.charged == "unknown" else call.estimated_usd if error.charged == "yes" else 0.0
    return {"state": state, "error": Problem.of(error), "charged_usd": charged}


async def _asked(provider: Provider, question: Question) -> Answer:
    """Puts a question that may cost. A defect on the way leaves it open whether it was accepted."""
    try:
        return await provider.ask(question)
    except ClipError:
        raise
    except Exception as error:
        log.exception("asking a provider met a defect", extra={"facts": {"provider": provider.name}})
        raise ClipError(
            "unknown_outcome",
            f"Asking {provider.name} met a defect ({type(error).__name__}: {error}); nobody knows whether it was charged.",
            hint="Look at your account there; then `clipbridge jobs retry ID --pay-again` or `clipbridge jobs forget ID`.",
            charged="unknown",
        ) from error


async def stopped_by(provider: Provider, running: Running) -> bool:
    """Tells the service to stop; whether it did. A refusal is logged and counts as no."""
    try:
        return await provider.stop(running)
    except ClipError as error:
        log.warning(
            "a service could not be told to stop", extra={"facts": {"provider": provider.name, **error.to_dict()}}
        )
        return False


def lost_answer(provider: Provider) -> ClipError:
    """The error of a call whose question was sent and whose answer never came."""
    return ClipError(
        "unknown_outcome",
        f"clipbridge ended after this was sent to {provider.name} and before the answer came; nobody knows whether it was charged.",
        hint="Look at your account there; then `clipbridge jobs retry ID --pay-again` or `clipbridge jobs forget ID`.",
        charged="unknown",
    )
