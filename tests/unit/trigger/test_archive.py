"""Entries leave the database for a file, and nothing can be lost or forged on the way."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kontinual.errors import LedgerError
from kontinual.trigger import Archived, Control, Ledger, archive

EVER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def told(ledger: Ledger, clock) -> Ledger:
    """A ledger of five hours, one trigger and its end in each."""
    for hour in range(5):
        ledger.ask_by_hand(f"reason {hour}")
        Control(ledger).reject(hour + 1, "ana", "no")
        clock.advance(hours=1)
    return ledger


def moved(ledger: Ledger, path: Path, *, before: datetime = EVER) -> Archived:
    done = archive(ledger, before=before, path=path, by="ana")
    assert done is not None
    return done


def test_what_is_old_is_in_the_file_and_what_is_not_in_the_database(
    told: Ledger, clock, tmp_path: Path
) -> None:
    done = moved(told, tmp_path / "a", before=clock() - timedelta(hours=2))
    assert (done.entries, done.through) == (6, 6)
    lines = (tmp_path / "a").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert [entry.seq for entry in told.entries()] == [7, 8, 9, 10, 11]
    assert told.entries()[-1].body["sha256"] == done.sha256
    assert len(told.triggers()) == 5, "what was decided stays known"


def test_ledger_and_archives_verify_together_and_the_ledger_alone(
    told: Ledger, tmp_path: Path
) -> None:
    moved(told, tmp_path / "a")
    told.ask_by_hand("one more")
    moved(told, tmp_path / "b")
    told.ask_by_hand("the last")
    alone = told.audit()
    assert (alone.entries, alone.archived, alone.checked) == (14, 11, 3)
    both = told.audit([tmp_path / "a", tmp_path / "b"])
    assert (both.checked, both.head) == (14, alone.head)


@pytest.mark.parametrize(
    ("archives", "complaint"),
    [
        (["b"], r"entry 1 is missing: after entry 0 comes entry 10"),
        (["a"], r"entry 10 is missing: after entry 9 comes entry 12"),
        (["b", "a"], r"entry 1 is missing: after entry 0 comes entry 10"),
        (["altered", "b"], r"entry 2 \(trigger.decided\) was altered"),
        (["short", "b"], r"entry 9 is missing: after entry 8 comes entry 10"),
        (["nothing"], r"nothing: no archive of a ledger can be read there"),
    ],
)
def test_an_archive_that_was_tampered_with_or_left_out_is_found(
    told: Ledger, tmp_path: Path, archives: list[str], complaint: str
) -> None:
    moved(told, tmp_path / "a")
    told.ask_by_hand("one more")
    moved(told, tmp_path / "b")
    lines = (tmp_path / "a").read_text().splitlines(keepends=True)
    (tmp_path / "short").write_text("".join(lines[:-1]))
    lines[1] = lines[1].replace("ana", "eve")
    (tmp_path / "altered").write_text("".join(lines))
    with pytest.raises(LedgerError, match=complaint):
        told.audit([tmp_path / name for name in archives])


def test_who_deletes_entries_and_says_they_were_archived_is_found(
    told: Ledger, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "ledger.db", isolation_level=None) as raw:
        raw.execute("UPDATE ledger_heads SET archived=4")
        raw.execute("DELETE FROM ledger_entries WHERE seq<=4")
    raw.close()
    with pytest.raises(LedgerError, match=r"up to 4 are gone, and no checkpoint in the chain says"):
        told.audit()


def test_nothing_is_deleted_before_the_file_is_there(told: Ledger, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("something else")
    for name in ("taken", "no/folder"):
        with pytest.raises(LedgerError, match="the archive can not be written"):
            moved(told, tmp_path / name)
    assert told.audit().entries == len(told.entries()) == 10
    assert (tmp_path / "taken").read_text() == "something else"


def test_a_damaged_ledger_is_not_archived(told: Ledger, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.db", isolation_level=None) as raw:
        raw.execute("UPDATE ledger_triggers SET summary='x' WHERE id=3")
    raw.close()
    with pytest.raises(LedgerError, match="table of triggers was altered"):
        moved(told, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_where_nothing_is_old_nothing_is_done(told: Ledger, tmp_path: Path) -> None:
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    assert archive(told, before=long_ago, path=tmp_path / "a", by="ana") is None
    assert not (tmp_path / "a").exists()
