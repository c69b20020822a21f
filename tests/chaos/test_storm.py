"""A person who cannot decide, a service with moods, and a daemon that is stopped and started in between.

Whatever they do, in whatever order: nothing is bought twice, nothing that came is lost, and every job comes to its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from bridge.errors import ClipError, Passing
from bridge.intake import DROP, PERSON, WATCH
from bridge.job import ENDS
from bridge.pipeline import retry
from bridge.providers.base import Answer, Question
from tests.chaos.test_kill import check_results
from tests.integration.core_bench import PRICE_USD, Bench, Service

SEEDS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1 2").split()]
STEPS = 120


class Moody(Service):
    """Answers at once or later, refuses, breaks off or has no time, as the dice say; it never stops what it began."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(stoppable=False)
        self.rng = rng
        self.accepted: Counter[tuple[str, str]] = Counter()

    async def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.005, 0.02)))
        match self.rng.randrange(10):
            case 0:
                raise Passing("rate_limited", "Too many.", hint="Wait.", reason="rate_limit", after_seconds=0.02)
            case 1:
                raise ClipError("unknown_outcome", "The line broke.", hint="Look.", charged="unknown")
            case 2:
                raise ClipError("moderated", "Not these words.", hint="Others.", charged="no")
        self.accepted[question.work_dir.name, question.label] += 1
        self.answers_later = self.rng.random() < 0.6
        self.accepting.set()
        return await super().ask(question)

    async def look(self, question: Question, running: object) -> Answer:
        if self.rng.random() < 0.2:
            raise Passing("provider_error", "No way there.", hint="Wait.", reason="network", after_seconds=0.01)
        await asyncio.sleep(self.rng.choice((0.0, 0.01)))
        return await super().look(question, running)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_bought_twice_or_lost_and_all_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_SECONDS", 0.01)
    rng = random.Random(seed)
    service = Moody(rng)
    async with Bench(tmp_path, service, daemon={"concurrency": 3}, budget={"per_job_usd": 5}) as bench:
        sources = [bench.clip(f"{name}.wav", frames=480, rate=44_100) for name in ("a", "b")]
        ids: list[str] = []
        acting: list[asyncio.Task[object]] = []

        async def act() -> None:
            intake, job_id = bench.engine.intake, rng.choice(ids)
            with contextlib.suppress(ClipError):  # most of it is refused, and rightly so
                match rng.randrange(4):
                    case 0 | 1:
                        await intake.cancel(job_id)
                    case 2:
                        await intake.retry(job_id, pay_again=rng.random() < 0.5)
                    case 3:
                        await intake.forget(job_id)

        for _ in range(STEPS):
            dice = rng.random()
            if dice < 0.45 or not ids:
                job = await bench.submit(
                    rng.choice(sources),
                    priority=rng.choice((PERSON, DROP, WATCH)),
                    provider="stability",
                    strength=rng.choice((0, 0.5, 0.5, 0.5)),
                    variations=rng.choice((1, 1, 2, 3)),
                    match_loudness=False,
                )
                ids.append(job.id)
            elif dice < 0.97:
                acting.append(asyncio.create_task(act()))
            else:
                await asyncio.gather(*acting)
                await bench.restart()
            await asyncio.sleep(rng.choice((0.0, 0.0, 0.002, 0.02)))
        await asyncio.gather(*acting)
        jobs = [await bench.when(job_id, lambda seen: seen.state in ENDS, f"the end of {job_id}") for job_id in ids]
        await bench.restart()  # answers that were still to come are here now
        jobs = [await bench.job(job.id) for job in jobs]

        assert max(service.accepted.values()) == 1, "bought twice"
        for job in jobs:
            assert job.state in ENDS
            for call in job.calls:
                was_accepted = service.accepted[job.id, f"{call.take}-1"]
                assert (call.state in {"running", "done"}) == bool(was_accepted), (job.state, call)
            placed = {take.take for take in job.takes if take.placed}
            if job.state == "delivered" and job.error is None:
                assert len(placed) == job.request.variations
            if job.state == "delivered" and job.request.strength:
                assert placed == {call.take for call in job.calls if call.state == "done"}
            assert (job.state == "uncertain") == any(call.state == "uncertain" for call in job.calls)
            if job.state in {"delivered", "cancelled"}:
                done = sum(call.state == "done" for call in job.calls)
                waits = any(call.state == "running" for call in job.calls)
                assert job.charged_usd == (None if waits else pytest.approx(done * PRICE_USD)) or job.error is not None
        check_results(bench.results, jobs)
        done = sum(call.state == "done" for job in jobs for call in job.calls)
        assert len(bench.on_disk("SELECT * FROM ledger WHERE usd > 0")) == done

        events = await bench.events()
        assert [event.id for event in events] == list(range(1, len(events) + 1))
        last = {event.job_id: json.loads(event.job_json) for event in events}
        assert last == {job.id: json.loads(json.dumps(job.public())) for job in jobs}

        # what was cancelled after it was bought is there for the taking
        bought = [
            job for job in jobs if job.state == "cancelled" and any(call.state != "cancelled" for call in job.calls)
        ]
        count = sum(service.accepted.values())
        for job in bought[:3]:
            open_takes = job.request.variations - sum(call.state in {"running", "done"} for call in job.calls)
            if open_takes == 0:
                await bench.engine.intake.retry(job.id)
                assert (await bench.ended(job)).state == "delivered"
        assert sum(service.accepted.values()) == count
