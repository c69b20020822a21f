"""Jobs with their calls and takes: written row by row as they change, read back as `Job`s, every change an event.

The statements and nothing else: who may change what, and when, is the pipeline's runner.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from bridge.job import LIVING, Call, Job, Take
from bridge.store.database import Database
from bridge.store.schema import calls, events, jobs, ledger, takes

EVENTS_KEPT = 20_000  # what a reconnecting listener can be replayed at the most; about 40 MB


@dataclass(frozen=True)
class Page:
    """One page of jobs, newest first; `next` is the id to give as `before` for the following one, or None."""

    jobs: list[Job]
    next: str | None


@dataclass(frozen=True)
class Event:
    """One change of one job: its number in the stream and the public job as JSON text."""

    id: int
    job_id: str
    job_json: str


class JobStore:
    """The jobs of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: Job) -> asyncio.Future[tuple[Job, Event | None]]:
        """Stores a new job durably. Where its `client_id` is known already, that job comes back instead, without an event."""

        def change(connection: sa.Connection) -> tuple[Job, Event | None]:
            client_id = job.request.client_id
            if client_id is not None:
                known = _select(connection, jobs.c.client_id == client_id)
                if known:
                    return known[0], None
            connection.execute(jobs.insert(), _job_row(job))
            return job, _record(connection, job)

        return self._database.write(change)

    def save(self, before: Job, after: Job) -> asyncio.Future[Event | None]:
        """Stores what changed from `before` to `after`, what that cost, and the event that tells of it.

        There is no event where nothing changed that a listener could see.

        Saves reach the disk in the order of these calls, also where nobody waits for the future.
        """

        def change(connection: sa.Connection) -> Event | None:
            old, new = _job_row(before), _job_row(after)
            changed = {name: value for name, value in new.items() if old[name] != value}
            if changed:
                connection.execute(jobs.update().where(jobs.c.id == after.id), changed)
            _replace(connection, calls, after.id, _parts(before.calls), _parts(after.calls), ("take", "piece"))
            _replace(connection, takes, after.id, _parts(before.takes), _parts(after.takes), ("take",))
            _settle(connection, before, after)
            return None if _looks_the_same(before, after) else _record(connection, after)

        return self._database.write(change)

    def save_all(self, job: Job) -> asyncio.Future[Event]:
        """Stores the whole job anew, for when a `save` failed and nobody knows any more what the file has of it."""

        def change(connection: sa.Connection) -> Event:
            known = _select(connection, jobs.c.id == job.id)
            if not known:
                connection.execute(jobs.insert(), _job_row(job))
            else:
                connection.execute(jobs.update().where(jobs.c.id == job.id), _job_row(job))
            before = known[0] if known else job.model_copy(update={"calls": (), "takes": ()})
            _replace(connection, calls, job.id, _parts(before.calls), _parts(job.calls), ("take", "piece"))
            _replace(connection, takes, job.id, _parts(before.takes), _parts(job.takes), ("take",))
            _settle(connection, before, job)
            return _record(connection, job)

        return self._database.write(change)

    async def get(self, job_id: str) -> Job | None:
        found = await self._database.read(lambda connection: _select(connection, jobs.c.id == job_id))
        return found[0] if found else None

    async def find(self, start: str) -> list[Job]:
        """The jobs whose id begins with `start`, at most two: enough to know whether it names one."""
        pattern = start.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        return await self._database.read(
            lambda connection: _select(connection, jobs.c.id.like(pattern, escape="\\"), limit=2)
        )

    async def by_client_id(self, client_id: str) -> Job | None:
        found = await self._database.read(lambda connection: _select(connection, jobs.c.client_id == client_id))
        return found[0] if found else None

    async def living(self) -> list[Job]:
        """All jobs that have not ended, in the order they came."""
        found = await self._database.read(lambda connection: _select(connection, jobs.c.state.in_(LIVING)))
        return list(reversed(found))

    async def page(
        self, *, states: Sequence[str] = (), batch: str | None = None, limit: int = 50, before: str | None = None
    ) -> Page:
        """Newest first. `before` is the id of the last job already seen; an unknown one gives an empty page."""
        return await self._database.read(lambda connection: _page(connection, states, batch, limit, before))

    def page_now(self, *, states: Sequence[str] = (), limit: int = 50) -> Page:
        """Like `page`, for callers without an event loop."""
        return self._database.read_now(lambda connection: _page(connection, states, None, limit, None))

    def find_now(self, start: str) -> list[Job]:
        """Like `find`, for callers without an event loop."""
        return self._database.read_now(
            lambda connection: _select(connection, jobs.c.id.startswith(start, autoescape=True), limit=2)
        )

    async def is_take(self, sha256: str) -> bool:
        """Whether a file of this content was made by the bridge."""
        query = sa.select(takes.c.job_id).where(takes.c.sha256 == sha256).limit(1)
        return await self._database.read(lambda connection: connection.execute(query).first() is not None)

    async def events_since(self, event_id: int, limit: int = 500) -> list[Event]:
        """The events after `event_id`, oldest first."""
        query = sa.select(events).where(events.c.id > event_id).order_by(events.c.id).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return [Event(row.id, row.job_id, row.job) for row in rows]

    async def newest_event_id(self) -> int:
        query = sa.select(sa.func.max(events.c.id))
        return await self._database.read(lambda connection: connection.execute(query).scalar()) or 0

    async def prune_events(self) -> None:
        """Forgets all but the newest `EVENTS_KEPT` events."""

        def change(connection: sa.Connection) -> None:
            newest = connection.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0
            connection.execute(events.delete().where(events.c.id <= newest - EVENTS_KEPT))

        await self._database.write(change)


