"""Very many clips at once: a thousand files moved into Drop, against a hundred.

A cost per clip that does not grow, each clip delivered exactly once, and memory that stays where it is.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from time import perf_counter, sleep
from typing import Final

from benchmarks.clips import write_clip, write_many
from benchmarks.harness import (
    PRESET,
    Daemon,
    Failed,
    Listener,
    Scales,
    measures_memory,
    new_home,
    place,
    room_for,
    whole,
)
from benchmarks.report import Report

GROUP: Final = "many clips"
CLIP_SECONDS: Final = 6.0
SUBTYPE: Final = "PCM_16"
FEW: Final = 100
MANY: Final = 1_000
WARM: Final = 4  # clips before the clock starts, so that the audio processes are there
GROWTH_MAX: Final = 1.2
MEMORY_MAX_MB: Final = 150.0
ROOM_GB: Final = 9.0
SECONDS_PER_CLIP_MAX: Final = 5.0  # then something is stuck


def measure(report: Report, *, quick: bool) -> None:
    """Adds the findings of this group. The hundred are dropped before and after the thousand, and their mean counts."""
    few, many = (6, 12) if quick else (FEW, MANY)
    costs: dict[int, list[float]] = {}
    weighed: dict[int, Scales] = {}
    for count in (few, many, few):
        with place() as folder:
            room_for(folder, ROOM_GB * count / MANY)
            delivered, scales = _drop(folder, count)
        costs.setdefault(count, []).append(delivered[-1] / count)
        weighed[count] = scales
        report.keep(f"many clips, {count} at once, clips of 10 % each, s", _by_tenths(delivered))
    per_few, per_many = sum(costs[few]) / 2, costs[many][0]
    once = "all delivered, each once"
    report.add(GROUP, f"{few} clips of 6 s dropped at once: one costs", per_few * 1e3, "ms", detail=f"{once}; twice")
    report.add(GROUP, f"{many:,} clips of 6 s dropped at once: one costs", per_many * 1e3, "ms", detail=once)
    report.add(GROUP, f"cost of one at {many:,} : at {few}", per_many / per_few, "×", GROWTH_MAX)
    if measures_memory():
        scales = weighed[many]
        report.add(
            GROUP, f"memory at most while {many:,} clips are worked on", scales.peak_mb, "MB", MEMORY_MAX_MB,
            f"{scales.processes} processes, of it the daemon at most {scales.peak_of_daemon_mb:.0f} MB",
        )  # fmt: skip


def _drop(folder: Path, count: int) -> tuple[list[float], Scales]:
    """When each clip was delivered, in seconds after the first move, in order; and the memory meanwhile."""
    clips = write_many(folder / "clips", count, CLIP_SECONDS, subtype=SUBTYPE)
    first = folder / "first.wav"
    write_clip(first, CLIP_SECONDS, subtype=SUBTYPE)
    home = new_home(folder)
    drop = home / "Drop" / PRESET
    with Daemon(folder, home) as daemon, Listener(daemon) as listener:
        for _ in range(WARM):
            daemon.submit({"source": str(first), "preset": PRESET})
        listener.wait(lambda: listener.ended >= WARM, 120)
        with Scales(daemon) as scales:
            began = perf_counter()
            for clip in clips:
                clip.rename(drop / clip.name)
            listener.wait(lambda: listener.ended >= WARM + count, 60 + SECONDS_PER_CLIP_MAX * count)
            delivered = sorted(told.first["delivered"] - began for told in map(whole, listener.jobs.values()))[WARM:]
            _put_away(drop, home / "Drop", count)
        _check_once(listener, home, [clip.name for clip in clips])
    return delivered, scales


def _by_tenths(delivered: list[float]) -> list[float]:
    """How long each tenth of the clips took: what grows shows here."""
    ends = [delivered[len(delivered) * tenth // 10 - 1] for tenth in range(1, 11) if len(delivered) >= 10]
    return [end - begin for begin, end in zip([0.0, *ends], ends, strict=False)]


def _put_away(drop: Path, root: Path, count: int) -> None:
    """Waits until the daemon has moved all clips to _Done; a job too many has the time to show itself."""
    until = perf_counter() + 60
    while any(drop.glob("*.wav")):
        if perf_counter() > until:
            raise Failed(f"{len(list(drop.glob('*.wav')))} of {count} delivered clips were never moved away.")
        sleep(0.1)
    done = sum(1 for _ in root.rglob("_Done/*.wav"))
    if done != count:
        raise Failed(f"_Done holds {done} clips, not {count}.")


def _check_once(listener: Listener, home: Path, names: list[str]) -> None:
    jobs = [told for told in listener.jobs.values() if Path(told.last["request"]["source"]).name in names]
    by_clip = Counter(Path(told.last["request"]["source"]).name for told in jobs)
    twice = [name for name in names if by_clip[name] != 1]
    if twice or any(told.ends != 1 for told in jobs):
        raise Failed(f"Not every clip had exactly one job that ended once: {twice[:5]}")
    takes = [take["path"] for told in jobs for take in told.last["takes"]]
    if len(set(takes)) != len(names) or not all(Path(take).is_file() for take in takes):
        raise Failed(f"{len(names)} clips have {len(set(takes))} takes.")
    on_disk = sum(1 for _ in (home / "Results").rglob("*.wav"))
    if on_disk != len(names) + WARM:
        raise Failed(f"Results holds {on_disk} takes, not {len(names) + WARM}.")
