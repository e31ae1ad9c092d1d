from datetime import timedelta

import pytest

from kontinual.errors import LakeError
from kontinual.spec import Outcome, RunRecord

RUN = "shop-20260601t120000-1"


@pytest.fixture
def record():
    def make(run_id=RUN, *, outcome=Outcome.PROMOTED, hours=0, **fields):
        from datetime import UTC, datetime

        start = datetime(2026, 6, 1, 12, tzinfo=UTC) + timedelta(hours=hours)
        return RunRecord(
            id=run_id,
            loop="shop",
            trigger="manual",
            outcome=outcome,
            reason="because",
            started_at=start,
            ended_at=start + timedelta(minutes=3),
            **fields,
        )

    return make


def test_each_station_has_its_own_note_and_may_rewrite_it(lake):
    journal = lake.journal(RUN)
    journal.note("tune", {"best": 1})
    journal.note("train", {"rows": 12, "why": "ü"})
    journal.note("tune", {"best": 2})

    assert lake.journal(RUN).notes() == {"tune": {"best": 2}, "train": {"rows": 12, "why": "ü"}}


def test_a_run_without_record_goes_on(lake):
    lake.journal(RUN).note("tune", {})

    assert lake.journal(RUN).record() is None
    assert lake.records() == []


def test_a_finished_run_has_its_record_beside_the_notes(lake, record):
    journal = lake.journal(RUN)
    journal.note("tune", {"a": 1})
    journal.finish(record())

    assert lake.journal(RUN).record() == record()
    assert journal.notes() == {"tune": {"a": 1}}


def test_the_first_record_stands(lake, record):
    journal = lake.journal(RUN)
    journal.finish(record())

    assert journal.finish(record(outcome=Outcome.ROLLED_BACK)) == record()
    assert journal.record() == record()


def test_a_failed_run_that_was_taken_up_again_may_end_well(lake, record):
    journal = lake.journal(RUN)
    journal.finish(record(outcome=Outcome.FAILED))
    journal.finish(record(version="3"))

    assert journal.record() == record(version="3")


def test_records_come_in_order_of_time(lake, record):
    for name, hours in [("run-b", 2), ("run-c", 0), ("run-a", 1)]:
        lake.journal(name).finish(record(name, hours=hours))

    assert [r.id for r in lake.records()] == ["run-c", "run-a", "run-b"]


def test_a_record_of_another_run_is_refused(lake, record):
    with pytest.raises(LakeError, match="the record of run 'other' is not for run"):
        lake.journal(RUN).finish(record("other"))


@pytest.mark.parametrize("name", ["", "../up", "A", "a/b", "-a", "a-"])
def test_a_name_that_is_no_file_name_is_refused(lake, name):
    with pytest.raises(LakeError, match="a run id is made of"):
        lake.journal(name)
    with pytest.raises(LakeError, match="a station is made of"):
        lake.journal(RUN).note(name, {})


@pytest.mark.parametrize("name", ["record", "job"])
def test_what_is_no_note_can_not_be_written_as_one(lake, name):
    with pytest.raises(LakeError, match=rf"'{name}' is no station: finish\(\) and take"):
        lake.journal(RUN).note(name, {})


def test_a_run_belongs_to_the_first_job_that_takes_it(lake):
    assert lake.journal(RUN).take("first")
    assert not lake.journal(RUN).take("second")
    assert lake.journal(RUN).take("first"), "a repeated step is the same job's"
    assert lake.journal(RUN).notes() == {}


@pytest.mark.parametrize("facts", [{"x": float("nan")}, {"x": object()}])
def test_a_note_that_is_not_json_is_refused_and_leaves_the_old_one(lake, facts):
    journal = lake.journal(RUN)
    journal.note("tune", {"a": 1})

    with pytest.raises(LakeError, match="the note of tune is not JSON"):
        journal.note("tune", facts)
    assert journal.notes() == {"tune": {"a": 1}}


def test_a_damaged_note_is_named(lake):
    lake.store.write(f"runs/{RUN}/tune.json", b"{")

    with pytest.raises(LakeError, match=r"tune\.json: not JSON"):
        lake.journal(RUN).notes()
