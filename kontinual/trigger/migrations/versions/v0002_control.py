"""Acts of persons, rollbacks, leases of workers, archives; the chain refuses changes by itself."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

LOOP, MOMENT = sa.String(63), sa.String(40)

REFUSE_SQLITE = (
    "DROP TRIGGER IF EXISTS ledger_no_update",
    "DROP TRIGGER IF EXISTS ledger_no_delete",
    "CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger_entries "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
    "CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger_entries "
    "WHEN OLD.seq > (SELECT archived FROM ledger_heads WHERE loop = OLD.loop) "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END",
)
REFUSE_POSTGRESQL = (
    """
    CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND OLD.seq <=
            (SELECT archived FROM ledger_heads WHERE loop = OLD."loop") THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the ledger is append-only';
    END $$
    """,
    "CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON ledger_entries "
    "FOR EACH ROW EXECUTE FUNCTION ledger_append_only()",
)


def upgrade() -> None:
    """Add columns and tables, and fill what follows from what is there."""
    _add_columns()
    op.create_table(
        "ledger_controls",
        sa.Column("loop", LOOP, primary_key=True),
        sa.Column("paused", sa.Text),
        sa.Column("circuit_closed_at", MOMENT),
    )
    op.create_table(
        "ledger_leases",
        sa.Column("loop", LOOP, primary_key=True),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    _fill()
    sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in REFUSE_SQLITE if sqlite else REFUSE_POSTGRESQL:
        op.execute(statement)


def _add_columns() -> None:
    op.add_column(
        "ledger_heads", sa.Column("archived", sa.BigInteger, nullable=False, server_default="0")
    )
    for column in (
        sa.Column("by", sa.String(200)),
        sa.Column("wish", sa.Text, nullable=False, server_default="{}"),
        sa.Column("approved", sa.Text),
        sa.Column("held_since", MOMENT),
    ):
        op.add_column("ledger_triggers", column)
    for column in (
        sa.Column("wish", sa.Text, nullable=False, server_default="{}"),
        sa.Column("kind", sa.String(16), nullable=False, server_default="retrain"),
        sa.Column("outcome", sa.String(16)),
        sa.Column("stop", sa.Text),
    ):
        op.add_column("ledger_runs", column)
    op.create_index("ledger_runs_ended", "ledger_runs", ["loop", "ended_at"])


def _fill() -> None:
    """Outcomes from the records, and since when triggers are held from the chain."""
    connection = op.get_bind()
    runs = sa.table("ledger_runs", *map(sa.column, ("loop", "id", "record", "outcome")))
    for row in connection.execute(sa.select(runs).where(runs.c.record.is_not(None))).all():
        mine = sa.and_(runs.c.loop == row.loop, runs.c.id == row.id)
        outcome = json.loads(row.record)["outcome"]
        connection.execute(sa.update(runs).where(mine).values(outcome=outcome))
    entries = sa.table("ledger_entries", *map(sa.column, ("loop", "seq", "kind", "at", "body")))
    triggers = sa.table("ledger_triggers", *map(sa.column, ("loop", "id", "held_since")))
    decided = sa.select(entries).where(entries.c.kind == "trigger.decided")
    for entry in connection.execute(decided.order_by(entries.c.loop, entries.c.seq)).all():
        body = json.loads(entry.body)
        if body["decision"]["answer"] == "hold":
            mine = sa.and_(triggers.c.loop == entry.loop, triggers.c.id == body["trigger"])
            unset = sa.and_(mine, triggers.c.held_since.is_(None))
            connection.execute(sa.update(triggers).where(unset).values(held_since=entry.at))
