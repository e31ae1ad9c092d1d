"""The chain of entries, its head, and the triggers and runs that follow from it."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

LOOP, MOMENT = sa.String(63), sa.String(40)


def upgrade() -> None:
    """Make the tables; a ledger from before the first revision has them already."""
    op.create_table(
        "ledger_entries",
        sa.Column("loop", LOOP, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "ledger_heads",
        sa.Column("loop", LOOP, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "ledger_triggers",
        sa.Column("loop", LOOP, primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("alert", sa.String(64)),
        sa.Column("fingerprint", sa.String(64)),
        sa.Column("starts_at", MOMENT),
        sa.Column("occurrence", sa.Integer, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("resolved_at", MOMENT),
        sa.Column("decision", sa.Text),
        sa.Column("answer", sa.String(16)),
        sa.Column("decided_at", MOMENT),
        sa.Column("run", sa.String(63)),
        sa.UniqueConstraint("loop", "fingerprint", "starts_at", "occurrence"),
        if_not_exists=True,
    )
    op.create_index(
        "ledger_triggers_answer", "ledger_triggers", ["loop", "answer"], if_not_exists=True
    )
    op.create_table(
        "ledger_runs",
        sa.Column("loop", LOOP, primary_key=True),
        sa.Column("id", sa.String(63), primary_key=True),
        sa.Column("trigger", sa.Integer, nullable=False),
        sa.Column("accepted_at", MOMENT, nullable=False),
        sa.Column("launched_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("process", sa.Text),
        sa.Column("record", sa.Text),
        if_not_exists=True,
    )
