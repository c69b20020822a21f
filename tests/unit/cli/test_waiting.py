"""Waiting: ended jobs end it, a hole in the stream is filled by asking, a daemon that stays away is told as such."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from bridge.cli import waiting
from bridge.cli.options import Unreachable

Json = dict[str, Any]


def job(job_id: str, state: str, **more: Any) -> Json:
    return {"id": job_id, "state": state, "held": None, "error": None, **more}


class Seen:
    """A view that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def update(self, job: Mapping[str, Any]) -> None:
        self.told.append((job["id"], job["state"]))

    def close(self) -> None:
        pass


class Daemon:
    """The daemon's side of a conversation: what the stream says (None: a second of silence), and what it answers."""

    def __init__(self, stream: list[Json | None], answer: Callable[[str], Json]) -> None:
        self.connected = threading.Event()
        self.connected.set()
        self.client = self
        self.asked: list[str] = []
        self._stream = iter(stream)
        self._answer = answer

    def next(self) -> Json | None:
        return next(self._stream, None)

    def job(self, job_id: str) -> Json:
        self.asked.append(job_id)
        return self._answer(job_id)


def never(job_id: str) -> Json:
    raise AssertionError(f"nobody should ask for {job_id}")


def follow(daemon: Daemon, jobs: dict[str, Json]) -> Seen:
    seen = Seen()
    waiting.follow(daemon, jobs, seen)  # type: ignore[arg-type]
    return seen


def test_it_ends_when_every_job_has_ended() -> None:
    jobs = {"a": job("a", "queued"), "b": job("b", "delivered")}
    seen = follow(Daemon([job("x", "failed"), job("a", "rendering"), job("a", "delivered")], never), jobs)
    assert {name: one["state"] for name, one in jobs.items()} == {"a": "delivered", "b": "delivered"}
    assert seen.told == [("a", "queued"), ("b", "delivered"), ("a", "rendering"), ("a", "delivered")]


def test_it_does_not_wait_for_next_months_budget() -> None:
    held = job("a", "held", held={"reason": "budget", "until": "2026-12-01T00:00:00.000Z"})
    jobs = {"a": job("a", "queued")}
    follow(Daemon([held], never), jobs)
    assert jobs["a"] == held


def test_it_waits_on_while_the_network_is_away() -> None:
    held = job("a", "held", held={"reason": "network", "until": "2026-12-01T00:00:00.000Z"})
    jobs = {"a": job("a", "queued")}
    follow(Daemon([held, job("a", "queued"), job("a", "delivered")], never), jobs)
    assert jobs["a"]["state"] == "delivered"


def test_what_the_stream_missed_is_asked_for_once() -> None:
    states = iter(["rendering"])
    daemon = Daemon([None, None, None, job("a", "delivered")], lambda job_id: job(job_id, next(states)))
    jobs = {"a": job("a", "queued")}
    follow(daemon, jobs)
    assert daemon.asked == ["a"]
    assert jobs["a"]["state"] == "delivered"


def test_without_a_stream_it_asks_each_second() -> None:
    states = iter(["rendering", "conforming", "delivered"])
    daemon = Daemon([], lambda job_id: job(job_id, next(states)))
    daemon.connected.clear()
    jobs = {"a": job("a", "queued")}
    follow(daemon, jobs)
    assert daemon.asked == ["a", "a", "a"]


def test_a_daemon_that_stays_away_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1_000, 3))
    monkeypatch.setattr(waiting.time, "monotonic", lambda: float(next(clock)))

    def gone(job_id: str) -> Json:
        raise Unreachable("Not there.", hint="Start it.")

    daemon = Daemon([], gone)
    daemon.connected.clear()
    with pytest.raises(Unreachable, match="went away before the job ended"):
        follow(daemon, {"a": job("a", "queued")})
    assert len(daemon.asked) > 1  # it was given time to come back
