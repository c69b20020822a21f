"""What the bridge remembers: durable, in order, never re-made behind a person's back, and open to later versions."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bridge.errors import ClipError
from bridge.job import Call, Job, Problem, Take, new_id, timestamp
from bridge.request import Request
from bridge.store import Database, JobStore
from bridge.store import jobs as jobs_module
from bridge.store.ledger import Ledger
from bridge.store.schema import SCHEMA_VERSION, metadata

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clipbridge.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[Database]:
    opened = Database.open(file)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> JobStore:
    return JobStore(database)


def job(**fields: Any) -> Job:
    wish = {"source": "/music/clip.wav", **fields.pop("wish", {})}
    return Job.model_validate(
        {
            "id": new_id(),
            "created_at": timestamp(),
            "updated_at": timestamp(),
            "trigger": "http",
            "request": Request.model_validate(wish),
            "provider": "dsp",
            **fields,
        }
    )


def take(number: int, **fields: Any) -> Take:
    known = {
        "path": f"/t{number}.wav",
        "seed": 7,
        "frames": 10,
        "samplerate": 48_000,
        "channels": 2,
        "subtype": "PCM_24",
    }
    return Take.model_validate({"take": number, **known, **fields})


# ---- jobs -------------------------------------------------------------------------------------------------------------


async def test_a_job_comes_back_as_it_went_in(store: JobStore) -> None:
    error = Problem(code="bad_result", message="Silent.", hint="Again.", charged="yes")
    known = job(
        wish={"region": {"start": 0, "end": 1.5, "unit": "seconds"}, "context": {"a": [1, None, 2.0, "🥁"]}, "seed": 1},
        state="fetching",
        calls=(
            Call(take=1, handle={"url": "x"}, error=error, charged_usd=None),
            Call(take=2, state="done", charged_usd=0.1),
        ),
        takes=(take(1, lufs=-14.25, notes=("one", "two")), take(2, placed=True)),
        held={"reason": "network", "until": timestamp()},
        error=error,
        origin={"folder": "/x"},
        cut={"frames": 3},
        why_not={"fal": "no key"},
    )
    empty = known.model_copy(update={"calls": (), "takes": ()})
    await store.add(empty)
    await store.save(empty, known)
    assert await store.get(known.id) == known
    assert await store.get("nobody") is None


async def test_what_changed_is_stored_and_what_went_is_gone(store: JobStore) -> None:
    first = job()
    await store.add(first)
    second = first.model_copy(update={"calls": (Call(take=1), Call(take=2)), "takes": (take(1),), "state": "rendering"})
    await store.save(first, second)
    third = second.model_copy(update={"calls": (Call(take=2, state="done"),), "takes": (), "state": "queued"})
    await store.save(second, third)
    assert await store.get(first.id) == third


async def test_a_whole_job_can_be_stored_anew_whatever_the_file_has_of_it(store: JobStore) -> None:
    first = job()
    whole = first.model_copy(update={"calls": (Call(take=2, state="done"),), "takes": (take(2),), "state": "fetching"})
    await store.save_all(whole)
    assert await store.get(first.id) == whole
    other = whole.model_copy(update={"calls": (Call(take=1),), "takes": ()})
    await store.save_all(other)
    assert await store.get(first.id) == other


async def test_a_client_id_belongs_to_one_job_for_ever(store: JobStore) -> None:
    first, second = job(wish={"client_id": "daw/1"}), job(wish={"client_id": "daw/1"})
    (added, event), (found, no_event) = await asyncio.gather(store.add(first), store.add(second))
    assert (added, found, no_event) == (first, first, None)
    assert event is not None
    assert await store.by_client_id("daw/1") == first
    assert await store.get(second.id) is None


async def test_pages_show_the_newest_first_and_every_job_once(store: JobStore) -> None:
    made = [
        job(state="queued" if number % 2 else "delivered", wish={"batch": "b"} if number < 3 else {})
        for number in range(7)
    ]
    for one in made:
        await store.add(one)
    page = await store.page(limit=3)
    seen = [*page.jobs]
    while page.next is not None:
        page = await store.page(limit=3, before=page.next)
        seen += page.jobs
    assert [one.id for one in seen] == [one.id for one in reversed(made)]
    assert {one.id for one in (await store.page(states=("delivered",))).jobs} == {one.id for one in made[::2]}
    assert len((await store.page(batch="b")).jobs) == 3
    assert (await store.page(before="nobody")).jobs == []
    assert [one.id for one in await store.living()] == [one.id for one in made[1::2]]
    assert [one.id for one in store.page_now(limit=1).jobs] == [made[-1].id]


async def test_the_start_of_an_id_names_its_job(store: JobStore) -> None:
    one, two = job(id="abcd000000"), job(id="abce000000")
    await store.add(one)
    await store.add(two)
    assert await store.find("abcd") == store.find_now("abcd") == [one]
    assert len(await store.find("abc")) == 2
    for odd in ("%", "_bcd", "a%", "\\", "'"):
        assert await store.find(odd) == store.find_now(odd) == [], odd


async def test_a_take_is_known_by_its_content(store: JobStore) -> None:
    first = job()
    await store.add(first)
    await store.save(first, first.model_copy(update={"takes": (take(1, sha256="abc"),)}))
    assert await store.is_take("abc")
    assert not await store.is_take("abd")


# ---- events -----------------------------------------------------------------------------------------------------------


async def test_every_change_that_can_be_seen_is_one_event_and_others_are_none(store: JobStore) -> None:
    first = job()
    await store.add(first)
    seen = first.model_copy(update={"state": "preparing"})
    unseen = seen.model_copy(update={"cut": {"frames": 1}, "origin": {"x": 1}})
    assert await store.save(first, seen) is not None
    assert await store.save(seen, unseen) is None
    events = await store.events_since(0)
    assert [event.id for event in events] == [1, 2]
    assert await store.newest_event_id() == 2
    assert '"state":"preparing"' in events[-1].job_json


async def test_old_events_go_and_their_ids_never_come_back(
    store: JobStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs_module, "EVENTS_KEPT", 3)
    for _ in range(10):
        await store.add(job())
    await store.prune_events()
    assert [event.id for event in await store.events_since(0)] == [8, 9, 10]
    await database.write(lambda connection: connection.execute(sa.text("DELETE FROM events")).rowcount)
    await store.add(job())
    assert await store.newest_event_id() == 11


# ---- the ledger -------------------------------------------------------------------------------------------------------


async def test_whatever_was_or_may_have_been_charged_stands_in_the_ledger_once(
    store: JobStore, database: Database
) -> None:
    first = job(wish={"preset": "tape"}, model="m")
    await store.add(first)

    def calls(*states: tuple[str, float | None]) -> Job:
        made = tuple(
            Call.model_validate({"take": number, "state": state, "charged_usd": usd})
            for number, (state, usd) in enumerate(states, 1)
        )
        return first.model_copy(update={"calls": made, "updated_at": timestamp()})

    one = calls(("running", None), ("running", None), ("running", None), ("running", None), ("intent", None))
    two = calls(("done", 0.1), ("uncertain", None), ("failed", 0.2), ("failed", 0.0), ("done", 0.0))
    three = two.model_copy(update={"message": "later"})
    await store.save(first, one)
    await store.save(one, two)
    await store.save(two, three)
    await store.save_all(three)
    entries = (await Ledger(database).page()).entries
    assert {(entry.take, entry.usd) for entry in entries} == {(1, 0.1), (2, None), (3, 0.2)}
    assert len(entries) == 3
    assert {(entry.provider, entry.model, entry.preset, entry.job_id) for entry in entries} == {
        ("dsp", "m", "tape", first.id)
    }


async def test_the_ledger_is_read_page_by_page(store: JobStore, database: Database) -> None:
    for usd in (0.1, 0.2, 0.3):
        first = job()
        await store.add(first)
        await store.save(first, first.model_copy(update={"calls": (Call(take=1, state="done", charged_usd=usd),)}))
    page = await Ledger(database).page(limit=2)
    rest = await Ledger(database).page(limit=2, before=page.next)
    assert [entry.usd for entry in [*page.entries, *rest.entries]] == [0.3, 0.2, 0.1]
    assert rest.next is None


# ---- writing ----------------------------------------------------------------------------------------------------------


async def test_when_a_write_returns_another_program_can_read_it(store: JobStore, file: Path) -> None:
    one = job()
    await store.add(one)
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as other:
        assert other.execute("SELECT id FROM jobs").fetchall() == [(one.id,)]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def breaks_a_rule(connection: sa.Connection) -> None:
    connection.execute(sa.text("INSERT INTO takes (job_id, take) VALUES ('half', 1)"))


def is_a_defect(connection: sa.Connection) -> None:
    connection.execute(sa.text("INSERT INTO baselines VALUES ('half', 'done')"))
    raise ZeroDivisionError


def names_no_table(connection: sa.Connection) -> None:
    connection.execute(sa.text("INSERT INTO baselines VALUES ('half', 'done')"))
    connection.execute(sa.text("INSERT INTO nowhere VALUES (1)"))


def gives_what_no_column_takes(connection: sa.Connection) -> None:
    connection.execute(sa.text("INSERT INTO baselines VALUES (:a, :b)"), {"a": object(), "b": "x"})


def gives_too_large_a_number(connection: sa.Connection) -> None:
    connection.execute(sa.text("INSERT INTO baselines VALUES (:a, :b)"), {"a": 2**80, "b": "x"})


def gives_half_a_letter(connection: sa.Connection) -> None:
    connection.execute(sa.text("INSERT INTO baselines VALUES (:a, :b)"), {"a": "\udcff", "b": "x"})


@pytest.mark.parametrize(
    "wrong",
    [
        breaks_a_rule, is_a_defect, names_no_table, gives_what_no_column_takes, gives_too_large_a_number,
        gives_half_a_letter,
    ],
    ids=lambda wrong: wrong.__name__,
)  # fmt: skip
async def test_a_write_that_fails_leaves_nothing_behind_and_takes_no_other_along(
    store: JobStore, database: Database, wrong: Any
) -> None:
    made = [job() for _ in range(20)]
    # given in one go, they are committed together
    writes: list[asyncio.Future[Any]] = [store.add(one) for one in made[:10]]
    writes.append(database.write(wrong))
    writes += [store.add(one) for one in made[10:]]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(outcomes.pop(10), Exception)
    assert not [one for one in outcomes if isinstance(one, BaseException)]
    assert len((await store.page(limit=100)).jobs) == 20
    for table in ("takes", "baselines"):
        rows = await database.read(
            lambda connection, name=table: connection.execute(sa.text(f"SELECT * FROM {name}")).all()
        )
        assert rows == []


async def test_a_change_is_made_also_where_nobody_waits_for_it_any_more(store: JobStore) -> None:
    one, two = job(), job()
    store.add(one).cancel()
    await store.add(two)
    assert await store.get(one.id) == one


async def test_a_burst_of_writes_keeps_its_order(store: JobStore, database: Database) -> None:
    made = [job() for _ in range(600)]
    await asyncio.gather(*(store.add(one) for one in made))
    rows = await database.read(lambda connection: connection.execute(sa.text("SELECT id FROM jobs ORDER BY seq")).all())
    assert [row.id for row in rows] == [one.id for one in made]


async def test_closing_finishes_what_was_given(file: Path) -> None:
    database = Database.open(file)
    made = [job() for _ in range(50)]
    writes = [JobStore(database).add(one) for one in made]
    database.close()
    await asyncio.gather(*writes)
    with contextlib.closing(sqlite3.connect(file)) as other:
        assert other.execute("SELECT count(*) FROM jobs").fetchone() == (50,)


async def test_a_full_disk_is_told_as_such_and_the_next_write_goes_on(store: JobStore, database: Database) -> None:
    def fills_the_disk(connection: sa.Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.exec_driver_sql("CREATE TABLE big (x)")
        connection.exec_driver_sql("INSERT INTO big VALUES (zeroblob(1000000))")

    with pytest.raises(ClipError) as caught:
        await database.write(fills_the_disk)
    assert caught.value.code == "disk_full"
    assert caught.value.hint
    await database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1000000").all())
    await store.add(job())


# ---- opening ----------------------------------------------------------------------------------------------------------


def schema_of(file: Path) -> dict[str, Any]:
    """Tables with their columns, keys and indexes, as the file has them."""
    engine = sa.create_engine(f"sqlite:///{file}")
    inspector = sa.inspect(engine)
    found = {
        name: {
            "columns": {
                column["name"]: (str(column["type"]), column["nullable"], column["default"])
                for column in inspector.get_columns(name)
            },
            "key": inspector.get_pk_constraint(name)["constrained_columns"],
            "unique": sorted(tuple(one["column_names"]) for one in inspector.get_unique_constraints(name)),
            "indexes": sorted(
                (one["name"], tuple(one["column_names"]), one["unique"]) for one in inspector.get_indexes(name)
            ),
        }
        for name in inspector.get_table_names()
    }
    with engine.connect() as connection:
        counted = connection.execute(
            sa.text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
        ).scalars()
        found["counted up"] = sorted(counted)
    engine.dispose()
    return found


def at_version(file: Path, version: str) -> None:
    """A database as the clipbridge of that version made it: Alembic's own steps up to it."""
    from alembic import command
    from alembic.config import Config

    engine = sa.create_engine(f"sqlite:///{file}")
    settings = Config()
    settings.set_main_option("script_location", str(REPOSITORY / "bridge" / "store" / "migrations"))
    settings.attributes["engine"] = engine
    command.upgrade(settings, version)
    engine.dispose()


