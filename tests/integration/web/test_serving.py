"""Coming and going of the HTTP door: ports, signals, stops."""

from __future__ import annotations

import signal
import socket

import httpx
import pytest

from bridge.engine import Engine
from bridge.web.rooms import Rooms
from bridge.web.serve import Server
from tests.integration.web.asking import (
    TOKEN,
    door,
    soon,
    stored_job,
)


async def test_a_stop_ends_every_stream_cleanly_and_nothing_listens_any_more(rooms: Rooms) -> None:
    async with door(rooms) as (server, client):
        async with client.stream("GET", "/events") as one, client.stream("GET", "/events") as other:
            lines = [one.aiter_lines(), other.aiter_lines()]
            for each in lines:
                assert (await anext(each)).startswith(":")
            await soon(server.stop())
            # a cut connection would raise here
            assert [[line async for line in each] for each in lines] == [[""], [""]]
        with pytest.raises(httpx.ConnectError):
            await client.get("/health")


async def test_a_stop_does_not_wait_for_somebody_who_fetches_a_file_slowly(rooms: Rooms, engine: Engine) -> None:
    await engine.jobs.add(stored_job(1))
    snapshot = engine.home.job_dir("job0001") / "source.wav"
    snapshot.parent.mkdir(parents=True)
    with snapshot.open("wb") as file:
        file.truncate(1 << 30)
    async with door(rooms) as (server, client), client.stream("GET", "/jobs/job0001/audio/source") as answer:
        assert answer.headers["content-length"] == str(1 << 30)
        await soon(server.stop())


async def test_a_taken_port_is_left_alone_and_the_next_free_one_is_used(rooms: Rooms) -> None:
    first, second = Server(rooms, TOKEN), Server(rooms, TOKEN)
    port = await first.start(0)
    try:
        other = await second.start(port)
        assert other != port
        async with httpx.AsyncClient() as client:
            for each in (port, other):
                assert (await client.get(f"http://127.0.0.1:{each}/api/v1/health")).status_code == 200
    finally:
        await first.stop()
        await second.stop()
    assert await first.start(port) == port  # free again at once
    await first.stop()


async def test_only_this_computer_can_reach_the_door(rooms: Rooms) -> None:
    async with door(rooms) as (server, _):
        listeners = [each for listening in server._server.servers for each in listening.sockets]
        assert [each.getsockname()[0] for each in listeners] == ["127.0.0.1"]


async def test_answers_leave_at_once_instead_of_waiting_for_more(rooms: Rooms) -> None:
    """Without TCP_NODELAY each small answer would wait some 40 ms for an acknowledgement."""
    async with door(rooms) as (server, client), client.stream("GET", "/events"):
        (connection,) = server._server.server_state.connections
        kept = connection.transport.get_extra_info("socket")
        assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_signals_stay_the_daemons(rooms: Rooms) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with door(rooms):
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
