"""One clip of 30 seconds (48 kHz, 24 bit, stereo) there and back: HTTP, folder and command line, and a straight script.

Each round takes one of each after the other, so that whatever else the computer does falls on all alike; the middle of
the rounds counts, the first is dropped. Everything is warm: the daemon's audio process runs, and so does the script's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, Final

from benchmarks.clips import write_clip
from benchmarks.harness import MATCHED, PRESET, ROOT, Daemon, Failed, Listener, Told, environment, new_home, place
from benchmarks.report import Report, quiet, spread

GROUP: Final = "round trip"
ROUNDS: Final = 20
QUICK_ROUNDS: Final = 2
CLIP_SECONDS: Final = 30.0
WRITE_BYTES: Final = 1 << 20
# the limits of the numbers that were set for this way
TIMES_FLOOR_MAX: Final = 1.5
FOLDER_EXTRA_MAX_MS: Final = 50.0
SEND_EXTRA_MAX_SECONDS: Final = 0.5


def measure(report: Report, *, quick: bool) -> None:
    """Adds the findings of this group."""
    with place() as folder:
        clip = folder / "clip.wav"
        write_clip(clip, 6.0 if quick else CLIP_SECONDS)
        home = new_home(folder)
        with Daemon(folder, home) as daemon, Listener(daemon) as listener, Straight(folder) as straight:
            ways = _Ways(folder, clip, daemon, listener, straight)
            for number in range((QUICK_ROUNDS if quick else ROUNDS) + 1):
                ways.go(number)
                if number == 0:
                    ways.forget()
        _tell(report, ways)


def _tell(report: Report, ways: _Ways) -> None:
    took = ways.took
    middle = {way: median(samples) for way, samples in took.items()}
    for way, samples in took.items():
        report.keep(f"round trip, {way}, s", samples)
        if way in ways.stages:
            report.keep_stages(way, {stage: median(times) for stage, times in ways.stages[way].items()})
    floor = middle["floor"]
    report.add(
        GROUP, "floor: straight script, whole files, int32, soxr HQ, no fsync", floor, "s", detail=spread(took["floor"])
    )

    def times(way: str) -> str:
        best = quiet(took[way]) / quiet(took["floor"])
        return f"{spread(took[way])}\nquiet rounds (p10 of each): {best:.2f} ×"

    report.add(
        GROUP, "HTTP request → delivered, loopback, match_loudness off, soxr VHQ: times the floor",
        middle["http"] / floor, "×", TIMES_FLOOR_MAX, times("http"),
    )  # fmt: skip
    report.add(
        GROUP, "the same with match_loudness on", middle["http matched"] / floor, "×", None, times("http matched")
    )

    def more(way: str) -> tuple[float, str]:
        best = quiet(took[way]) - quiet(took["http"])
        return middle[way] - middle[
            "http"
        ], f"{spread(took[way])}\nquiet rounds (p10 of each): {best * 1e3:.0f} ms more"

    seconds, detail = more("folder")
    report.add(
        GROUP, "folder drop, last byte → delivered: more than HTTP", seconds * 1e3, "ms", FOLDER_EXTRA_MAX_MS, detail
    )
    seconds, detail = more("send")
    report.add(
        GROUP,
        "clipbridge send --wait, from the shell and back: more than HTTP",
        seconds,
        "s",
        SEND_EXTRA_MAX_SECONDS,
        detail,
    )


class _Ways:
    """The ways that are compared, and how long each took, in seconds, round by round."""

    def __init__(self, folder: Path, clip: Path, daemon: Daemon, listener: Listener, straight: Straight) -> None:
        self._folder, self._clip, self._daemon = folder, clip, daemon
        self._listener, self._straight = listener, straight
        self._bytes = clip.read_bytes()
        self.forget()

    def forget(self) -> None:
        self.took: dict[str, list[float]] = {}
        self.stages: dict[str, dict[str, list[float]]] = {}

    def go(self, number: int) -> None:
        """One round."""
        self._keep("floor", self._straight.run(self._clip))
        self._http("http", PRESET)
        self._keep("floor", self._straight.run(self._clip))
        self._drop(number)
        self._http("http matched", MATCHED)
        self._send()

    def _http(self, way: str, preset: str) -> None:
        began = perf_counter()
        job_id = self._daemon.submit({"source": str(self._clip), "preset": preset})
        accepted = perf_counter()
        told = self._listener.delivered(job_id)
        self._keep(way, told.first["delivered"] - began)
        self._keep_stages(way, told, began, accepted=accepted - began)

    def _drop(self, number: int) -> None:
        target = self._daemon.home / "Drop" / PRESET / f"dropped {number}.wav"
        with target.open("wb") as file:
            for start in range(0, len(self._bytes), WRITE_BYTES):
                file.write(self._bytes[start : start + WRITE_BYTES])
        closed = perf_counter()
        told = self._listener.delivered_from(target)
        self._keep("folder", told.first["delivered"] - closed)
        self._keep_stages("folder", told, closed)
        while target.exists():  # it is put away after the delivery: that must not run while the next way is measured
            if perf_counter() > closed + 60:
                raise Failed(f"{target.name} was delivered, but stayed in Drop.")
            sleep(0.01)

    def _send(self) -> None:
        command = [
            sys.executable, "-m", "bridge", "send", str(self._clip),
            "--preset", PRESET, "--wait", "--json", "--home", str(self._daemon.home),
        ]  # fmt: skip
        began = perf_counter()
        sent = subprocess.run(
            command,
            cwd=self._folder,
            env=environment(self._folder),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self._keep("send", perf_counter() - began)
        if sent.returncode != 0:
            raise Failed(f"clipbridge send left with {sent.returncode}: {sent.stderr[-500:]}{sent.stdout[-500:]}")
        jobs: list[dict[str, Any]] = json.loads(sent.stdout)
        if [job["state"] for job in jobs] != ["delivered"]:
            raise Failed(f"clipbridge send delivered nothing: {sent.stdout[-500:]}")

    def _keep(self, way: str, seconds: float) -> None:
        self.took.setdefault(way, []).append(seconds)

    def _keep_stages(self, way: str, told: Told, began: float, **more: float) -> None:
        stages = self.stages.setdefault(way, {})
        for stage, seconds in {**more, **{state: at - began for state, at in told.first.items()}}.items():
            stages.setdefault(stage, []).append(seconds)


class Straight:
    """The straight script in a process of its own, started once; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "straight"
        self._folder.mkdir()
        self._environment = environment(folder)

    def __enter__(self) -> Straight:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.straight"], cwd=ROOT, env=self._environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def run(self, clip: Path) -> float:
        """How long it takes for this clip, in seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"source": str(clip), "folder": str(self._folder)}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Failed("The straight script ended by itself.")
        return float(json.loads(line)["seconds"])