def test_an_older_database_is_copied_then_brought_to_what_a_new_one_is(file: Path, tmp_path: Path) -> None:
    at_version(file, "0001")
    with contextlib.closing(sqlite3.connect(file)) as old, old:
        old.execute("INSERT INTO ledger (at, job_id, take, piece, provider, usd) VALUES ('t', 'j', 1, 1, 'dsp', 0.5)")
    Database.open(file).close()
    new = tmp_path / "new.db"
    Database.open(new).close()
    assert schema_of(file) == schema_of(new)
    for checked, tables in (
        (file, set(metadata.tables)),
        (file.with_name(f"clipbridge.db.before-{SCHEMA_VERSION}"), None),
    ):
        with contextlib.closing(sqlite3.connect(checked)) as connection:
            assert connection.execute("SELECT job_id, usd FROM ledger").fetchall() == [("j", 0.5)]
            version = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            assert version == [(SCHEMA_VERSION if tables else "0001",)]


@pytest.mark.parametrize("version", ["0001"])
def test_an_older_database_can_be_worked_with(file: Path, version: str) -> None:
    at_version(file, version)

    async def work() -> None:
        database = Database.open(file)
        one = job(calls=(), held=None)
        await JobStore(database).add(one)
        assert await JobStore(database).get(one.id) == one
        database.close()

    asyncio.run(work())


