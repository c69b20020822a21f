"""A long history: 100,000 jobs, each with its call and its take, must change neither the start nor the first page.

The rows go in through the store's own tables in bulk, as finished jobs leave them; the newest events lie beside them as
the store keeps them.
"""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import sqlalchemy as sa

from benchmarks.harness import Daemon, Failed, new_home, place
from benchmarks.report import Report, spread
from bridge.job import Call, Job, Take, new_id, timestamp
from bridge.request import Request
from bridge.store import Database, JobStore, schema
from bridge.store.jobs import EVENTS_KEPT

GROUP: Final = "history"
JOBS: Final = 100_000
STARTS: Final = 9
PAGES: Final = 30
PAGE_JOBS: Final = 50
GROUP_ROWS: Final = 2_000
SPACING_SECONDS: Final = 90.0  # from one job to the next: a hundred thousand of them are three and a half months
FIRST_AT_SECONDS: Final = 1_750_000_000.0
START_GROWTH_MAX: Final = 1.2
PAGE_MAX_MS: Final = 50.0


def measure(report: Report, *, quick: bool) -> None:
    """Adds the findings of this group."""
    jobs = 2_000 if quick else JOBS
    with place() as folder:
        empty, full = new_home(folder, "empty"), new_home(folder, "full")
        with Daemon(folder, empty), Daemon(folder, full):
            pass  # both homes are made by the daemon itself
        asyncio.run(_fill(full / "clipbridge.db", jobs))
        times: dict[str, list[float]] = {"empty": [], "full": []}
        for number in range(2 if quick else STARTS + 1):
            for name, home in (("empty", empty), ("full", full)):
                with Daemon(folder, home) as daemon:
                    if number:  # the first start has nothing in the disk's cache
                        times[name].append(daemon.ready_seconds)
        _tell_start(report, times, jobs)
        _tell_page(report, full / "clipbridge.db", jobs)


def _tell_start(report: Report, times: dict[str, list[float]], jobs: int) -> None:
    for name, samples in times.items():
        report.keep(f"start, {name} home, s", samples)
    report.add(
        GROUP, f"start with {jobs:,} jobs : with an empty home",
        median(times["full"]) / median(times["empty"]), "×", START_GROWTH_MAX,
        f"empty: {spread(times['empty'])}\nfull: {spread(times['full'])}",
    )  # fmt: skip


def _tell_page(report: Report, path: Path, jobs: int) -> None:
    database = Database(path, read_only=True)
    store = JobStore(database)
    took = []
    gc.collect()
    for _ in range(PAGES):
        began = perf_counter()
        page = store.page_now(limit=PAGE_JOBS)
        took.append(perf_counter() - began)
        if len(page.jobs) != PAGE_JOBS or page.next is None or not page.jobs[0].takes:
            raise Failed(f"The first page holds {len(page.jobs)} jobs.")
    database.close()
    report.keep("first page of jobs, s", took)
    report.add(
        GROUP, f"first page of {PAGE_JOBS} jobs of {jobs:,}, in process", median(took) * 1e3, "ms", PAGE_MAX_MS,
        f"the very first, with the file just opened: {took[0] * 1e3:.0f} ms",
    )  # fmt: skip


async def _fill(path: Path, count: int) -> None:
    database = Database.open(path)
    first_with_event = count - EVENTS_KEPT
    for start in range(0, count, GROUP_ROWS):
        jobs = [_finished(number) for number in range(start, min(start + GROUP_ROWS, count))]
        rows: dict[sa.Table, list[dict[str, Any]]] = {
            schema.jobs: [_job_row(job) for job in jobs],
            schema.calls: [{"job_id": job.id, **call.model_dump(mode="json")} for job in jobs for call in job.calls],
            schema.takes: [{"job_id": job.id, **take.model_dump(mode="json")} for job in jobs for take in job.takes],
            schema.events: [
                {"job_id": job.id, "at": job.updated_at, "job": json.dumps(job.public(), separators=(",", ":"))}
                for number, job in enumerate(jobs, start)
                if number >= first_with_event
            ],
        }

        def insert(connection: sa.Connection, rows: dict[sa.Table, list[dict[str, Any]]] = rows) -> None:
            for table, some in rows.items():
                if some:
                    connection.execute(table.insert(), some)

        await database.write(insert)
    database.close()


def _job_row(job: Job) -> dict[str, Any]:
    row = {**job.model_dump(mode="json"), "client_id": job.request.client_id, "batch": job.request.batch}
    return {column.name: row[column.name] for column in schema.jobs.columns if column.name in row}


def _finished(number: int) -> Job:
    """A job as months of use leave it: most delivered, some failed or cancelled."""
    at = timestamp(FIRST_AT_SECONDS + number * SPACING_SECONDS)
    job_id = new_id()
    seed = number % 4_294_967_293 + 1
    name = f"loop {number % 977}"
    state = "failed" if number % 23 == 0 else "cancelled" if number % 37 == 0 else "delivered"
    call = Call(take=1, state="done", seed=seed, result_file="sent.wav", charged_usd=0.0)
    take = Take(
        path=f"/music/Results/{name} [lo-fi tape] take {number}.wav",
        take=1,
        seed=seed,
        frames=288_000,
        samplerate=48_000,
        channels=2,
        subtype="PCM_24",
        lufs=-14.2,
        source_lufs=-14.2,
        true_peak_dbtp=-1.0,
        sha256=f"{number:064x}",
        placed=True,
    )
    delivered = state == "delivered"
    return Job(
        id=job_id,
        state=state,  # type: ignore[arg-type]
        progress=1.0 if delivered else 0.1,
        message="The take is in /music/Results." if delivered else "It did not come to its end.",
        created_at=at,
        updated_at=at,
        trigger="folder" if number % 3 else "http",
        request=Request(
            source=f"/music/{name}.wav", preset="default", prompt="lo-fi tape, warm", provider="dsp", seed=seed
        ),
        provider="dsp",
        model="dsp",
        calls=(call,) if delivered else (),
        takes=(take,) if delivered else (),
        given=json.dumps({"source": f"/music/{name}.wav", "prompt": "lo-fi tape, warm"}),
        cut={"frames": 288_000, "samplerate": 48_000, "channels": 2},
        error=None if delivered else {"code": "internal", "message": "It failed.", "hint": "Try again."},  # type: ignore[arg-type]
    )
