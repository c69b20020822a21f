"""How the tests of the HTTP door ask: a server on a loopback port, its refusals, its events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import httpx

from bridge.errors import ERROR_CODES
from bridge.job import ENDS, Job, timestamp
from bridge.request import Request
from bridge.web.rooms import Rooms
from bridge.web.serve import Server

TOKEN = "a-token-of-this-test"
LOOPBACK = {"provider": "loopback", "match_loudness": False}
GUARD_SECONDS = 30.0  # ends a test that would wait forever; nothing is measured by it

Json = dict[str, Any]
Told = AsyncIterator[tuple[int, Json]]


@contextlib.asynccontextmanager
async def door(rooms: Rooms) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    server = Server(rooms, TOKEN)
    port = await server.start(0)
    headers = {"authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, timeout=60, verify=False
        ) as client:
            yield server, client
    finally:
        await server.stop()


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """Checks a refusal's status, shape and code; returns its sentence."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "hint", "charged"}
    assert error["code"] == code
    assert error["code"] in ERROR_CODES
    assert error["message"]
    assert error["hint"]
    return str(error["message"])


@contextlib.asynccontextmanager
async def listening(client: httpx.AsyncClient, after: int | None = None) -> AsyncIterator[Told]:
    """Events as `(id, job)`, from the moment the daemon says that it is heard."""
    headers = {} if after is None else {"last-event-id": str(after)}
    async with asyncio.timeout(GUARD_SECONDS), client.stream("GET", "/events", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert (await anext(lines)).startswith(":")
        yield _events(lines)


async def _events(lines: AsyncIterator[str]) -> Told:
    fields: dict[str, str] = {}
    async for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            assert set(fields) == {"id", "event", "data"}
            assert fields["event"] == "job"
            yield int(fields["id"]), json.loads(fields["data"])
            fields = {}


async def ended(client: httpx.AsyncClient, job_id: str) -> Json:
    async with listening(client, after=0) as events:
        async for _, job in events:
            if job["id"] == job_id and job["state"] in ENDS:
                return job
    raise AssertionError("the stream ended before the job")


async def sent(client: httpx.AsyncClient, **request: Any) -> Json:
    answer = await client.post("/jobs", json=request)
    assert answer.status_code == 202, answer.text
    job: Json = answer.json()
    return job


def stored_job(number: int, **fields: Any) -> Job:
    request = Request(source="/clip.wav", batch=fields.pop("batch", None))
    now = timestamp()
    return Job(
        id=f"job{number:04}", created_at=now, updated_at=now, trigger="cli", request=request, provider="dsp", **fields
    )


async def until_end(events: Told, job_id: str) -> Told:
    async for event_id, job in events:
        if job["id"] == job_id:
            yield event_id, job
            if job["state"] in ENDS:
                return


async def soon(waited_for: Awaitable[None]) -> None:
    async with asyncio.timeout(GUARD_SECONDS):
        await waited_for
