"""`send` where no daemon runs: this process holds the home, does its own jobs and leaves.

It touches no job of earlier runs, and a second one waits its turn; what a person sees is `waiting.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import TYPE_CHECKING, Any, Final

from bridge import logs
from bridge.cli import client, show, waiting
from bridge.config import Config, load
from bridge.engine import Engine
from bridge.errors import ClipError
from bridge.home import Home, HomeHeld
from bridge.job import Job
from bridge.store.jobs import Event

if TYPE_CHECKING:
    from bridge.cli.send import Outcome

TURN_SECONDS: Final = 0.5


def send(named_home: str | None, outcomes: list[Outcome], *, silent: bool) -> client.Client | None:
    """Does what `outcomes` ask for and waits for it.

    A daemon that comes up while this waits for its turn is handed back: then it is for that one to do.
    """
    home = Home.at(named_home)
    config = load(home.config, os.environ)
    home = home.with_results(config.daemon.results_dir)
    home.prepare()
    told = False
    while True:
        with contextlib.ExitStack() as holding:
            try:
                holding.enter_context(home.held())
            except HomeHeld:
                if not told and not silent:
                    show.line(f"Waiting until another clipbridge (process {home.holder() or '?'}) is done.", error=True)
                told = True
            else:
                log = logs.start(home.log)
                holding.callback(logs.stop, log)
                asyncio.run(_work(home, config, outcomes, silent))
                return None
        time.sleep(TURN_SECONDS)
        daemon = client.find(named_home)
        if daemon is not None:
            return daemon


async def _work(home: Home, config: Config, outcomes: list[Outcome], silent: bool) -> None:
    engine = Engine(home, config)
    await engine.start(resume=False)
    try:
        await _send_and_wait(engine, outcomes, silent)
    finally:
        await engine.stop()


async def _send_and_wait(engine: Engine, outcomes: list[Outcome], silent: bool) -> None:
    now: dict[str, dict[str, Any]] = {}
    changed = asyncio.Event()

    def on_change(_event: Event, job: Job) -> None:
        now[job.id] = job.public()
        changed.set()

    engine.events.subscribe(on_change)
    for outcome in outcomes:
        if outcome.job:
            continue
        try:
            job = await engine.intake.submit(outcome.given, trigger="cli")
        except ClipError as error:
            outcome.refuse(error, silent=silent)
        else:
            outcome.settle(now.setdefault(job.id, job.public()))
    jobs = [outcome for outcome in outcomes if outcome.job["id"] is not None]
    if not jobs:
        return
    view = waiting.view_for(len(jobs), silent=silent)

    def show_all() -> bool:
        changed.clear()
        for outcome in jobs:
            outcome.settle(now[outcome.job["id"]])
            view.update(outcome.job)
        return all(waiting.over(outcome.job) for outcome in jobs)

    try:
        while not show_all():
            await changed.wait()
    except asyncio.CancelledError:
        # Ctrl-C: nobody is left to go on with it, and no later start should bring it up by surprise
        for outcome in jobs:
            if not waiting.over(outcome.job):
                await engine.intake.cancel(outcome.job["id"])
        show_all()
        raise
    finally:
        view.close()
