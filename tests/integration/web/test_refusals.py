"""What HTTP refuses, and that every refusal has the contract's one shape."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bridge import __version__
from bridge.engine import Engine
from bridge.web.rooms import Rooms
from tests.integration.web.asking import (
    TOKEN,
    door,
    refused,
)

WRONG_BODIES = [
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b'"text"', 400),
    (b"null", 400),
    (b'{"strength": NaN}', 400),
    (b'{"strength": 1e999}', 400),
    (b'{"prompt": "\xff"}', 400),
    (b"[" * 100_000, 400),
    (b'{"seed": ' + b"9" * 5_000 + b"}", 400),
    (b" " * (5 << 20), 413),
    (b"{}", 422),
    (b'{"sourc": "/a.wav"}', 422),
    (b'{"source": "relative.wav"}', 422),
    (b'{"source": "/a.wav", "variations": 9}', 422),
    (b'{"source": "/a.wav", "context": {"a": ' + b"[" * 300 + b"]" * 300 + b"}}", 422),
    (b'{"source": "/not/there.wav"}', 404),
]


async def test_a_wrong_body_is_refused_with_a_sentence(client: httpx.AsyncClient) -> None:
    for content, status in WRONG_BODIES:
        code = {413: "too_large", 404: "source_not_found"}.get(status, "bad_request")
        refused(await client.post("/jobs", content=content), status, code)
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_a_body_without_an_announced_length_is_measured_all_the_same(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(5 * 16):
            yield b" " * 65_536

    refused(await client.post("/jobs", content=endless()), 413, "too_large")


async def test_the_daemons_own_files_are_no_source(client: httpx.AsyncClient, engine: Engine) -> None:
    refused(await client.post("/jobs", json={"source": str(engine.home.database)}), 403, "forbidden")


async def test_an_unknown_page_and_a_wrong_method_are_refused_in_the_same_shape(client: httpx.AsyncClient) -> None:
    refused(await client.get("/nothing"), 404, "bad_request")
    refused(await client.get("/jobs/"), 404, "bad_request")
    for method, path, allowed in (
        ("PUT", "/jobs", "GET, POST"),
        ("DELETE", "/jobs/x", "GET"),
        ("GET", "/price", "POST"),
    ):
        answer = await client.request(method, path)
        refused(answer, 405, "bad_request")
        assert answer.headers["allow"] == allowed


WRONG_VALUES = [
    ("limit=0", "limit"),
    ("limit=501", "limit"),
    ("limit=many", "limit"),
    ("limit=", "limit"),
    ("state=done", "done"),
    ("state=queued,done", "done"),
    ("state=", "state"),
    ("batch=", "batch"),
    ("before=", "before"),
    ("stat=queued", 'did you mean "state"'),
]


async def test_a_wrong_value_in_the_address_is_named(client: httpx.AsyncClient) -> None:
    for query, named in WRONG_VALUES:
        assert named in refused(await client.get(f"/jobs?{query}"), 422, "bad_request"), query


async def test_a_job_that_nobody_knows_is_unknown_to_every_route(client: httpx.AsyncClient) -> None:
    for method, action in (
        ("GET", ""),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("POST", "/forget"),
        ("GET", "/audio/1"),
    ):
        refused(await client.request(method, f"/jobs/nobody{action}"), 404, "unknown_job")


async def test_a_defect_of_ours_is_an_answer_and_a_line_in_the_log_and_the_next_request_goes_on(
    rooms: Rooms, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def overview(self) -> list[dict[str, Any]]:
            raise ZeroDivisionError("the secret reason")

    async with door(dataclasses.replace(rooms, providers=Broken())) as (_, client):
        answer = await client.get("/providers")
        refused(answer, 500, "internal")
        assert "secret reason" not in answer.text
        assert "secret reason" in caplog.text
        assert (await client.get("/presets")).status_code == 200


async def test_the_door_is_shut_without_the_token_also_for_the_document(client: httpx.AsyncClient) -> None:
    for path in ("/api/v1/jobs", "/api/v1/events", "/openapi.json", "/docs", "/"):
        answer = await client.get(
            client.base_url.copy_with(raw_path=path.encode()), headers={"authorization": "Bearer wrong"}
        )
        refused(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_foreign_pages_and_foreign_names_are_refused(client: httpx.AsyncClient) -> None:
    refused(await client.get("/jobs", headers={"host": "rebound.example"}), 403, "forbidden")
    refused(await client.post("/jobs", json={}, headers={"origin": "https://evil.example"}), 403, "forbidden")
    own = f"http://localhost:{client.base_url.port}"
    assert (await client.get("/jobs", headers={"origin": own})).status_code == 200


async def test_whether_the_daemon_lives_can_be_asked_without_a_token(rooms: Rooms, engine: Engine) -> None:
    facts: dict[str, Any] = {}
    async with door(dataclasses.replace(rooms, facts=lambda: facts)) as (_, client):
        del client.headers["authorization"]
        assert (await client.get("/health")).json()["state"] == "starting"
        facts |= {"started_at": "2026-01-01T00:00:00.000Z", "token": TOKEN}
        assert (await client.get("/health")).json() == {
            "version": __version__,
            "pid": os.getpid(),
            "home": str(engine.home.root),
            "started_at": "2026-01-01T00:00:00.000Z",
            "state": "ok",
        }
