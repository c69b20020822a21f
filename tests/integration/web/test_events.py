"""Server-sent events: nothing missed, nothing twice, whoever reads slowly or goes away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from bridge.engine import Engine
from bridge.store import schema
from bridge.web import stream
from bridge.web.rooms import Rooms
from bridge.web.serve import Server
from tests.integration.web.asking import (
    GUARD_SECONDS,
    LOOPBACK,
    TOKEN,
    Told,
    door,
    ended,
    listening,
    refused,
    sent,
    soon,
    until_end,
)


async def test_a_listener_is_told_every_state_of_a_job_as_it_happens(client: httpx.AsyncClient, clip: Path) -> None:
    async with listening(client) as events:
        job = await sent(client, source=str(clip), **LOOPBACK)
        told = [job async for _, job in until_end(events, job["id"])]
    states = list(dict.fromkeys(job["state"] for job in told))
    assert states == ["queued", "preparing", "submitting", "rendering", "fetching", "conforming", "delivered"]
    assert told[-1] == (await client.get(f"/jobs/{job['id']}")).json()


async def test_a_listener_who_comes_back_misses_nothing_and_hears_nothing_twice(
    client: httpx.AsyncClient, clip: Path
) -> None:
    async with listening(client) as events:
        job = await sent(client, source=str(clip), **LOOPBACK)
        first = [(await anext(events))[0] for _ in range(3)]
    await ended(client, job["id"])
    async with listening(client, after=first[-1]) as events:
        rest = [event_id async for event_id, _ in until_end(events, job["id"])]
    async with listening(client, after=0) as events:
        everything = [event_id async for event_id, _ in until_end(events, job["id"])]
    assert first + rest == everything
    assert everything == sorted(set(everything))


async def test_an_event_id_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    for wrong in ("", "x", "-1", "1.5", "9" * 19, "9" * 40):
        refused(await client.get("/events", headers={"last-event-id": wrong}), 422, "bad_request")


async def test_a_quiet_stream_is_kept_alive(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "KEEP_ALIVE_SECONDS", 0.01)
    async with asyncio.timeout(GUARD_SECONDS), client.stream("GET", "/events") as answer:
        lines = answer.aiter_lines()
        comments = [line async for line in _first(lines, 6)]
    assert comments == [": listening", "", ": still here", "", ": still here", ""]


async def _first(lines: AsyncIterator[str], count: int) -> AsyncIterator[str]:
    for _ in range(count):
        yield await anext(lines)


async def test_a_listener_who_does_not_read_costs_no_memory_and_holds_nobody_up(rooms: Rooms, engine: Engine) -> None:
    count, text = 4_000, json.dumps({"id": "job", "state": "queued", "message": "x" * 4_000})

    def fill(connection: sa.Connection) -> None:
        connection.execute(schema.events.insert(), [{"job_id": "job", "at": "", "job": text}] * count)

    await engine.database.write(fill)
    await engine.events.start()
    async with door(rooms) as (server, client):
        port = client.base_url.port
        _, deaf = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
        deaf.transport.pause_reading()  # type: ignore[attr-defined]
        deaf.write(
            f"GET /api/v1/events HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nauthorization: Bearer {TOKEN}\r\n"
            "last-event-id: 0\r\n\r\n".encode()
        )
        async with listening(client, after=0) as events:
            assert [event_id async for event_id, _ in _several(events, count)][-1] == count
        async with asyncio.timeout(GUARD_SECONDS):
            while not (waiting_bytes := max(_waiting_bytes(server))):
                await client.get("/health")
        async with listening(client, after=0) as events:  # all the time that the deaf one's stream could want
            assert [event_id async for event_id, _ in _several(events, count)][-1] == count
        assert 0 < waiting_bytes <= max(_waiting_bytes(server)) < 256 << 10
        await soon(server.stop())
        deaf.transport.abort()


def _waiting_bytes(server: Server) -> list[int]:
    assert server._server is not None
    return [each.transport.get_write_buffer_size() for each in server._server.server_state.connections]


async def _several(events: Told, count: int) -> Told:
    for _ in range(count):
        yield await anext(events)
