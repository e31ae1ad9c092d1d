"""A ledger of every earlier shape is opened, filled in, and as whole as before."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from kontinual.errors import LedgerError
from kontinual.trigger import Ledger, migrate
from kontinual.trigger.database import VERSION_TABLE, newest_revision, open_database
from kontinual.trigger.tables import METADATA

FIRST = Path(__file__).with_name("ledger-first.sql")


def test_the_migrations_lead_to_the_tables_that_the_code_knows() -> None:
    engine = open_database("sqlite://")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_a_ledger_of_the_first_shape_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as raw:
        raw.executescript(FIRST.read_text())
    raw.close()
    ledger = Ledger(f"sqlite:///{path}", "toy")
    before = ledger.audit()
    assert (before.entries, before.triggers, before.runs) == (6, 2, 1)
    assert ledger.runs()[0].outcome == "failed"
    assert ledger.state().failures == 1, "outcomes were filled in"
    held = ledger.trigger(2)
    assert held.held_since == held.decided_at, "and since when a trigger is held"
    ledger.ask_by_hand("another")
    assert ledger.audit().entries == 7
    ledger.close()


def test_a_ledger_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Ledger(f"sqlite:///{path}", "toy").close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE ledger_version SET version_num='9999'")
    raw.close()
    for use in (lambda url: Ledger(url, "toy"), migrate):
        with pytest.raises(LedgerError, match=r"revision 9999, which a newer version of Kontinual"):
            use(f"sqlite:///{path}")


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    assert migrate(url) == (None, newest_revision())
    assert migrate(url) == (newest_revision(), newest_revision())


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://me:secret@127.0.0.1:1/x", "postgresql//me:secret@db/x"]
)
def test_a_message_shows_no_password(url: str) -> None:
    with pytest.raises(LedgerError, match=r"me:\*\*\*@") as raised:
        Ledger(url, "toy")
    assert "secret" not in str(raised.value)


def test_what_could_not_be_written_is_not_told_with_the_error(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", "toy")
    with sqlite3.connect(tmp_path / "ledger.db") as raw:
        raw.execute(
            "CREATE TRIGGER full BEFORE INSERT ON ledger_entries "
            "BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    raw.close()
    with pytest.raises(LedgerError, match="full") as caught:
        ledger.ask_by_hand("the reason of a person")
    assert "the reason of a person" not in str(caught.value)
    ledger.close()
