"""Who goes next: never more than there are places, the urgent first, and nobody is lost on the way."""

from __future__ import annotations

import asyncio
import contextlib
import random

from bridge.turns import Turns


async def settled() -> None:
    """Lets every task run until it waits for something that is not in this loop's queue."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_there_are_never_more_at_once_than_places() -> None:
    turns, now, most = Turns(3), 0, 0

    async def one() -> None:
        nonlocal now, most
        async with turns.turn(0):
            now += 1
            most = max(most, now)
            await settled()
            now -= 1

    await asyncio.gather(*(one() for _ in range(20)))
    assert (now, most) == (0, 3)


async def test_the_more_urgent_goes_first_and_the_earlier_among_equals() -> None:
    turns, order = Turns(1), list[str]()
    gate = asyncio.Event()

    async def first() -> None:
        async with turns.turn(0):
            await gate.wait()

    async def one(name: str, priority: int) -> None:
        async with turns.turn(priority):
            order.append(name)

    tasks = [asyncio.create_task(first())]
    await settled()
    for name, priority in [("folder 1", 20), ("drop", 10), ("folder 2", 20), ("person 1", 0), ("person 2", 0)]:
        tasks.append(asyncio.create_task(one(name, priority)))
    await settled()
    gate.set()
    await asyncio.gather(*tasks)
    assert order == ["person 1", "person 2", "drop", "folder 1", "folder 2"]


async def test_it_is_known_beforehand_whether_one_will_have_to_wait() -> None:
    turns = Turns(1)
    assert not turns.full
    async with turns.turn(0):
        assert turns.full
    assert not turns.full


async def test_who_gives_up_waiting_takes_nobodys_place_and_loses_none() -> None:
    turns, rng = Turns(2), random.Random(5)
    done = 0

    async def one() -> None:
        nonlocal done
        async with turns.turn(rng.choice((0, 10, 20))):
            await asyncio.sleep(0)
            done += 1

    for _ in range(50):
        tasks = [asyncio.create_task(one()) for _ in range(8)]
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        for task in rng.sample(tasks, 4):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    done = 0
    # if a place had been lost on the way, two could not be held at once now
    async with contextlib.AsyncExitStack() as both:
        await asyncio.wait_for(both.enter_async_context(turns.turn(0)), 5)
        await asyncio.wait_for(both.enter_async_context(turns.turn(0)), 5)
        waiting = asyncio.create_task(one())
        await settled()
        assert done == 0
    await waiting
    assert done == 1


async def test_a_place_given_in_the_very_moment_of_giving_up_goes_to_the_next() -> None:
    turns = Turns(1)
    holder = contextlib.AsyncExitStack()
    await holder.enter_async_context(turns.turn(0))
    entered = asyncio.Event()

    async def one(event: asyncio.Event | None) -> None:
        async with turns.turn(0):
            if event is not None:
                event.set()

    giving_up = asyncio.create_task(one(None))
    next_one = asyncio.create_task(one(entered))
    await settled()
    await holder.aclose()  # the place goes to the first ...
    giving_up.cancel()  # ... which leaves before it could take it
    await asyncio.gather(giving_up, return_exceptions=True)
    await asyncio.wait_for(next_one, 5)
    assert entered.is_set()
