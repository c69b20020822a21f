"""A real daemon in a throw-away home, asked over HTTP, listened to, weighed and ended again.

What all measurements share; what is measured, and what is good enough, is said by the groups.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, Final, Self

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
ENDS: Final = frozenset({"delivered", "failed", "cancelled", "uncertain"})
SMAPS: Final = Path("/proc/self/smaps_rollup")  # Linux alone says what a process's share of the memory is
PRESET: Final = "bench"  # loopback, nothing matched
MATCHED: Final = "bench-matched"  # loopback, loudness matched
_PRESETS: Final = {
    PRESET: 'provider = "loopback"\nmatch_loudness = false\n',
    MATCHED: 'provider = "loopback"\nmatch_loudness = true\n',
}


class Failed(Exception):
    """Something did not work: there is no number then."""


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A throw-away folder on the disk that temporary files are on."""
    folder = Path(tempfile.mkdtemp(prefix="clipbridge-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def room_for(folder: Path, wanted_gb: float) -> None:
    """Raises Failed where the disk of `folder` has less than `wanted_gb` left."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < wanted_gb:
        raise Failed(f"This needs {wanted_gb:.0f} GB for temporary files, and {free_gb:.1f} GB are free; see TMPDIR.")


def new_home(folder: Path, name: str = "home") -> Path:
    """A home with the two presets of the measurements, and their folders in Drop."""
    home = folder / name
    for preset, text in _PRESETS.items():
        (home / "presets").mkdir(parents=True, exist_ok=True)
        (home / "presets" / f"{preset}.toml").write_text(text, "utf-8")
        (home / "Drop" / preset).mkdir(parents=True)
    return home


def environment(folder: Path) -> dict[str, str]:
    """This process's variables without a setting or key of clipbridge, and with a home that is not the person's.

    Python's own variables go too: where it is told to keep no compiled modules, each start would compile ours anew.
    """
    person = folder / "person"
    person.mkdir(exist_ok=True)
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CLIPBRIDGE_", "XDG_", "PYTHON")) and not name.endswith(("_API_KEY", "_KEY"))
    }
    return {
        **ours,
        "HOME": str(person),
        "USERPROFILE": str(person),
        "CLIPBRIDGE_DAEMON__HTTP_PORT": "0",
        "CLIPBRIDGE_DAEMON__OSC_PORT": "0",
        "PYTHONPATH": str(ROOT),
    }


class Daemon:
    """A daemon process of its own; a context manager that starts it and ends it by its process id.

    `ready_seconds` is what passed from the start of the process until `daemon.json` stood there and `/health` answered.
    """

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.ready_seconds = 0.0
        self.facts: dict[str, Any] = {}
        self._said = folder / f"{home.name}.log"

    def __enter__(self) -> Self:
        began = perf_counter()
        with self._said.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bridge", "run", "--home", str(self.home)],
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self.folder, env=environment(self.folder),
            )  # fmt: skip
        try:
            self.facts = self._announced(began + START_SECONDS)
            self._answers(began + START_SECONDS)
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = perf_counter() - began
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Asks it to end, and ends it where it does not."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _announced(self, until: float) -> dict[str, Any]:
        discovery = self.home / "daemon.json"
        while perf_counter() < until:
            # the file appears whole, by a rename; one of an earlier run was removed at its end
            if discovery.exists():
                facts: dict[str, Any] = json.loads(discovery.read_text("utf-8"))
                if facts["pid"] == self.process.pid:
                    return facts
            self._lives()
            sleep(0.002)
        raise Failed(f"The daemon was not ready after {START_SECONDS:.0f} s.")

    def _answers(self, until: float) -> None:
        while perf_counter() < until:
            try:
                if self.ask("GET", "/api/v1/health")[0] == 200:
                    return
            except OSError:
                self._lives()
                sleep(0.002)
        raise Failed(f"The daemon's /health did not answer within {START_SECONDS:.0f} s.")

    def _lives(self) -> None:
        if self.process.poll() is not None:
            said = self._said.read_text("utf-8", "replace")[-2_000:]
            raise Failed(f"The daemon ended by itself (exit status {self.process.returncode}):\n{said}")

    # ---- asked ---------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """One request on a connection of its own: the status and the JSON that came back."""
        connection = http.client.HTTPConnection(self.facts["host"], self.facts["http_port"], timeout=60)
        try:
            text = None if body is None else json.dumps(body)
            headers = {"Authorization": f"Bearer {self.facts['token']}"}
            if text is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def submit(self, request: dict[str, Any]) -> str:
        """Hands in a request; its job's id. Raises Failed where it is refused."""
        status, job = self.ask("POST", "/api/v1/jobs", request)
        if status != 202:
            raise Failed(f"The daemon refused a request with {status}: {job}")
        return str(job["id"])

    # ---- weighed -------------------------------------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """The daemon and its workers, as far as they live."""
        try:
            daemon = psutil.Process(self.process.pid)
            return [daemon, *daemon.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def memory_mb(self) -> float:
        """The proportional set size of all its processes, in 10^6 bytes."""
        return sum(pss_bytes(process.pid) for process in self.processes()) / 1e6

    def cpu_seconds(self) -> float:
        """What all its processes that live have used of the processor so far."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total


def measures_memory() -> bool:
    """Whether this system can say what share of the memory is a process's own."""
    return SMAPS.exists()


def pss_bytes(pid: int) -> int:
    """The proportional set size: what several processes share is divided among them. 0 for one that is gone."""
    try:
        with Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as rollup:
            for line in rollup:
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


class Scales(threading.Thread):
    """Weighs a daemon while it works, five times a second.

    `peak_mb` is the most that was seen at once, `peak_of_daemon_mb` of the daemon alone, `processes` the most of them.
    """

    def __init__(self, daemon: Daemon, every_seconds: float = 0.2) -> None:
        super().__init__(daemon=True)
        self._weighed, self._every_seconds = daemon, every_seconds
        self._over = threading.Event()
        self.peak_mb, self.processes, self.peak_of_daemon_mb = 0.0, 0, 0.0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(self._every_seconds):
            alive = self._weighed.processes()
            weights = [pss_bytes(process.pid) / 1e6 for process in alive]
            self.peak_mb = max(self.peak_mb, sum(weights))
            self.processes = max(self.processes, len(alive))
            if weights:
                self.peak_of_daemon_mb = max(self.peak_of_daemon_mb, weights[0])


# ---- listened to ---------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What the stream said of one job: when it came into each state (`perf_counter`), and the job as it was last."""

    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    ends: int = 0  # how often an end was reached: more than once is a defect


class Listener(threading.Thread):
    """Listens to `/api/v1/events` of one daemon; a context manager."""

    def __init__(self, daemon: Daemon) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(daemon.facts["host"], daemon.facts["http_port"], timeout=60)
        self._connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {daemon.facts['token']}"})
        self._stream = self._connection.getresponse()
        if self._stream.status != 200:
            raise Failed(f"The daemon refused a listener with {self._stream.status}.")
        self._stream.readline()  # it says at once that it has heard us
        self._news = threading.Condition()
        self._broken: str | None = None
        self.jobs: dict[str, Told] = {}
        self.ended = 0
        self.events = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        # the stream has no end of its own; the thread is a daemon thread and falls with the connection
        with contextlib.suppress(OSError):
            if self._connection.sock is not None:
                self._connection.sock.shutdown(2)
        self._connection.close()
        self.join(1.0)

    def run(self) -> None:
        try:
            for line in self._stream:
                if line.startswith(b"data:"):
                    self._heard(perf_counter(), json.loads(line[5:]))
            broken = "The daemon ended the stream of events."
        except (OSError, ValueError, AttributeError) as error:
            broken = f"The stream of events broke: {error!r}"
        with self._news:
            self._broken = broken
            self._news.notify_all()

    def _heard(self, at: float, job: dict[str, Any]) -> None:
        with self._news:
            told = self.jobs.setdefault(job["id"], Told())
            if job["state"] in ENDS and told.last.get("state") not in ENDS:
                told.ends += 1
                self.ended += told.ends == 1
            told.first.setdefault(job["state"], at)
            told.last = job
            self.events += 1
            self._news.notify_all()

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Returns when `done` says so, which is asked after each event.

        Raises Failed after `seconds`, or when the stream breaks.
        """
        until = monotonic() + seconds
        with self._news:
            while not done():
                if self._broken is not None:
                    raise Failed(self._broken)
                if not self._news.wait(max(0.0, until - monotonic())) and monotonic() >= until:
                    states = sorted({told.last["state"] for told in self.jobs.values()})
                    raise Failed(f"Nothing came to its end within {seconds:.0f} s; states seen: {', '.join(states)}.")

    def delivered(self, job_id: str, seconds: float = 60.0) -> Told:
        """Waits until this job has ended. Raises Failed where it was not delivered."""
        self.wait(lambda: job_id in self.jobs and self.jobs[job_id].last["state"] in ENDS, seconds)
        return whole(self.jobs[job_id])

    def delivered_from(self, source: Path, seconds: float = 60.0) -> Told:
        """Waits until the job of this file has ended, whoever made the job."""
        self.wait(lambda: any(_is_of(told, source) for told in self.jobs.values()), seconds)
        return whole(next(told for told in self.jobs.values() if _is_of(told, source)))


def whole(told: Told) -> Told:
    """The same, if its job was delivered. Raises Failed with the job's own error otherwise."""
    if told.last["state"] != "delivered" or told.last["error"] is not None:
        raise Failed(f"A job was not delivered: {told.last['state']}, {told.last['error']}")
    return told


def _is_of(told: Told, source: Path) -> bool:
    return told.last["state"] in ENDS and told.last["request"]["source"] == str(source)