def test_the_steps_end_at_the_version_that_the_program_knows() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    settings = Config()
    settings.set_main_option("script_location", str(REPOSITORY / "bridge" / "store" / "migrations"))
    assert ScriptDirectory.from_config(settings).get_heads() == [SCHEMA_VERSION]


@pytest.fixture
def untouched(file: Path) -> Iterator[None]:
    """Whatever the test does to the file before, opening it changes not a byte."""
    yield
    before = file.with_suffix(".kept")
    assert file.read_bytes() == before.read_bytes()


def refused(file: Path) -> ClipError:
    file.with_suffix(".kept").write_bytes(file.read_bytes())
    with pytest.raises(ClipError) as caught:
        Database.open(file)
    assert caught.value.code == "internal"
    assert str(file) in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.usefixtures("untouched")
def test_a_newer_database_is_refused(file: Path) -> None:
    Database.open(file).close()
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "9999" in refused(file).message


@pytest.mark.usefixtures("untouched")
def test_a_damaged_file_is_refused_and_copied_and_never_re_made(file: Path) -> None:
    file.write_bytes(b"this is no database, whoever wrote it " * 200)
    assert "damaged" in refused(file).message
    assert file.with_name("clipbridge.db.damaged").read_bytes() == file.read_bytes()
    assert "damaged" in refused(file).message


