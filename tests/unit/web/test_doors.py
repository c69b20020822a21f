"""Who is let in, asked of the doors alone: every Host, Origin and token that a program or a page could send."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from bridge.web.doors import Doors

TOKEN = "let-me-in"
OURS = ("host", "127.0.0.1:7411")
KNOWN = ("authorization", f"Bearer {TOKEN}")


async def _inside(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _knock(
    *headers: tuple[str, str], method: str = "GET", path: str = "/api/v1/jobs"
) -> tuple[int, dict[str, Any]]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    await Doors(_inside, TOKEN)(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in _headers(sent)}
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], {**answered, "error": json.loads(body)["error"] if body else None}


def _headers(sent: list[Message]) -> Iterable[tuple[bytes, bytes]]:
    found: Iterable[tuple[bytes, bytes]] = sent[0]["headers"]
    return found


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:7411", "localhost", "LocalHost:80", "[::1]", "[::1]:7411"])
async def test_this_computer_by_any_of_its_loopback_names_is_let_in(host: str) -> None:
    assert (await _knock(("host", host), KNOWN))[0] == 204


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:7411",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost.",
        "127.0.0.1:7411@evil.example",
        "evil.example#localhost",
        "127.0.0.2",
        "127.0.0.1:",
        "127.0.0.1:123456",
        "0.0.0.0",
        "[::1",
        "::1",
        "2130706433",
        "",
        " 127.0.0.1",
    ],
)
async def test_a_request_meant_for_any_other_host_is_refused_even_with_the_token(host: str) -> None:
    status, answer = await _knock(("host", host), KNOWN)
    assert (status, answer["error"]["code"]) == (403, "forbidden")


async def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert (await _knock(KNOWN))[0] == 403
    assert (await _knock(OURS, ("host", "evil.example"), KNOWN))[0] == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:7411", "http://localhost:7411", "http://[::1]:7411"])
async def test_clipbridges_own_page_is_let_in(origin: str) -> None:
    assert (await _knock(OURS, ("origin", origin), KNOWN))[0] == 204


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://evil.example:7411",
        "http://127.0.0.1:3000",  # the page of another program on this computer
        "http://127.0.0.1",
        "https://127.0.0.1:7411",
        "http://127.0.0.1:7411.evil.example",
        "http://evil.example/http://127.0.0.1:7411",
        "null",
        "",
        "file://",
    ],
)
async def test_any_other_page_is_refused_even_with_the_token(origin: str) -> None:
    status, answer = await _knock(OURS, ("origin", origin), KNOWN)
    assert (status, answer["error"]["code"]) == (403, "forbidden")


async def test_one_foreign_origin_among_several_is_enough_to_be_refused() -> None:
    assert (await _knock(OURS, ("origin", "http://127.0.0.1:7411"), ("origin", "null"), KNOWN))[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "")],
        [("authorization", TOKEN)],
        [("authorization", "Bearer")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer wrong")],
        [("authorization", f"Bearer {TOKEN}x")],
        [("authorization", f"Bearer {TOKEN[:-1]}")],
        [("authorization", f"Basic {TOKEN}")],
        [("authorization", "Bearer \xff\xfe")],
        [KNOWN, ("authorization", "Bearer wrong")],
        [("cookie", f"token={TOKEN}")],
    ],
)
@pytest.mark.parametrize(
    "path", ["/api/v1/jobs", "/openapi.json", "/", "/nothing/here", "/api/v1/health/", "/api/v1//health"]
)
async def test_without_the_right_token_nothing_is_told(path: str, headers: list[tuple[str, str]]) -> None:
    status, answer = await _knock(OURS, *headers, path=path)
    assert (status, answer["error"]["code"], answer["www-authenticate"]) == (401, "unauthorized", "Bearer")


async def test_the_name_of_the_scheme_may_be_written_in_any_case() -> None:
    assert (await _knock(OURS, ("authorization", f"bearer {TOKEN}")))[0] == 204


async def test_whether_the_daemon_lives_may_be_asked_without_a_token_but_not_by_a_foreign_page() -> None:
    assert (await _knock(OURS, path="/api/v1/health"))[0] == 204
    assert (await _knock(OURS, path="/api/v1/health", method="POST"))[0] == 401
    assert (await _knock(OURS, ("origin", "https://evil.example"), path="/api/v1/health"))[0] == 403
    assert (await _knock(("host", "evil.example"), path="/api/v1/health"))[0] == 403


async def test_no_answer_is_kept_by_a_browser_or_taken_for_something_else() -> None:
    for answer in (await _knock(OURS, KNOWN), await _knock(OURS), await _knock()):
        assert answer[1]["cache-control"] == "no-store"
        assert answer[1]["x-content-type-options"] == "nosniff"
        assert answer[1]["cross-origin-resource-policy"] == "same-origin"
