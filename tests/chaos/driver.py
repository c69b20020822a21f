"""A process that does what a daemon does, to be killed: runs an engine on a home until all wishes are delivered.

`python -m tests.chaos.driver HOME WISHES.json`: hands in each wish (its `client_id` makes that harmless to repeat), prints a
line for every event, and ends with status 0 when every job has ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from bridge.config import Config
from bridge.engine import Engine
from bridge.home import Home
from bridge.job import ENDS, Job
from bridge.store.jobs import Event


async def main(home: Path, wishes: list[dict[str, object]]) -> None:
    engine, open_jobs, all_ended = Engine(Home.at(home), Config()), set[str](), asyncio.Event()

    def tell(event: Event, job: Job) -> None:
        print(event.id, job.state, flush=True)
        if job.state in ENDS:
            open_jobs.discard(job.id)
            if not open_jobs:
                all_ended.set()

    with engine.home.held():
        await engine.start(resume=True)
        engine.events.subscribe(tell)
        jobs = await asyncio.gather(*(engine.intake.submit(wish, trigger="cli") for wish in wishes))
        open_jobs |= {job.id for job in jobs}
        for job in jobs:
            if (await engine.jobs.get(job.id) or job).state in ENDS:
                open_jobs.discard(job.id)
        if open_jobs:
            await all_ended.wait()
        await engine.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())))