_SETTLED = {"done", "failed", "uncertain"}
_NOT_COLUMNS = {"calls", "takes"}
_JOB_FIELDS = [name for name in Job.model_fields if name not in _NOT_COLUMNS]


def _job_row(job: Job) -> dict[str, Any]:
    row = job.model_dump(mode="json", exclude=_NOT_COLUMNS)
    row["client_id"] = job.request.client_id
    row["batch"] = job.request.batch
    return row


def _parts(parts: Iterable[Call | Take]) -> dict[tuple[int, ...], dict[str, Any]]:
    rows: dict[tuple[int, ...], dict[str, Any]] = {}
    for part in parts:
        row = part.model_dump(mode="json")
        rows[(part.take, getattr(part, "piece", 0))] = row
    return rows


def _replace(
    connection: sa.Connection,
    table: sa.Table,
    job_id: str,
    before: dict[tuple[int, ...], dict[str, Any]],
    after: dict[tuple[int, ...], dict[str, Any]],
    key: tuple[str, ...],
) -> None:
    for name in before.keys() - after.keys():
        connection.execute(_where(table.delete(), table, job_id, before[name], key))
    for name, row in after.items():
        if name not in before:
            connection.execute(table.insert(), {"job_id": job_id, **row})
        elif before[name] != row:
            connection.execute(_where(table.update(), table, job_id, row, key), row)


def _where(statement: Any, table: sa.Table, job_id: str, row: dict[str, Any], key: tuple[str, ...]) -> Any:
    return statement.where(table.c.job_id == job_id, *(table.c[name] == row[name] for name in key))


def _looks_the_same(before: Job, after: Job) -> bool:
    at = {"updated_at": after.updated_at}
    return before.model_copy(update=at).public() == after.public()


def _settle(connection: sa.Connection, before: Job, after: Job) -> None:
    """Writes into the ledger each call that has ended and may have cost something."""
    ended = {(call.take, call.piece) for call in before.calls if call.state in _SETTLED}
    for call in after.calls:
        if call.state in _SETTLED and (call.take, call.piece) not in ended and call.charged_usd != 0.0:
            connection.execute(
                ledger.insert(),
                {
                    "at": after.updated_at,
                    "job_id": after.id,
                    "take": call.take,
                    "piece": call.piece,
                    "provider": after.provider,
                    "model": after.model,
                    "preset": after.request.preset,
                    "usd": call.charged_usd,
                },
            )


def _record(connection: sa.Connection, job: Job) -> Event:
    text = json.dumps(job.public(), ensure_ascii=True, separators=(",", ":"))
    result = connection.execute(events.insert(), {"job_id": job.id, "at": job.updated_at, "job": text})
    assert result.inserted_primary_key is not None
    return Event(int(result.inserted_primary_key[0]), job.id, text)


def _select(connection: sa.Connection, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Job]:
    """The matching jobs, newest first, with their calls and takes."""
    query = sa.select(jobs).where(*where).order_by(jobs.c.seq.desc()).limit(limit)
    rows = connection.execute(query).mappings().all()
    ids = [row["id"] for row in rows]
    calls_of, takes_of = _of_jobs(connection, calls, ids), _of_jobs(connection, takes, ids)
    return [
        Job.model_validate(
            {
                **{name: row[name] for name in _JOB_FIELDS},
                "calls": calls_of.get(row["id"], ()),
                "takes": takes_of.get(row["id"], ()),
            }
        )
        for row in rows
    ]


def _of_jobs(connection: sa.Connection, table: sa.Table, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for start in range(0, len(ids), 500):  # SQLite takes a limited number of values in one statement
        some = ids[start : start + 500]
        order = [column for column in table.primary_key.columns if column.name != "job_id"]
        for row in connection.execute(sa.select(table).where(table.c.job_id.in_(some)).order_by(*order)).mappings():
            fields = dict(row)
            found.setdefault(fields.pop("job_id"), []).append(fields)
    return found


def _page(connection: sa.Connection, states: Sequence[str], batch: str | None, limit: int, before: str | None) -> Page:
    where: list[sa.ColumnElement[bool]] = []
    if states:
        where.append(jobs.c.state.in_(states))
    if batch is not None:
        where.append(jobs.c.batch == batch)
    if before is not None:
        where.append(jobs.c.seq < sa.select(jobs.c.seq).where(jobs.c.id == before).scalar_subquery())
    found = _select(connection, *where, limit=limit + 1)
    more = len(found) > limit
    shown = found[:limit]
    return Page(shown, shown[-1].id if more and shown else None)
