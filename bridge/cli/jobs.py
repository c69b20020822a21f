"""`clipbridge jobs …`: what is under way and what was, and a person's word on it.

The daemon is asked where one runs; without one, list and show read the home's database beside whoever writes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from bridge.cli import options, show, status
from bridge.errors import ClipError

if TYPE_CHECKING:
    from bridge.cli.client import Client
    from bridge.store import JobStore

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="What is under way, and what was.")
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id, or how it begins.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    state: Annotated[list[str] | None, typer.Option(help="Only jobs in this state; may be given again.")] = None,
    batch: Annotated[str | None, typer.Option(help="Only jobs of this batch.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest first.")] = 20,
    as_json: options.Json = False,
    home: options.Home = None,
) -> None:
    """Show the newest jobs."""
    with options.reporting(as_json):
        page = _page(options.home_of(ctx, home), _checked(state or []), batch, limit)
        if as_json:
            show.document(page)
        elif not page["jobs"]:
            show.line("No jobs." if not (state or batch) else "No such jobs.")
        else:
            rows = [_row(job) for job in page["jobs"]]
            heads = ["ID", "AGE", "STATE", "CLIP", "PRESET", "BY", "PRICE"]
            show.table(heads, rows, right=(1,), flexible=(3, 4))
            if page["next"] is not None:
                show.line(f"There are older ones; --limit {min(limit * 5, 500)} shows more.", colour=show.DIM)


@app.command("show")
def show_(ctx: typer.Context, job_id: JobId, as_json: options.Json = False, home: options.Home = None) -> None:
    """Show all about one job."""
    with options.reporting(as_json):
        job = _found(options.home_of(ctx, home), job_id)
        if as_json:
            show.document(job)
            return
        for name, value in _details(job):
            show.line(f"{show.painted(name.ljust(10), show.DIM)}  {value}" if name else f"{'':12}{value}")


@app.command("cancel")
def cancel(
    ctx: typer.Context,
    job_id: JobId,
    batch: Annotated[bool, typer.Option("--batch", help="All jobs of its batch.")] = False,
    as_json: options.Json = False,
    home: options.Home = None,
) -> None:
    """Stop a job."""
    _act(ctx, home, as_json, job_id, "cancel", batch=batch)


@app.command("retry")
def retry(
    ctx: typer.Context,
    job_id: JobId,
    pay_again: Annotated[
        bool, typer.Option("--pay-again", help="Also where it is unknown whether it was paid.")
    ] = False,
    as_json: options.Json = False,
    home: options.Home = None,
) -> None:
    """Take a failed, cancelled or held job up again; what is paid for already is free."""
    _act(ctx, home, as_json, job_id, "retry", pay_again=pay_again)


@app.command("forget")
def forget(ctx: typer.Context, job_id: JobId, as_json: options.Json = False, home: options.Home = None) -> None:
    """Give an uncertain job up, so that its price is no longer reserved."""
    _act(ctx, home, as_json, job_id, "forget")


def _act(ctx: typer.Context, named: str | None, as_json: bool, job_id: str, verb: str, **how: bool) -> None:
    from bridge.cli import client

    with options.reporting(as_json):
        home = options.home_of(ctx, named)
        daemon = client.need(home, f"`clipbridge jobs {verb}`")
        job = daemon.act(_full_id(home, daemon, job_id), verb, **how)
        if as_json:
            show.document(job)
        else:
            state = show.painted(job["state"], show.colour_of(job["state"]))
            message = show.painted(show.safe(job["message"]), show.DIM)
            show.line(f"{state}  {job['id']}  {show.clip_name(job['request'])}  {message}")
        raise typer.Exit(_status_after(verb, job))


def _status_after(verb: str, job: Mapping[str, Any]) -> int:
    """What was asked for was done; only what is still unknown after it is not well."""
    return status.UNCERTAIN if job["state"] == "uncertain" and verb != "cancel" else status.DONE


# ---- where jobs are read --------------------------------------------------------------------------------------------


def _page(home: str | None, states: list[str], batch: str | None, limit: int) -> dict[str, Any]:
    from bridge.cli import client

    daemon = client.find(home)
    if daemon is not None:
        return daemon.jobs(states=states, batch=batch, limit=limit)

    async def ask(store: JobStore) -> dict[str, Any]:
        page = await store.page(states=states, batch=batch, limit=limit)
        return {"jobs": [job.public() for job in page.jobs], "next": page.next}

    return _read(home, None, ask) or {"jobs": [], "next": None}


def _found(home: str | None, job_id: str) -> dict[str, Any]:
    from bridge.cli import client

    daemon = client.find(home)
    if daemon is not None:
        return daemon.job(_full_id(home, daemon, job_id))
    return _the_one(job_id, _read(home, None, lambda store: _beginning_with(store, job_id)) or [])


def _full_id(home: str | None, daemon: Client, job_id: str) -> str:
    """The id that begins like this. Raises ClipError `unknown_job`, or `bad_request` where several do."""
    from bridge.job import ID_LENGTH

    if len(job_id) >= ID_LENGTH:
        return job_id
    found = _read(home, daemon, lambda store: _beginning_with(store, job_id)) or []
    return str(_the_one(job_id, found)["id"])


async def _beginning_with(store: JobStore, start: str) -> list[dict[str, Any]]:
    return [job.public() for job in await store.find(start)] if start else []


def _the_one(start: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    if not found:
        raise ClipError(
            "unknown_job", f"There is no job {show.safe(start)}.", hint="`clipbridge jobs list` shows the newest."
        )
    if len(found) > 1:
        raise ClipError(
            "bad_request",
            f"More than one job begins with {start}: {found[0]['id']}, {found[1]['id']}.",
            hint="Give one more character of the id.",
        )
    return found[0]


def _read(home: str | None, daemon: Client | None, question: Callable[[JobStore], Awaitable[T]]) -> T | None:
    """Asks the home's database, without changing it; None where the home has none yet."""
    import asyncio

    from bridge.home import Home
    from bridge.store import Database, JobStore

    file = Home.at(home if daemon is None else daemon.facts["home"]).database
    if not file.is_file():
        return None
    database = Database(file, read_only=True)

    async def ask() -> T:
        return await question(JobStore(database))

    try:
        return asyncio.run(ask())
    finally:
        database.close()


