"""What the folders have seen, in the database: so that a restart, a rename or a touch takes nothing twice.

The rows and nothing else; what a row means for a file is the folder trigger's to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from bridge.store.database import Database
from bridge.store.schema import arrivals, baselines, contents, jobs

# known: there before the entry, or the bridge's own take · waiting: for a trigger · taking: about to become a job
# (`job_id` holds a token that the job's origin carries too) · taken: its job lives or is not yet tidied up after · done
# · left: its job has ended, but the file could not be moved · refused: intake said no
ArrivalState = Literal["known", "waiting", "taking", "taken", "done", "left", "refused"]
ROWS_A_STATEMENT: Final = 500


@dataclass(frozen=True, slots=True)
class Arrival:
    """One file as it was when something was decided about it."""

    size_bytes: int
    modified_ns: int
    state: ArrivalState
    sha256: str | None = None
    job_id: str | None = None

    @property
    def mark(self) -> tuple[int, int]:
        return self.size_bytes, self.modified_ns


@dataclass(frozen=True)
class Content:
    """A content that a watched folder has had run with a preset."""

    folder: str
    preset: str
    sha256: str
    job_id: str


class Memory:
    """The tables `arrivals`, `contents` and `baselines`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def load(self, folder: str) -> dict[str, Arrival]:
        """All rows of a folder by path below it."""
        query = sa.select(arrivals).where(arrivals.c.folder == folder)
        rows = await self._database.read(lambda connection: connection.execute(query).all())
        return {row.path: Arrival(row.size_bytes, row.modified_ns, row.state, row.sha256, row.job_id) for row in rows}

    def put(
        self, folder: str, rows: Mapping[str, Arrival | None], content: Content | None = None
    ) -> asyncio.Future[None]:
        """Writes rows (None: forgets them) and, in the same step, a content.

        Given to the writer at once, so before whatever is written after this call; the future is done when it is on disk.
        """

        def change(connection: sa.Connection) -> None:
            _write(connection, folder, rows)
            if content is not None:
                row = {"folder": content.folder, "preset": content.preset, "sha256": content.sha256}
                where = [contents.c[name] == value for name, value in row.items()]
                connection.execute(contents.delete().where(*where))
                connection.execute(contents.insert(), {**row, "job_id": content.job_id})

        return self._database.write(change)

    async def job_of_content(self, folder: str, preset: str, sha256: str) -> str | None:
        """The job that ran this content in this folder with this preset, if one did."""
        query = sa.select(contents.c.job_id).where(
            contents.c.folder == folder, contents.c.preset == preset, contents.c.sha256 == sha256
        )
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def job_of_token(self, token: str) -> str | None:
        """The job whose origin carries this token: what became of a file that was being taken when everything ended."""
        query = sa.select(jobs.c.id).where(jobs.c.trigger == "folder", jobs.c.origin["arrival"].as_string() == token)
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def baseline(self, folder: str) -> str | None:
        query = sa.select(baselines.c.at).where(baselines.c.folder == folder)
        return await self._database.read(lambda connection: connection.execute(query).scalar())

    async def set_baseline(self, folder: str, at: str, rows: Mapping[str, Arrival]) -> None:
        """Remembers since when a folder is looked after, and what lay in it then."""

        def change(connection: sa.Connection) -> None:
            connection.execute(baselines.delete().where(baselines.c.folder == folder))
            connection.execute(baselines.insert(), {"folder": folder, "at": at})
            _write(connection, folder, rows)

        await self._database.write(change)

    async def keep_only(self, folders: Collection[str]) -> None:
        """Forgets files and baselines of all other folders: an entry that was gone from the settings starts afresh."""

        def change(connection: sa.Connection) -> None:
            known = set(connection.execute(sa.select(arrivals.c.folder).distinct()).scalars())
            known |= set(connection.execute(sa.select(baselines.c.folder)).scalars())
            for folder in known - set(folders):
                connection.execute(arrivals.delete().where(arrivals.c.folder == folder))
                connection.execute(baselines.delete().where(baselines.c.folder == folder))

        await self._database.write(change)


def _write(connection: sa.Connection, folder: str, rows: Mapping[str, Arrival | None]) -> None:
    paths = list(rows)
    for start in range(0, len(paths), ROWS_A_STATEMENT):
        some = paths[start : start + ROWS_A_STATEMENT]
        connection.execute(arrivals.delete().where(arrivals.c.folder == folder, arrivals.c.path.in_(some)))
        new = [
            {
                "folder": folder,
                "path": path,
                "size_bytes": row.size_bytes,
                "modified_ns": row.modified_ns,
                "sha256": row.sha256,
                "job_id": row.job_id,
                "state": row.state,
            }
            for path in some
            if (row := rows[path]) is not None
        ]
        if new:
            connection.execute(arrivals.insert(), new)
