"""What a rollout came to is on record, whatever happens after it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kontinual.errors import TrackingError
from kontinual.interrupt import Interrupted
from kontinual.lake import Lake, RunJournal
from kontinual.rollout import FolderStore, Phase, RolloutResult, RolloutState
from kontinual.spec import Outcome, load_loop
from kontinual.steps import rollout as step
from kontinual.steps.record import record

LOOP = str(Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml")
RUN, NOW = "flights-1", datetime(2026, 1, 1, tzinfo=UTC)
BEFORE = {
    "admit": {},
    "ingest": {"span": 1},
    "validate": {"accepted": True},
    "tune": {},
    "train": {"version": "7"},
    "evaluate": {"blessed": True, "champion": "6", "score_gap": 0.25},
}


class SilentRegistry:
    def set_challenger(self, version: str | None) -> None:
        raise TrackingError(f"challenger {version} can not be named: 503")


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunJournal:
    """Of a run whose model is blessed."""
    monkeypatch.setenv("KONTINUAL_LAKE", str(tmp_path))
    kept = Lake(str(tmp_path), load_loop(LOOP)).journal(RUN)
    ends = {"started_at": "2026-01-01T00:00:00Z", "ended_at": "2026-01-01T00:00:01Z"}
    for name, facts in BEFORE.items():
        kept.note(name, ends | facts)
    return kept


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    made = FolderStore(tmp_path / "store")
    parts = {"registry": SilentRegistry(), "store": made}
    monkeypatch.setattr(step, "collaborators", lambda *_: parts)
    return made


def state(phase: Phase) -> RolloutState:
    return RolloutState(
        loop="flights",
        champion="6",
        owner="6",
        challenger="7",
        packages={},
        phase=phase,
        reason="as told",
        started_at=NOW,
        updated_at=NOW,
    )


def test_a_promotion_stands_although_what_comes_after_it_fails(
    journal: RunJournal, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = RolloutResult.of(state(Phase.DONE))
    monkeypatch.setattr(step, "shift", lambda *_, **__: done)
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    step.rollout(LOOP, RUN, version="7", report=in_the_way / "report.md")
    ended = record(LOOP, RUN, "1")
    assert (ended.outcome, ended.champion) == (Outcome.PROMOTED, "7")


@pytest.mark.parametrize(
    ("phase", "outcome", "champion"),
    [
        (Phase.DONE, Outcome.PROMOTED, "7"),
        (Phase.RETIRING, Outcome.PROMOTED, "7"),
        (Phase.ROLLED_BACK, Outcome.FAILED, "6"),
    ],
)
def test_an_interrupt_after_the_swap_is_no_failure_of_the_rollout(
    journal: RunJournal,
    store: FolderStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    phase: Phase,
    outcome: Outcome,
    champion: str,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        store.save(state(phase))
        raise Interrupted("SIGTERM")

    monkeypatch.setattr(step, "shift", interrupted)
    with pytest.raises(Interrupted):
        step.rollout(LOOP, RUN, version="7", report=tmp_path / "report.md")
    ended = record(LOOP, RUN, "1")
    assert (ended.outcome, ended.champion) == (outcome, champion)


@pytest.mark.parametrize(("noted", "expected"), [(0.25, 0.25), (None, 0.0)])
def test_a_rollout_knows_by_how_much_the_evaluation_saw_scores_move(
    journal: RunJournal,
    store: FolderStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    noted: float | None,
    expected: float,
) -> None:
    journal.note("evaluate", journal.notes()["evaluate"] | {"score_gap": noted})
    told: dict[str, object] = {}

    def shift(*_: object, **options: object) -> RolloutResult:
        told.update(options)
        return RolloutResult.of(state(Phase.DONE))

    monkeypatch.setattr(step, "shift", shift)
    step.rollout(LOOP, RUN, version="7", report=tmp_path / "report.md")
    assert told["score_gap"] == expected


def test_the_outcome_is_in_the_journal_before_anything_else_is_done(
    journal: RunJournal, store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    done = RolloutResult.of(state(Phase.DONE))
    monkeypatch.setattr(step, "shift", lambda *_, **__: done)
    monkeypatch.setattr(
        SilentRegistry,
        "set_challenger",
        lambda *_: seen.append(journal.notes()["rollout"]["outcome"]),
    )
    step.rollout(LOOP, RUN, version="7", report=tmp_path / "report.md")
    assert seen == ["promoted"]
