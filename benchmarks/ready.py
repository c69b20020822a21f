"""The start of the daemon, and what it costs while nobody asks anything of it."""

from __future__ import annotations

from statistics import median
from time import monotonic, sleep
from typing import Final

from benchmarks.clips import write_clip
from benchmarks.harness import PRESET, Daemon, Failed, Listener, measures_memory, new_home, place
from benchmarks.report import Report, spread

GROUP: Final = "at rest"
STARTS: Final = 7
SETTLE_SECONDS: Final = 3.0  # what the start itself still does in the background is not idleness
IDLE_SECONDS: Final = 30.0
WORKERS_LEAVE_SECONDS: Final = 180.0  # they go a minute after their last task, looked at once a minute
READY_MAX_SECONDS: Final = 1.0
IDLE_MAX_MB: Final = 100.0
IDLE_CPU_MAX_PERCENT: Final = 0.5


def measure(report: Report, *, quick: bool) -> None:
    """Adds the findings of this group."""
    with place() as folder:
        home = new_home(folder)
        times = []
        for _ in range(2 if quick else STARTS + 1):
            with Daemon(folder, home) as daemon:
                times.append(daemon.ready_seconds)
        times = times[1:]  # the first one makes the home and has nothing in the disk's cache
        report.keep("ready, s", times)
        report.add(
            GROUP,
            "process start → daemon.json there and /health answers",
            median(times),
            "s",
            READY_MAX_SECONDS,
            spread(times),
        )
        with Daemon(folder, home) as daemon:
            sleep(0.5 if quick else SETTLE_SECONDS)
            _weigh(report, daemon, "idle, just started", 1.0 if quick else IDLE_SECONDS)
            if quick:
                return
            clip = folder / "clip.wav"
            write_clip(clip, 30.0)
            with Listener(daemon) as listener:
                listener.delivered(daemon.submit({"source": str(clip), "preset": PRESET}))
            if measures_memory():
                report.add(
                    GROUP, "memory right after a clip, its audio processes still there", daemon.memory_mb(), "MB"
                )
            began = monotonic()
            while len(daemon.processes()) > 1:
                if monotonic() - began > WORKERS_LEAVE_SECONDS:
                    raise Failed(
                        f"The audio processes were still there after {WORKERS_LEAVE_SECONDS:.0f} s without work."
                    )
                sleep(0.5)
            report.add(GROUP, "audio processes gone after their last clip", monotonic() - began, "s")
            _weigh(report, daemon, "idle, after a clip", IDLE_SECONDS)


def _weigh(report: Report, daemon: Daemon, when: str, seconds: float) -> None:
    if measures_memory():
        report.add(GROUP, f"memory {when} (proportional set size)", daemon.memory_mb(), "MB", IDLE_MAX_MB)
    used, began = daemon.cpu_seconds(), monotonic()
    sleep(seconds)
    percent = 100 * (daemon.cpu_seconds() - used) / (monotonic() - began)
    report.add(GROUP, f"share of a core {when}", percent, "%", IDLE_CPU_MAX_PERCENT, f"over {seconds:.0f} s")
