"""`clipbridge send`: clips named on the command line become requests, for the daemon or, where none runs, this process.

Only the command's words and what is said of its jobs; waiting is `waiting.py`'s, working without a daemon `alone.py`'s.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli import options, show, status
from bridge.errors import ClipError

if TYPE_CHECKING:
    from bridge.cli.client import Client


@dataclass
class Outcome:
    """One file's way: what was asked, its job as far as it is known (a refusal looks like one), its exit status."""

    given: dict[str, Any]
    job: dict[str, Any] = field(default_factory=dict)
    status: int = status.DONE

    def refuse(self, error: ClipError, *, silent: bool) -> None:
        """No job came of it: what is shown is shaped like one, as in a mailbox reply."""
        self.status = options.status_of(error)
        self.job = {"id": None, "state": "failed", "request": self.given, "error": error.to_dict()}
        if not silent:
            for text in show.outcome_lines(self.job):
                show.line(text, error=True)

    def settle(self, job: dict[str, Any]) -> None:
        self.job, self.status = job, status.of_job(job)


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter("should be an ordinary number.")
    return value


def send(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="The clips; several are one batch.")],
    prompt: Annotated[str | None, typer.Option(metavar="TEXT", help="What it should become, in words.")] = None,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="See `clipbridge presets list`.")] = None,
    provider: Annotated[str | None, typer.Option(metavar="NAME", help="See `clipbridge providers`.")] = None,
    strength: Annotated[
        float | None, typer.Option(metavar="0...1", callback=_finite, help="0 leaves it as it is, 1 makes it new.")
    ] = None,
    start: Annotated[
        float | None, typer.Option(metavar="SECONDS", callback=_finite, help="Where the part that is meant begins.")
    ] = None,
    end: Annotated[float | None, typer.Option(metavar="SECONDS", callback=_finite, help="Where it ends.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="NUMBER", help="The same seed makes the same take.")] = None,
    variations: Annotated[int | None, typer.Option(metavar="1...8", help="How many takes.")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="The take must loop without a click.")] = False,
    to: Annotated[str | None, typer.Option(metavar="DIR", help="Where the takes go.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the takes are there.")] = False,
    as_json: options.Json = False,
    home: options.Home = None,
) -> None:
    """Transform clips."""
    wanted: dict[str, Any] = {
        "prompt": prompt,
        "preset": preset,
        "provider": provider,
        "strength": strength,
        "seed": seed,
        "variations": variations,
        "loop": loop or None,
        "deliver_to": None if to is None else _absolute(to),
        "batch": _batch_name() if len(files) > 1 else None,
    }
    wanted = {key: value for key, value in wanted.items() if value is not None}
    outcomes = [Outcome({"source": _absolute(file), **wanted}) for file in files]
    named_home = options.home_of(ctx, home)
    interrupted = False
    try:
        for outcome in outcomes:
            _add_region(outcome, start, end, as_json)
        _send_all(named_home, outcomes, wait, as_json)
    except ClipError as error:
        if options.debugging():
            raise
        _break_off(outcomes, error)
        if not as_json:
            show.problem(error)
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        show.document([outcome.job for outcome in outcomes if outcome.job])
    raise typer.Exit(status.INTERRUPTED if interrupted else status.worst(outcome.status for outcome in outcomes))


def submit_all(
    outcomes: list[Outcome], submit: Callable[[Mapping[str, Any]], dict[str, Any]], *, silent: bool, told: bool
) -> None:
    """Hands in each request that is not refused yet; `told`: with a line for each job."""
    for outcome in outcomes:
        if outcome.job:
            continue
        try:
            outcome.settle(submit(outcome.given))
        except options.Unreachable:
            raise
        except ClipError as error:
            outcome.refuse(error, silent=silent)
        else:
            if told and not silent:
                show.accepted(outcome.job)


def _send_all(named_home: str | None, outcomes: list[Outcome], wait: bool, silent: bool) -> None:
    from bridge.cli import client

    daemon = client.find(named_home)
    if daemon is None:
        from bridge.cli import alone

        daemon = alone.send(named_home, outcomes, silent=silent)
    if daemon is not None:
        _send_to(daemon, outcomes, wait, silent)


def _send_to(daemon: Client, outcomes: list[Outcome], wait: bool, silent: bool) -> None:
    if not wait:
        submit_all(outcomes, daemon.submit, silent=silent, told=True)
        return
    from bridge.cli.client import Listener

    listener = Listener(daemon)
    listener.start()
    submit_all(outcomes, daemon.submit, silent=silent, told=False)
    jobs = {outcome.job["id"]: outcome.job for outcome in outcomes if outcome.job["id"] is not None}
    if not jobs:
        return
    from bridge.cli import waiting

    view = waiting.view_for(len(jobs), silent=silent)
    try:
        waiting.follow(listener, jobs, view)
    except KeyboardInterrupt:
        view.close()
        if not silent:
            show.line(
                "Not waited for any longer; clipbridge goes on with it. `clipbridge jobs list` shows how far it is.",
                error=True,
            )
        raise
    finally:
        view.close()
        listener.close()
        for outcome in outcomes:
            if outcome.job["id"] is not None:
                outcome.settle(jobs[outcome.job["id"]])


def _break_off(outcomes: list[Outcome], error: ClipError) -> None:
    """What an error that ended the command means for files not yet sent, and for jobs it did not see the end of."""
    for outcome in outcomes:
        if not outcome.job:
            outcome.refuse(error, silent=True)
        elif outcome.job["id"] is not None and outcome.status == status.DONE and outcome.job["state"] != "delivered":
            outcome.status = options.status_of(error)


def _add_region(outcome: Outcome, start: float | None, end: float | None, silent: bool) -> None:
    """Puts the part that is meant into the request; without --end the file itself is asked where it ends."""
    if start is None and end is None:
        return
    if end is not None:
        outcome.given["region"] = {"start": start or 0.0, "end": end, "unit": "seconds"}
        return
    assert start is not None
    try:
        # sound libraries are loaded in this one case only: they would double the time a command takes
        from bridge.audio.source import inspect

        source = inspect(outcome.given["source"])
        first, length_seconds = math.floor(start * source.samplerate + 0.5), source.frames / source.samplerate
        if first >= source.frames:
            raise ClipError(
                "region_out_of_range",
                f"{show.clip_name(outcome.given)} ends at {length_seconds:.3f} s, before {start:g} s.",
                hint="Name an earlier --start.",
            )
        outcome.given["region"] = {"start": first, "end": source.frames, "unit": "frames"}
    except ClipError as error:
        outcome.refuse(error, silent=silent)


def _absolute(path: str) -> str:
    """The path from the root on, `~` put in; links in it stay as they are."""
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:  # "~name" without such a person: then it is a file's own name
        return str(Path(path).absolute())


def _batch_name() -> str:
    return f"send-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
