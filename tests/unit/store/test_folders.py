"""What the folders have seen outlives the process, and is forgotten when it should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.job import Job, new_id, timestamp
from bridge.request import Request
from bridge.store import Database, JobStore
from bridge.store.folders import Arrival, Content, Memory

SHA = "ab" * 32


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "clipbridge.db")
    yield database
    database.close()


async def test_rows_are_read_back_changed_and_forgotten(database: Database) -> None:
    memory = Memory(database)
    rows = {"a.wav": Arrival(10, 1, "taken", SHA, "job"), "🎹/b\n.wav": Arrival(20, 2**62, "known")}
    await memory.put("/drop", rows)
    await memory.put("/other", {"a.wav": Arrival(1, 1, "known")})
    assert await memory.load("/drop") == rows
    await memory.put("/drop", {"a.wav": Arrival(11, 3, "left", SHA, "job"), "🎹/b\n.wav": None})
    assert await memory.load("/drop") == {"a.wav": Arrival(11, 3, "left", SHA, "job")}
    assert await memory.load("/other") == {"a.wav": Arrival(1, 1, "known")}


async def test_a_content_is_known_for_its_folder_and_preset(database: Database) -> None:
    memory = Memory(database)
    for job_id in ("first", "again"):
        await memory.put("key", {}, Content("/exports", "default", SHA, job_id))
    assert await memory.job_of_content("/exports", "default", SHA) == "again"
    assert await memory.job_of_content("/exports", "lo-fi", SHA) is None
    assert await memory.job_of_content("/other", "default", SHA) is None


async def test_ten_thousand_files_of_a_baseline_are_kept(database: Database) -> None:
    memory = Memory(database)
    rows = {f"{number}.wav": Arrival(number, number, "known") for number in range(10_000)}
    await memory.set_baseline("/exports", "2026-01-01T00:00:00.000Z", rows)
    assert await memory.load("/exports") == rows
    assert await memory.baseline("/exports") == "2026-01-01T00:00:00.000Z"


async def test_an_entry_that_is_gone_is_forgotten_but_not_what_was_run(database: Database) -> None:
    memory = Memory(database)
    for folder in ("/kept", "/gone"):
        await memory.set_baseline(folder, "~2026-01-01T00:00:00.000Z", {"a.wav": Arrival(1, 1, "known")})
    await memory.put("/gone", {}, Content("/gone", "default", SHA, "job"))
    await memory.keep_only(["/kept"])
    assert (await memory.load("/gone"), await memory.baseline("/gone")) == ({}, None)
    assert await memory.baseline("/kept") is not None
    assert await memory.job_of_content("/gone", "default", SHA) == "job"


async def test_a_job_is_found_by_the_token_in_its_origin(database: Database) -> None:
    memory, jobs = Memory(database), JobStore(database)
    request = Request(source="/clip.wav")
    for trigger, token in (("folder", "one"), ("http", "two")):
        now = timestamp()
        await jobs.add(
            Job.model_validate(
                {
                    "id": new_id(),
                    "created_at": now,
                    "updated_at": now,
                    "trigger": trigger,
                    "request": request,
                    "provider": "dsp",
                    "origin": {"arrival": token},
                }
            )
        )
    assert await memory.job_of_token("one") is not None
    assert await memory.job_of_token("two") is None
    assert await memory.job_of_token("three") is None
