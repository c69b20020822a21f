"""A file of an hour (48 kHz, 16 bit, stereo): memory must not grow with a clip's length."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.clips import write_clip
from benchmarks.harness import (
    MATCHED,
    PRESET,
    Daemon,
    Listener,
    Scales,
    measures_memory,
    new_home,
    place,
    room_for,
)
from benchmarks.report import Report

GROUP: Final = "an hour"
MINUTES: Final = 60
MEMORY_MAX_MB: Final = 200.0
ROOM_GB: Final = 10.0
EVERY_SECONDS: Final = 0.5
WAIT_SECONDS: Final = 1_800.0
WAYS: Final = {
    "loopback": {"preset": PRESET},
    "loopback, loudness matched": {"preset": MATCHED},
    "dsp, default preset": {"provider": "dsp"},
}


def measure(report: Report, *, quick: bool) -> None:
    """Adds the findings of this group."""
    if not measures_memory():
        report.announce("left out: this system does not say what share of the memory is a process's own (Linux does)")
        return
    minutes = 1 if quick else MINUTES
    with place() as folder:
        room_for(folder, ROOM_GB * minutes / MINUTES)
        clip = folder / "long.wav"
        write_clip(clip, minutes * 60.0, subtype="PCM_16")
        for number, (way, asked) in enumerate(WAYS.items()):
            home = new_home(folder, f"home {number}")
            with Daemon(folder, home) as daemon, Listener(daemon) as listener, Scales(daemon, EVERY_SECONDS) as scales:
                job_id = daemon.submit({"source": str(clip), **asked})
                job = listener.delivered(job_id, WAIT_SECONDS)
                seconds = job.first["delivered"] - job.first["queued"]
            _remove(home)
            report.add(
                GROUP, f"memory at most for {minutes} min, {way}", scales.peak_mb, "MB", MEMORY_MAX_MB,
                f"{scales.processes} processes, {seconds:.0f} s, {minutes * 60 / seconds:.0f} × real time",
            )  # fmt: skip


def _remove(home: Path) -> None:
    """Removes the home's audio: three of these homes would need a lot of room."""
    for file in home.rglob("*.wav"):
        file.unlink()
