"""The ledger's reading side: what was spent, on what, newest first.

Only reads; who writes an entry, and when, is the pipeline's.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from bridge.store.database import Database
from bridge.store.schema import ledger


@dataclass(frozen=True)
class Entry:
    """One charge. `usd` is None where a service charged and nobody knows how much; `at` is RFC 3339 in UTC."""

    id: int
    at: str
    job_id: str
    take: int
    piece: int
    provider: str
    model: str | None
    preset: str | None
    usd: float | None


@dataclass(frozen=True)
class LedgerPage:
    """One page of entries, newest first; `next` is the id to give as `before` for the following one, or None."""

    entries: list[Entry]
    next: int | None


class Ledger:
    """The ledger of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, limit: int = 50, before: int | None = None) -> LedgerPage:
        """The newest `limit` entries, of those older than the entry `before` where it is given."""
        query = sa.select(ledger).order_by(ledger.c.id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(ledger.c.id < before)
        rows = await self._database.read(lambda connection: connection.execute(query).mappings().all())
        entries = [Entry(**row) for row in rows[:limit]]
        return LedgerPage(entries, entries[-1].id if len(rows) > limit else None)
