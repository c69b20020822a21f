"""Jobs, their calls and takes, the events and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("seq", _counter, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("updated_at", sa.String(32), nullable=False),
        sa.Column("trigger", sa.String(16), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("estimated_usd", sa.Float, nullable=False),
        sa.Column("charged_usd", sa.Float),
        sa.Column("held", sa.JSON),
        sa.Column("error", sa.JSON),
        sa.Column("request", sa.JSON, nullable=False),
        sa.Column("client_id", sa.String(200), unique=True),
        sa.Column("batch", sa.String(200)),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("given", sa.Text, nullable=False),
        sa.Column("origin", sa.JSON, nullable=False),
        sa.Column("cut", sa.JSON),
        sa.Column("why_not", sa.JSON, nullable=False),
    )
    op.create_index("jobs_by_state", "jobs", ["state", "seq"])
    op.create_index("jobs_by_batch", "jobs", ["batch", "seq"])
    op.create_table(
        "calls",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("take", sa.Integer, primary_key=True),
        sa.Column("piece", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("provider_job_id", sa.Text),
        sa.Column("seed", sa.BigInteger),
        sa.Column("estimated_usd", sa.Float, nullable=False),
        sa.Column("charged_usd", sa.Float),
        sa.Column("available_until", sa.String(32)),
        sa.Column("handle", sa.JSON, nullable=False),
        sa.Column("result_file", sa.Text),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
    )
    op.create_table(
        "takes",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("take", sa.Integer, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger),
        sa.Column("frames", sa.BigInteger, nullable=False),
        sa.Column("samplerate", sa.Integer, nullable=False),
        sa.Column("channels", sa.Integer, nullable=False),
        sa.Column("subtype", sa.String(16), nullable=False),
        sa.Column("lufs", sa.Float),
        sa.Column("source_lufs", sa.Float),
        sa.Column("true_peak_dbtp", sa.Float),
        sa.Column("notes", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("placed", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("takes_by_sha256", "takes", ["sha256"])
    op.create_table(
        "events",
        sa.Column("id", _counter, primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ledger",
        sa.Column("id", _counter, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("piece", sa.Integer, nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("model", sa.String(200)),
        sa.Column("preset", sa.String(200)),
        sa.Column("usd", sa.Float),
    )
    op.create_index("ledger_by_time", "ledger", ["at"])
