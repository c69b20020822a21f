"""The tables, in SQLAlchemy Core, so that the same statements run on SQLite and later on PostgreSQL.

Only what they look like; a change here needs a new step in `migrations/versions/` and a new `SCHEMA_VERSION`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, false

SCHEMA_VERSION: Final = "0002"
VERSION_TABLE: Final = "alembic_version"

metadata = MetaData()

# SQLite counts up by itself only in a column of the very type INTEGER
_counter = BigInteger().with_variant(Integer(), "sqlite")

jobs = Table(
    "jobs",
    metadata,
    Column("seq", _counter, primary_key=True, autoincrement=True),  # the order of arrival, for pages
    Column("id", String(32), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("progress", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("model", String(200)),
    Column("estimated_usd", Float, nullable=False),
    Column("charged_usd", Float),
    Column("held", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("request", JSON, nullable=False),
    Column("client_id", String(200), unique=True),
    Column("batch", String(200)),
    Column("priority", Integer, nullable=False),
    Column("given", Text, nullable=False),
    Column("origin", JSON, nullable=False),
    Column("cut", JSON(none_as_null=True)),
    Column("why_not", JSON, nullable=False),
)
Index("jobs_by_state", jobs.c.state, jobs.c.seq)
Index("jobs_by_batch", jobs.c.batch, jobs.c.seq)

calls = Table(
    "calls",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("take", Integer, primary_key=True),
    Column("piece", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("provider_job_id", Text),
    Column("seed", BigInteger),
    Column("estimated_usd", Float, nullable=False),
    Column("charged_usd", Float),
    Column("available_until", String(32)),
    Column("handle", JSON, nullable=False),
    Column("result_file", Text),
    Column("notes", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
)

takes = Table(
    "takes",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("take", Integer, primary_key=True),
    Column("path", Text, nullable=False),
    Column("seed", BigInteger),
    Column("frames", BigInteger, nullable=False),
    Column("samplerate", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("subtype", String(16), nullable=False),
    Column("lufs", Float),
    Column("source_lufs", Float),
    Column("true_peak_dbtp", Float),
    Column("notes", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("placed", Boolean, nullable=False, server_default=false()),
)
Index("takes_by_sha256", takes.c.sha256)

events = Table(
    "events",
    metadata,
    Column("id", _counter, primary_key=True, autoincrement=True),
    Column("job_id", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("job", Text, nullable=False),  # the public job as JSON text: what a listener gets, word for word
    sqlite_autoincrement=True,  # an id is never used twice, also after old events are gone
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", _counter, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("job_id", String(32), nullable=False),
    Column("take", Integer, nullable=False),
    Column("piece", Integer, nullable=False),
    Column("provider", String(32), nullable=False),
    Column("model", String(200)),
    Column("preset", String(200)),
    Column("usd", Float),  # null: charged, but nobody knows how much
)
Index("ledger_by_time", ledger.c.at)

# what the folder trigger has seen: one row a file, so that a scan after a restart takes nothing twice
arrivals = Table(
    "arrivals",
    metadata,
    Column("folder", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("sha256", String(64)),
    Column("job_id", String(32)),
    Column("state", String(16), nullable=False),  # known (there before), waiting, taken, done, left
)
Index("arrivals_by_job", arrivals.c.job_id)

# contents that a watched folder has had transformed: once per preset
contents = Table(
    "contents",
    metadata,
    Column("folder", Text, primary_key=True),
    Column("preset", String(200), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("job_id", String(32), nullable=False),
)

# the moment from which a watched folder's files count as new
baselines = Table(
    "baselines",
    metadata,
    Column("folder", Text, primary_key=True),
    Column("at", String(32), nullable=False),
)
