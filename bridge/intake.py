"""The one door in: every trigger's request is checked, priced and turned into a job here, and nobody goes round it.

What intake can see (a wrong request, a source or a provider that is not there, a price over the limit) makes no job but an
answer; what shows later is a failed job. Leading jobs through the stages is the runner's.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from bridge import money
from bridge.config import Config
from bridge.errors import ClipError, SourceUnfinished
from bridge.home import Home
from bridge.job import Call, Held, Job, Trigger, new_id, timestamp
from bridge.pipeline.prepare import region_frames
from bridge.pipeline.runner import Runner
from bridge.presets import DEFAULT, Presets
from bridge.providers import Choice, Providers
from bridge.request import SEED_MAX, SEED_MIN, Request, fingerprint, resolve
from bridge.store import JobStore
from bridge.worker import Workers

log = logging.getLogger(__name__)
PERSON: Final = 0  # somebody waits for it
DROP: Final = 10  # dropped into the folder
WATCH: Final = 20  # arrived in a watched folder by itself


@dataclass(frozen=True)
class _Seen:
    """What intake saw of a request: its length, whether the file is still being written, who does it and for how much."""

    request: Request
    seconds: float
    unfinished: SourceUnfinished | None
    choice: Choice | None
    estimate: money.Estimate


class Intake:
    """The front desk of one daemon."""

    def __init__(
        self,
        home: Home,
        config: Config,
        presets: Presets,
        store: JobStore,
        workers: Workers,
        providers: Providers,
        runner: Runner,
    ) -> None:
        self._home = home
        self._config = config
        self._presets = presets
        self._store = store
        self._workers = workers
        self._providers = providers
        self._runner = runner
        self._by_client: dict[str, asyncio.Lock] = {}

    async def submit(
        self,
        given: object,
        *,
        trigger: Trigger,
        priority: int = PERSON,
        preset: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        origin: Mapping[str, Any] | None = None,
        uploaded: Path | None = None,
    ) -> Job:
        """Takes a request (parsed JSON) and returns its job, which is on disk.

        Values count in this order: what is given, the trigger's `defaults`, the preset's. `uploaded` names a source that came
        with the request and lies in the home's own uploads. The same `client_id` with an equal request is the same job.
        Raises ClipError for everything that can be seen now; then there is no job.
        """
        client_id = given.get("client_id") if isinstance(given, Mapping) else None
        if not isinstance(client_id, str):
            return await self._submit(given, trigger, priority, preset, defaults or {}, origin or {}, uploaded)
        lock = self._by_client.setdefault(client_id, asyncio.Lock())
        try:
            async with lock:
                return await self._submit(given, trigger, priority, preset, defaults or {}, origin or {}, uploaded)
        finally:
            if not lock.locked():
                self._by_client.pop(client_id, None)

    async def _submit(
        self,
        given: object,
        trigger: Trigger,
        priority: int,
        preset: str | None,
        defaults: Mapping[str, Any],
        origin: Mapping[str, Any],
        uploaded: Path | None,
    ) -> Job:
        request = self._resolved(given, preset, defaults)
        assert isinstance(given, Mapping)
        print_of_given = fingerprint(given)
        if request.client_id is not None:
            known = await self._store.by_client_id(request.client_id)
            if known is not None:
                return _repeated(known, print_of_given)
        seen = await self._look(request, uploaded)
        now = timestamp()
        choice = seen.choice
        held = None
        if seen.unfinished is not None:
            until = timestamp(time.time() + self._config.daemon.unfinished_seconds)
            held = Held(reason="source_unfinished", until=until)
        if request.seed is None and request.kind != "copy":
            seed = SEED_MIN + secrets.randbelow(SEED_MAX)
            request = request.model_copy(update={"seed": seed})
        job = Job(
            id=new_id(),
            state="queued" if held is None else "held",
            message="Waiting for its turn." if held is None else f"Waiting until the file is whole. {seen.unfinished}",
            created_at=now,
            updated_at=now,
            trigger=trigger,
            request=request,
            provider="none" if choice is None else choice.provider.name,
            model=None if choice is None else choice.model.name,
            estimated_usd=seen.estimate.usd,
            held=held,
            priority=priority,
            given=print_of_given,
            origin=dict(origin),
            why_not={} if choice is None else choice.why_not,
        )
        stored, is_new = await self._runner.accept(job)
        return stored if is_new else _repeated(stored, print_of_given)

    async def price(self, given: object) -> dict[str, Any]:
        """What a request (or each of a list) would cost and by whom, without making a job.

        `{"requests": [{"client_id", "provider", "model", "calls", "estimated_usd", "why_not", "error"}], "estimated_usd"}`; a
        request that would be refused has its error and costs nothing. Raises ClipError only where `given` is no request at all.
        """
        requests = given if isinstance(given, list) else [given]
        priced = [await self._priced(one) for one in requests]
        return {"requests": priced, "estimated_usd": round(sum(one["estimated_usd"] for one in priced), 6)}

    async def _priced(self, given: object) -> dict[str, Any]:
        client_id = given.get("client_id") if isinstance(given, Mapping) else None
        answer: dict[str, Any] = {
            "client_id": client_id, "provider": None, "model": None, "calls": 0, "estimated_usd": 0.0, "why_not": {}, "error": None,
        }  # fmt: skip
        try:
            seen = await self._look(self._resolved(given, None, {}), None)
        except ClipError as error:
            return {**answer, "error": error.to_dict()}
        if seen.choice is None:
            return {**answer, "provider": "none"}
        return {
            **answer,
            "provider": seen.choice.provider.name,
            "model": seen.choice.model.name,
            "calls": seen.estimate.calls,
            "estimated_usd": seen.estimate.usd,
            "why_not": seen.choice.why_not,
        }

    async def cancel(self, job_id: str, *, batch: bool = False) -> Job:
        """Cancels a job, with `batch` all living ones of its batch. One that has ended is handed back as it is."""
        job = await self._known(job_id)
        if batch and job.request.batch is not None:
            for other in await self._store.living():
                if other.request.batch == job.request.batch and self._runner.living(other.id) is not None:
                    await self._runner.cancel(other.id)
        elif self._runner.living(job_id) is not None:
            await self._runner.cancel(job_id)
        return await self._known(job_id)

    async def retry(self, job_id: str, *, pay_again: bool = False) -> Job:
        """Takes a failed, cancelled or held job up again, and a delivered one whose other takes failed.

        What is paid for is delivered again at no charge; an uncertain call is asked again only with `pay_again`.
        Raises ClipError `bad_request` where there is nothing to take up.
        """
        await self._known(job_id)
        return await self._runner.again(job_id, partial(_calls_that_count, pay_again=pay_again))

    async def forget(self, job_id: str) -> Job:
        """Gives an uncertain job up: it counts as delivered if a take was, else as failed."""
        await self._known(job_id)
        return await self._runner.settle(job_id, _given_up)

    # ---- what can be seen ---------------------------------------------------------------------------------------------

    def _resolved(self, given: object, preset: str | None, defaults: Mapping[str, Any]) -> Request:
        named = given.get("preset") if isinstance(given, Mapping) else None
        chosen = self._presets.get(named if isinstance(named, str) else preset or DEFAULT)
        if isinstance(given, Mapping) and given.get("preset", "") is None:
            given = {key: value for key, value in given.items() if key != "preset"}
        return resolve(given, {**chosen.values, **defaults, "preset": chosen.name})

    async def _look(self, request: Request, uploaded: Path | None) -> _Seen:
        seconds, unfinished = request.duration or 0.0, None
        if request.source is not None:
            self._check_paths(request, uploaded)
            try:
                source = await self._workers.run("inspect", path=request.source)
                start, end = region_frames(request, source)
                seconds = (end - start) / source["samplerate"]
            except SourceUnfinished as error:
                if uploaded is not None:  # its last byte is here; nothing more will come
                    raise
                unfinished = error
        elif request.deliver_to is not None:
            self._check_paths(request, uploaded)
        if request.kind == "copy":
            return _Seen(request, seconds, unfinished, None, money.Estimate(0, 0.0))
        choice = self._providers.choose(request, seconds)
        estimate = money.estimate(request, choice.model)
        money.check(estimate, request, self._config.budget.per_job_usd)
        return _Seen(request, seconds, unfinished, choice, estimate)

    def _check_paths(self, request: Request, uploaded: Path | None) -> None:
        for name, path in (("source", request.source), ("deliver_to", request.deliver_to)):
            if path is None or (name == "source" and uploaded is not None):
                continue
            if self._home.reaches_into(Path(path)):
                raise ClipError(
                    "forbidden",
                    f"The {name} {path} lies inside clipbridge's own folder.",
                    hint="Name a place outside it, or in Drop or Results.",
                )

    async def _known(self, job_id: str) -> Job:
        job = self._runner.living(job_id) or await self._store.get(job_id)
        if job is None:
            raise ClipError("unknown_job", f"There is no job {job_id}.", hint="`clipbridge jobs list` shows them all.")
        return job


def _calls_that_count(job: Job, *, pay_again: bool) -> tuple[Call, ...]:
    """The calls with which a job is taken up again: those that are paid for or still run. Raises ClipError `bad_request`."""
    if job.living and job.state != "held":
        raise ClipError(
            "bad_request", f"Job {job.id} is still at work ({job.state}).", hint="Wait for it, or cancel it."
        )
    if job.state == "uncertain" and not pay_again:
        raise ClipError(
            "bad_request",
            f"Nobody knows whether a call of job {job.id} was charged; it is not sent again by itself.",
            hint="Look at your account at the service; then retry with --pay-again, or forget the job.",
            charged="unknown",
        )
    delivered = {take.take for take in job.takes if take.placed}
    if job.state == "delivered" and len(delivered) == job.request.variations:
        raise ClipError("bad_request", f"Job {job.id} has delivered all it was asked for.", hint="Send a new request.")
    # paying again is for the uncertain calls only
    again = {"uncertain"} if job.state == "uncertain" else {"failed", "cancelled"}
    return tuple(_renewed(call) for call in job.calls if call.state not in again)


def _given_up(job: Job) -> dict[str, Any]:
    """What becomes of an uncertain job that a person gives up. Raises ClipError `bad_request` for any other."""
    if job.state != "uncertain":
        raise ClipError(
            "bad_request",
            f"Job {job.id} is {job.state}; only an uncertain job can be forgotten.",
            hint="`clipbridge jobs show` says more about it.",
        )
    calls = tuple(
        call.model_copy(update={"state": "failed"}) if call.state == "uncertain" else call for call in job.calls
    )
    state = "delivered" if any(take.placed for take in job.takes) else "failed"
    return {"state": state, "calls": calls, "message": "Given up by a person's decision."}


def _renewed(call: Call) -> Call:
    return call.model_copy(update={"error": None}) if call.state == "done" else call


def _repeated(known: Job, print_of_given: str) -> Job:
    if known.given != print_of_given:
        raise ClipError(
            "bad_request",
            f"The client_id {known.request.client_id} was used before, for another request (job {known.id}).",
            hint="Use a new client_id for each new request; repeat one only with the very same request.",
        )
    return known
