"""A real daemon as a process of its own, for tests that look at clipbridge as a person or another program would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from bridge.job import ENDS

T = TypeVar("T")
DEADLINE_SECONDS = 60.0
LOOK_SECONDS = 0.02


def until(ask: Callable[[], T | None], what: str, deadline_seconds: float = DEADLINE_SECONDS) -> T:
    """The first answer of `ask` that is neither None nor False; fails with `what` when none comes."""
    gives_up_at = time.monotonic() + deadline_seconds
    while True:
        answer = ask()
        if answer is not None and answer is not False:
            return answer
        assert time.monotonic() < gives_up_at, f"waited {deadline_seconds:g} s in vain for {what}"
        time.sleep(LOOK_SECONDS)


class RunningDaemon:
    """A living daemon: its folders and its HTTP door."""

    def __init__(self, process: subprocess.Popen[bytes], facts: Mapping[str, Any]) -> None:
        self.process = process
        self.facts = facts
        self.drop = Path(facts["drop_dir"])
        self.results = Path(facts["results_dir"])
        self.http = httpx.Client(
            base_url=f"http://{facts['host']}:{facts['http_port']}/api/v1",
            headers={"Authorization": f"Bearer {facts['token']}"},
            timeout=DEADLINE_SECONDS,
        )

    def submit(self, **request: Any) -> dict[str, Any]:
        """The answer to a request: a job, or `{"error": …}` where it was refused."""
        answer: dict[str, Any] = self.http.post("/jobs", json=request).json()
        return answer

    def job(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/jobs/{job_id}").json()
        return answer

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job as soon as it has ended."""
        return until(lambda: job if (job := self.job(job_id))["state"] in ENDS else None, f"the end of job {job_id}")

    def jobs(self) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.http.get("/jobs", params={"limit": 500}).json()["jobs"]
        return listed


@contextmanager
def running_daemon(
    home: Path, *, settings: Mapping[str, str] | None = None, wrapper: list[str] | None = None
) -> Iterator[RunningDaemon]:
    """A daemon on `home`, ended (by its own process id) when the block is left. `settings` go in as variables."""
    person = home.parent / "person"
    person.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "HOME": str(person),
        "USERPROFILE": str(person),
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "CLIPBRIDGE_HOME": str(home),
        "CLIPBRIDGE_DAEMON__HTTP_PORT": "0",
        "CLIPBRIDGE_DAEMON__OSC_PORT": "0",
        **(settings or {}),
    }
    process = subprocess.Popen([*(wrapper or []), sys.executable, "-m", "bridge", "run"], env=environment)
    try:
        discovery = home / "daemon.json"

        def announced() -> dict[str, Any] | None:
            assert process.poll() is None, "the daemon ended before it was ready"
            try:
                facts: dict[str, Any] = json.loads(discovery.read_text("utf-8"))
            except (FileNotFoundError, PermissionError):
                return None
            return facts

        daemon = RunningDaemon(process, until(announced, "daemon.json"))
        with daemon.http:
            yield daemon
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
