"""The database file: opening and checking it, one writer that commits in groups, readers beside it.

Knows SQL's mechanics and no tables; what is written and read is said by the modules beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bridge.errors import ClipError
from bridge.store.schema import SCHEMA_VERSION, VERSION_TABLE, metadata

log = logging.getLogger(__name__)
T = TypeVar("T")
_Done = Callable[[Any, BaseException | None], None]
BUSY_TIMEOUT_SECONDS = 10.0
_TROUBLE_OF_THE_FILE = {
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip
GROUP_MAX = 256  # writes committed together at the most: one fsync for a burst, yet no write waits long


class Database:
    """One open database file.

    Writes go through one thread in the order they are given; those that wait together are committed together, each in its
    own savepoint, so that one that fails takes no other along. When `write` returns, its change is on disk.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._engine = _engine(path, read_only=read_only)
        self._writes: queue.SimpleQueue[tuple[Callable[[sa.Connection], Any], _Done] | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")
        self._writer: threading.Thread | None = None

    @classmethod
    def open(cls, path: Path) -> Database:
        """Opens the file, makes it if it is missing, and brings an older one up to date after copying it.

        Raises ClipError `internal` for a file that is newer than this program, damaged, or not ours: it is never re-made.
        """
        database = cls(path)
        try:
            database._make_ready()
        except SQLAlchemyError as error:
            database._engine.dispose()
            raise explain(error, path) from error
        database._writer = threading.Thread(target=database._run_writer, name="store-writer", daemon=True)
        database._writer.start()
        return database

    def close(self) -> None:
        """Finishes the writes that were given and closes the file."""
        if self._writer is not None:
            self._writes.put(None)
            self._writer.join()
        self._readers.shutdown()
        self._engine.dispose()

    def write(self, change: Callable[[sa.Connection], T]) -> asyncio.Future[T]:
        """Hands a change to the writer; the future is done when it is on disk.

        The change is made also where nobody waits for the future any more. Raises (from the future) ClipError `disk_full` or
        `internal`.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)

        def settle_in_loop(result: Any, error: BaseException | None) -> None:
            loop.call_soon_threadsafe(settle, result, error)

        self._writes.put((change, settle_in_loop))
        return done

    async def read(self, question: Callable[[sa.Connection], T]) -> T:
        """Asks beside the writer: sees all that is committed."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, question)

    def read_now(self, question: Callable[[sa.Connection], T]) -> T:
        """Like `read`, for callers without an event loop. Raises ClipError `internal`."""
        try:
            with self._engine.connect() as connection:
                return question(connection)
        except SQLAlchemyError as error:
            raise explain(error, self.path) from error

    def _make_ready(self) -> None:
        with self._engine.begin() as connection:
            version = _version(connection)
            if version is None:
                if sa.inspect(connection).get_table_names():
                    raise ClipError(
                        "internal",
                        f"{self.path} is a database, but not one of clipbridge's.",
                        hint="Move that file away or use another home.",
                    )
                metadata.create_all(connection)
                connection.execute(
                    sa.text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
                )
                connection.execute(sa.text(f"INSERT INTO {VERSION_TABLE} VALUES (:v)"), {"v": SCHEMA_VERSION})
                return
        if version > SCHEMA_VERSION:
            raise ClipError(
                "internal",
                f"{self.path} was written by a newer clipbridge (its version is {version}, this one knows {SCHEMA_VERSION}).",
                hint="Install the newer clipbridge again, or use another home; nothing was changed.",
            )
        if version < SCHEMA_VERSION:
            self._migrate(version)

    def _migrate(self, version: str) -> None:
        copy = self.path.with_name(f"{self.path.name}.before-{SCHEMA_VERSION}")
        with (
            contextlib.closing(sqlite3.connect(self.path)) as source,
            contextlib.closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        log.info(
            "database copied before its change",
            extra={"facts": {"from": version, "to": SCHEMA_VERSION, "copy": copy.name}},
        )
        # a hundred milliseconds and 15 MiB that no ordinary start should pay
        from alembic import command
        from alembic.config import Config

        settings = Config()
        settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        settings.attributes["engine"] = self._engine
        command.upgrade(settings, "head")

    def _run_writer(self) -> None:
        while True:
            first = self._writes.get()
            if first is None:
                return
            group, last = [first], False
            while len(group) < GROUP_MAX and not last:
                try:
                    following = self._writes.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    last = True
                else:
                    group.append(following)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[tuple[Callable[[sa.Connection], Any], _Done]]) -> None:
        outcomes: list[tuple[_Done, Any, BaseException | None]] = []
        try:
            with self._engine.begin() as connection:
                for change, done in group:
                    try:
                        with connection.begin_nested():
                            outcomes.append((done, change(connection), None))
                    except DBAPIError as error:
                        if not _is_about_the_change(error):
                            raise
                        outcomes.append((done, None, explain(error, self.path)))
                    except Exception as error:
                        # a defect in one change is its caller's; the others of the group go on
                        outcomes.append((done, None, error))
        except Exception as error:
            failure = explain(error, self.path)
            log.error("database write failed", extra={"facts": {"reason": failure.message}})
            outcomes = [(done, None, failure) for _, done in group]
        for done, result, failed in outcomes:
            try:
                done(result, failed)
            except RuntimeError:
                # the loop that asked is closed: the change is made, and nobody is left to be told
                log.debug("nobody waits for a write any more")


def explain(error: BaseException, path: Path) -> ClipError:
    """A database error as a sentence with what to do."""
    if isinstance(error, ClipError):
        return error
    original = getattr(error, "orig", None) or error
    text = str(original)
    if "disk is full" in text or "disk I/O error" in text:
        return ClipError(
            "disk_full",
            f"The database {path} could not be written: {text}.",
            hint="Free some space on that disk, then retry.",
        )
    if "locked" in text:
        return ClipError(
            "internal",
            f"The database {path} is locked by another program.",
            hint="Close whatever has it open (a backup or a database viewer) and start again.",
        )
    if "malformed" in text or "not a database" in text:
        copy = _keep_aside(path)
        return ClipError(
            "internal",
            f"The database {path} is damaged ({text}); it was left as it is and copied to {copy}.",
            hint="Put a backup of it in its place, or move it away to start with an empty history.",
        )
    return ClipError(
        "internal", f"The database {path} failed: {text}.", hint="See logs/clipbridge.log in the home folder."
    )


def _keep_aside(path: Path) -> str:
    copy = path.with_name(f"{path.name}.damaged")
    try:
        if not copy.exists():
            shutil.copy2(path, copy)
    except OSError as error:
        return f"nowhere, since that failed too ({error.strerror})"
    return copy.name


def _is_about_the_change(error: DBAPIError) -> bool:
    """Whether the statement was at fault (a doubled id, a value of no type) rather than the file or the disk."""
    code = getattr(
        error.orig, "sqlite_errorcode", None
    )  # the low byte is the kind of trouble; None: never reached SQLite
    return code is None or code & 0xFF not in _TROUBLE_OF_THE_FILE


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return None if found is None else str(found)


def _engine(path: Path, *, read_only: bool) -> sa.Engine:
    target = f"file:{_uri_path(path)}?mode={'ro' if read_only else 'rwc'}"

    def connect() -> sqlite3.Connection:
        # isolation_level None: transactions begin where SQLAlchemy says (below), not where sqlite3 guesses
        return sqlite3.connect(
            target, uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
        )

    engine = sa.create_engine("sqlite+pysqlite://", creator=connect, poolclass=sa.pool.QueuePool, pool_size=4)

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
        # FULL: with WAL and NORMAL the newest commits can be lost at power loss, and a lost intent is money spent twice
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _uri_path(path: Path) -> str:
    from urllib.parse import quote

    return quote(str(path))
