"""The one stream out: a listener hears every change once and in order, whenever it comes and however slowly it listens."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from bridge import events as events_module
from bridge.job import Job
from bridge.store.jobs import Event
from tests.integration.core_bench import DEADLINE_SECONDS, Bench, until


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Bench(tmp_path) as made:
        yield made


async def heard(stream: AsyncGenerator[Event, None], last_id: int, pause: float = 0.0) -> list[Event]:
    """What a listener hears up to the event `last_id`, with a pause after each."""
    found = []
    async with asyncio.timeout(DEADLINE_SECONDS), contextlib.aclosing(stream):
        async for event in stream:
            found.append(event)
            if event.id >= last_id:
                return found
            await asyncio.sleep(pause)
    raise AssertionError("the stream ended")


async def newest(bench: Bench) -> int:
    return (await bench.events())[-1].id


def unbroken(found: list[Event], first_id: int, last_id: int) -> bool:
    return [event.id for event in found] == list(range(first_id, last_id + 1))


async def test_every_change_of_a_job_is_told_in_order_from_its_birth_to_its_end(bench: Bench) -> None:
    stream = bench.engine.events.listen()
    job = await bench.submit(bench.clip())
    await bench.ended(job)
    stored = await bench.events()
    told = await heard(stream, stored[-1].id)
    assert told == stored
    states = [key for key, _ in itertools.groupby(json.loads(event.job_json)["state"] for event in told)]
    assert states == ["queued", "preparing", "submitting", "rendering", "fetching", "conforming", "delivered"]
    assert {event.job_id for event in told} == {job.id}
    assert json.loads(told[-1].job_json) == json.loads(json.dumps((await bench.job(job.id)).public()))


async def test_from_now_on_means_from_the_call(bench: Bench) -> None:
    await bench.delivered(bench.clip())
    before = await newest(bench)
    stream = bench.engine.events.listen()  # nobody has asked it for anything yet
    await bench.delivered(bench.clip())
    after = await newest(bench)
    assert unbroken(await heard(stream, after), before + 1, after)


async def test_who_was_away_is_told_what_was_missed_then_what_is_new(bench: Bench) -> None:
    source = bench.clip()
    await bench.delivered(source)
    stream = bench.engine.events.listen(3)
    await bench.delivered(source)
    last = await newest(bench)
    assert unbroken(await heard(stream, last), 4, last)


async def test_what_was_missed_is_told_also_after_a_restart(bench: Bench) -> None:
    source = bench.clip()
    await bench.delivered(source)
    await bench.restart()
    await bench.delivered(source)
    last = await newest(bench)
    assert unbroken(await heard(bench.engine.events.listen(0), last), 1, last)


async def test_an_id_that_never_was_means_from_now_on(bench: Bench) -> None:
    source = bench.clip()
    await bench.delivered(source)
    before = await newest(bench)
    stream = bench.engine.events.listen(10**12)
    await bench.delivered(source)
    last = await newest(bench)
    assert unbroken(await heard(stream, last), before + 1, last)


@pytest.mark.parametrize("kept", [4, 512])
async def test_no_listener_misses_or_hears_twice_under_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Also the slow ones, which are read to from the store."""
    monkeypatch.setattr(events_module, "KEPT_IN_MEMORY", kept)
    rng = random.Random(kept)
    async with Bench(tmp_path) as bench:
        source = bench.clip(frames=480)
        events = bench.engine.events
        await bench.delivered(source, strength=0)
        until_there = asyncio.Event()
        listeners: list[asyncio.Task[tuple[int, list[Event]]]] = []

        async def listener(after: int, pause: float) -> tuple[int, list[Event]]:
            stream, found = events.listen(after), list[Event]()
            async with contextlib.aclosing(stream):
                async for event in stream:
                    found.append(event)
                    if until_there.is_set() and event.id >= last:
                        return after, found
                    await asyncio.sleep(pause)
            raise AssertionError("the stream ended")

        def newcomer(event: Event, _job: Job) -> None:
            if rng.random() < 0.15:
                after = rng.randrange(event.id + 1)
                listeners.append(asyncio.create_task(listener(after, rng.choice((0.0, 0.0, 0.002)))))

        forget = events.subscribe(newcomer)
        jobs = [await bench.submit(source, strength=0, variations=rng.choice((1, 2))) for _ in range(30)]
        await bench.all_ended(jobs)
        forget()
        last = await newest(bench)
        until_there.set()
        # one more event, for those that had heard the last one before it was called the last
        await bench.delivered(source, strength=0)
        assert len(listeners) >= 10
        for after, found in await asyncio.wait_for(asyncio.gather(*listeners), DEADLINE_SECONDS):
            assert unbroken(found, after + 1, found[-1].id)
            assert found[-1].id >= last


async def test_a_listener_that_leaves_leaves_nothing_behind(bench: Bench) -> None:
    source = bench.clip()
    before = len(asyncio.all_tasks())
    for _ in range(20):
        stream = bench.engine.events.listen(0 if _ % 2 else None)
        asking = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
            await asking
        await stream.aclose()
    assert len(asyncio.all_tasks()) == before
    assert (await bench.delivered(source)).state == "delivered"


async def test_a_callback_is_told_after_the_change_is_on_disk_and_until_it_leaves(bench: Bench) -> None:
    told: list[tuple[str, list[tuple[str]]]] = []

    def look(_event: Event, job: Job) -> None:
        told.append((job.state, bench.on_disk(f"SELECT job FROM events WHERE id = {_event.id}")))

    forget = bench.engine.events.subscribe(look)
    await bench.delivered(bench.clip())
    assert told
    assert all(json.loads(rows[0][0])["state"] == state for state, rows in told)
    forget()
    count = len(told)
    await bench.delivered(bench.clip())
    assert len(told) == count


async def test_one_listeners_defect_keeps_the_news_from_nobody(bench: Bench) -> None:
    told: list[str] = []

    def defect(_event: Event, _job: Job) -> None:
        raise RuntimeError("a defect of a listener")

    bench.engine.events.subscribe(defect)
    bench.engine.events.subscribe(lambda _event, job: told.append(job.state))
    job = await bench.delivered(bench.clip())
    assert job.state == "delivered"
    await until(lambda: told[-1] == "delivered", "the last news")
    assert told[0] == "queued"


async def test_a_listener_may_act_on_what_it_hears(bench: Bench) -> None:
    """Cancel what it hears is queued, take up again what it hears has failed: at once, in the callback's own turn."""
    source = bench.clip()
    blocked = bench.root / "takes"
    blocked.write_text("a file where the folder should be")
    acted: dict[str, asyncio.Task[Job]] = {}

    def act(_event: Event, job: Job) -> None:
        if job.state == "queued" and job.request.context.get("unwanted"):
            acted.setdefault(job.id, asyncio.create_task(bench.engine.intake.cancel(job.id)))
        if job.state == "failed" and job.id not in acted:
            blocked.unlink()
            acted[job.id] = asyncio.create_task(bench.engine.intake.retry(job.id))

    bench.engine.events.subscribe(act)
    unwanted = await bench.submit(source, context={"unwanted": True})
    failing = await bench.submit(source, deliver_to=str(blocked))
    assert (await bench.ended(unwanted)).state == "cancelled"
    await bench.reached(failing, "delivered")
    await asyncio.gather(*acted.values())
    assert len(acted) == 2
    assert (await bench.job(unwanted.id)).state == "cancelled"
    assert bench.engine.runner.living(unwanted.id) is None
