"""Waiting for jobs: what a person sees meanwhile, and the loop that follows the daemon's events until all have ended.

On a terminal a bar for each job at work; where the output goes elsewhere a line for each step; with `--json` nothing.
How a finished job is told is `show.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from bridge.cli import show, status
from bridge.cli.options import Unreachable

if TYPE_CHECKING:
    from rich.progress import TaskID

    from bridge.cli.client import Listener

GIVE_UP_SECONDS: Final = 10.0  # how long a daemon that went away may take to come back; a service starts again at once
NAME_COLUMNS: Final = 22


class View(Protocol):
    """What a person sees of jobs under way."""

    def update(self, job: Mapping[str, Any]) -> None:
        """A job is in this state now; called once more when it has ended."""

    def close(self) -> None:
        """Nothing more comes."""


def view_for(count: int, *, silent: bool) -> View:
    """What fits where the output goes; `count` jobs are expected."""
    if silent:
        return Silent()
    return Bars(count) if show.is_terminal() else Lines()


def over(job: Mapping[str, Any]) -> bool:
    """Whether there is nothing left to wait for: the job has ended, or waits for money."""
    from bridge.job import ENDS

    return job["state"] in ENDS or status.waits_for_budget(job)


class Silent:
    def update(self, job: Mapping[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


class Lines:
    """A line for each new state, and the outcome at the end."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def update(self, job: Mapping[str, Any]) -> None:
        if self._told.get(job["id"]) == job["state"]:
            return
        self._told[job["id"]] = job["state"]
        if over(job):
            show.outcome(job)
        else:
            show.step(job)

    def close(self) -> None:
        pass


class Bars:
    """A bar for each job at work, above them the outcomes, and one bar for all where there are several."""

    def __init__(self, count: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(bar_width=14),
            TextColumn("{task.fields[doing]}", markup=False),
            TimeElapsedColumn(),
            console=Console(highlight=False),
            transient=True,
        )
        self._count = count
        self._ended: set[str] = set()
        self._bars: dict[str, TaskID] = {}
        self._all = None if count == 1 else self._progress.add_task("", total=count, name=self._fit("all"), doing="")
        self._progress.start()

    def update(self, job: Mapping[str, Any]) -> None:
        if job["id"] in self._ended:
            return
        if over(job):
            self._end(job)
        elif job["id"] in self._bars or self._count == 1 or job["state"] != "queued":
            doing = show.shortened(show.safe(job["message"]), 32)
            bar = self._bars.get(job["id"])
            if bar is None:
                name = self._fit(show.clip_name(job["request"]))
                bar = self._bars[job["id"]] = self._progress.add_task("", total=1.0, name=name, doing=doing)
            self._progress.update(bar, completed=job["progress"], doing=doing)

    def close(self) -> None:
        self._progress.stop()

    def _end(self, job: Mapping[str, Any]) -> None:
        from rich.text import Text

        self._ended.add(job["id"])
        bar = self._bars.pop(job["id"], None)
        if bar is not None:
            self._progress.remove_task(bar)
        if self._all is not None:
            done = len(self._ended)
            self._progress.update(self._all, completed=done, doing=f"{done} of {self._count}")
        for text in show.outcome_lines(job):
            self._progress.console.print(Text.from_ansi(text), soft_wrap=True)

    @staticmethod
    def _fit(name: str) -> str:
        from rich.cells import set_cell_size

        return set_cell_size(show.shortened(name, NAME_COLUMNS), NAME_COLUMNS)


def follow(listener: Listener, jobs: dict[str, dict[str, Any]], view: View) -> None:
    """Waits until all `jobs` (by id) are over, keeping them up to date in place.

    Raises Unreachable when the daemon goes away and does not come back. What the stream may have missed is asked for,
    at most once a second.
    """
    for job in jobs.values():
        view.update(job)
    up_to_date = False  # whether the jobs were asked for since the stream began
    gone_since: float | None = None
    while waiting := [job_id for job_id, job in jobs.items() if not over(job)]:
        news = listener.next()
        if news is not None:
            if news["id"] in jobs:
                jobs[news["id"]] = news
                view.update(news)
            continue
        connected = listener.connected.is_set()
        if connected and up_to_date:
            continue
        if _ask_for(waiting, listener, jobs, view):
            up_to_date, gone_since = connected, None
            continue
        gone_since = gone_since or time.monotonic()
        if time.monotonic() - gone_since > GIVE_UP_SECONDS:
            raise Unreachable(
                f"The daemon went away before {'the job' if len(waiting) == 1 else f'{len(waiting)} jobs'} ended.",
                hint="Start it again with `clipbridge run`: it goes on where it was.",
            )


def _ask_for(waiting: list[str], listener: Listener, jobs: dict[str, dict[str, Any]], view: View) -> bool:
    """Asks for each job as it is now; whether the daemon answered."""
    for job_id in waiting:
        try:
            jobs[job_id] = listener.client.job(job_id)
        except Unreachable:
            return False
        view.update(jobs[job_id])
    return True
