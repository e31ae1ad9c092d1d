import pytest

from kontinual.errors import LakeError


@pytest.fixture(autouse=True)
def one_span(lake, rows):
    lake.write(rows(5), source="table")


def test_a_span_is_not_accepted_before_it_is_judged(lake):
    assert lake.verdict(1) is None
    assert lake.accepted() == []


def test_an_accepted_span_may_be_learned_from(lake, verdict):
    lake.judge(verdict(1))

    assert [s.number for s in lake.accepted()] == [1]


def test_a_person_overrides_validation_and_everything_is_kept(lake, verdict):
    said = [verdict(1, accepted=False), verdict(1, accepted=True, by="Ada")]
    for one in said:
        lake.judge(one)

    assert lake.verdict(1) == said[1]
    assert lake.verdicts(1) == said
    assert [s.number for s in lake.accepted()] == [1]


def test_a_repeated_validation_does_not_override_a_person(lake, verdict):
    lake.judge(verdict(1, accepted=False, by="Ada"))
    lake.judge(verdict(1, accepted=True))

    assert lake.verdict(1).by == "Ada"
    assert lake.accepted() == []


def test_the_last_verdict_of_a_kind_counts(lake, verdict):
    for accepted, by in [(True, "Ada"), (False, "Bea"), (True, "validation")]:
        lake.judge(verdict(1, accepted=accepted, by=by))

    assert lake.verdict(1).by == "Bea"


def test_a_span_that_is_not_there_can_not_be_judged(lake, verdict):
    with pytest.raises(LakeError, match="has no span 2"):
        lake.judge(verdict(2))


def test_a_judge_that_is_overtaken_writes_beside_the_other(lake, verdict, monkeypatch):
    real, stale = lake.store.names, iter([[]])
    monkeypatch.setattr(lake.store, "names", lambda path: next(stale, None) or real(path))
    lake.store.create("verdicts/000001/000001.json", verdict(1).model_dump_json().encode())

    lake.judge(verdict(1, accepted=False, by="Ada"))

    assert [v.by for v in lake.verdicts(1)] == ["validation", "Ada"]