@pytest.mark.usefixtures("untouched")
def test_a_file_whose_end_is_missing_is_refused_and_never_re_made(file: Path) -> None:
    Database.open(file).close()
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    assert "damaged" in refused(file).message


def test_a_database_of_another_program_is_refused(file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE songs (title)")
        connection.execute("INSERT INTO songs VALUES ('mine')")
    assert "not one of clipbridge" in refused(file).message
    with contextlib.closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_a_folder_in_its_place_is_refused(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ClipError) as caught:
        Database.open(file)
    assert caught.value.hint


def test_a_database_locked_by_another_program_is_told_as_such(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.store import database as database_module

    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_SECONDS", 0.05)
    Database.open(file).close()
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ClipError, match="locked"):
            Database.open(file)


def test_a_name_with_signs_that_mean_something_in_an_address_is_only_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "my?home#1 100% é"
    folder.mkdir()
    Database.open(folder / "clipbridge.db").close()
    assert (folder / "clipbridge.db").is_file()


def test_an_ordinary_start_does_not_load_alembic(file: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from bridge.store import Database\n"
        "Database.open(Path(sys.argv[1])).close()\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in {'alembic', 'mako', 'numpy', 'soundfile'}))\n"
    )
    for _ in ("a new file", "a known one"):
        ran = subprocess.run(
            [sys.executable, "-c", program, str(file)], capture_output=True, text=True, cwd=REPOSITORY, check=True
        )
        assert ran.stdout.strip() == "[]"