def _checked(states: list[str]) -> list[str]:
    if not states:
        return []
    from bridge.job import ENDS, LIVING

    known = (*LIVING, *sorted(ENDS))
    for state in states:
        if state not in known:
            raise ClipError(
                "bad_request", f'A job has no state "{state}".', hint=f"The states are: {', '.join(known)}."
            )
    return states


# ---- how they look --------------------------------------------------------------------------------------------------


def _row(job: dict[str, Any]) -> show.Row:
    cells = [
        job["id"],
        show.age(job["created_at"]),
        job["state"],
        show.clip_name(job["request"]),
        job["request"]["preset"] or "-",
        show.by(job),
        show.price(job),
    ]
    below = []
    if job["state"] == "held":
        below.append(show.held_until(job))
    elif job["error"] is not None:
        below.append(show.safe(job["error"]["message"]))
    return show.Row(cells, {2: show.colour_of(job["state"])}, below)


def _details(job: dict[str, Any]) -> list[tuple[str, str]]:
    """All about a job, as names and values; a value without a name goes on below the one before."""
    request = job["request"]
    region = request["region"]
    whole = "whole" if region is None else f"{region['start']:g} to {region['end']:g} {region['unit']}"
    knobs = [f"strength {request['strength']:g}"]
    knobs += [
        f"{name} {request[name]}"
        for name in ("seed", "steps", "guidance", "tempo", "key", "meter")
        if request[name] is not None
    ]
    knobs += [word for word in ("loop", "fit_tempo") if request[word]]
    lines = [
        ("job", f"{job['id']}  {show.painted(job['state'], show.colour_of(job['state']))}  {job['progress']:.0%}"),
        ("", show.safe(job["message"])),
        ("clip", f"{show.clip_name(request)}, {whole}"),
        ("source", show.safe(request["source"] or "none: made from the prompt alone")),
        ("preset", request["preset"] or "-"),
        ("prompt", show.safe(request["prompt"]) or "-"),
        ("by", " ".join(filter(None, [show.by(job), job["model"] if job["model"] != job["provider"] else None]))),
        *(("", f"not {name}: {show.safe(why)}") for name, why in job["why_not"].items()),
        ("with", ", ".join(knobs)),
        ("price", show.price(job)),
        ("came", f"{show.moment(job['created_at'])} by {job['trigger']}, last change {show.moment(job['updated_at'])}"),
    ]
    if request["batch"] is not None:
        lines.append(("batch", show.safe(request["batch"])))
    if job["held"] is not None:
        lines.append(("held", show.held_until(job)))
    if job["error"] is not None:
        lines += [("error", show.safe(job["error"]["message"])), ("", job["error"]["hint"])]
        lines += [("", f"Charged: {job['error']['charged']}.")] if job["error"]["charged"] != "no" else []
    for take in job["takes"]:
        lines += [
            (f"take {take['take']}", show.safe(take["path"])),
            ("", show.painted(show.take_facts(take), show.DIM)),
        ]
        lines += [("", show.painted(show.safe(note), show.DIM)) for note in take["notes"]]
    return lines
