"""What the folder trigger has seen."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "arrivals",
        sa.Column("folder", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("modified_ns", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("job_id", sa.String(32)),
        sa.Column("state", sa.String(16), nullable=False),
    )
    op.create_index("arrivals_by_job", "arrivals", ["job_id"])
    op.create_table(
        "contents",
        sa.Column("folder", sa.Text, primary_key=True),
        sa.Column("preset", sa.String(200), primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("job_id", sa.String(32), nullable=False),
    )
    op.create_table(
        "baselines",
        sa.Column("folder", sa.Text, primary_key=True),
        sa.Column("at", sa.String(32), nullable=False),
    )
