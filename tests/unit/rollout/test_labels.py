"""The canary's log loss, whenever labels come: simulated hours of both versions' predictions."""

import bisect
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from kontinual.collector import Answered, cohort
from kontinual.rollout import Counts, RolloutState
from kontinual.rollout.analysis import SCORE_CLIP, WORST_LOG_LOSS
from kontinual.rollout.observe import Observer
from kontinual.rollout.outcomes import LABELLED_SHARE
from kontinual.rollout.plan import Plan
from kontinual.rollout.sequential import Sample, rise_evidence
from kontinual.spec import Rollout, RolloutStep

START = datetime(2026, 1, 1, tzinfo=UTC)
RULES = Rollout(step_duration="1h", step_timeout="12h")
LOOK_MINUTES = 10
RATE = 40  # requests a minute

Chance = Callable[[float, np.random.Generator], float]
"""True chance of label 1, by minute."""
Score = Callable[[float], float]
"""A version's score, by the true chance."""


class Stream:
    """Metrics and collector of a simulated time that both versions answer in."""

    def __init__(
        self, chance: Chance, *, canary: Score, delays: tuple[float, float], seed: int
    ) -> None:
        """Begin with the stable version alone.

        Args:
            chance: of label 1.
            canary: its score; the stable version knows the chance.
            delays: minutes until a label 0, and a label 1, comes.
            seed: of all that is random.
        """
        self.random = np.random.default_rng(seed)
        self.chance, self.canary, self.delays = chance, canary, delays
        self.minute = 0.0
        self.rows: list[tuple[Answered, float]] = []  # with the minute in which the label comes
        self.answers = {"1": 0, "2": 0}

    def pass_time(self, minutes: int, *, weight: int) -> None:
        for at in self.minute + np.arange(minutes * RATE) / RATE:
            chance = self.chance(at, self.random)
            label = int(self.random.random() < chance)
            version = "2" if self.random.random() * 100 < weight else "1"
            score = self.canary(chance) if version == "2" else chance
            arrived = (START + timedelta(minutes=float(at))).timestamp()
            self.rows.append(
                (Answered(arrived, version, score, label), float(at) + self.delays[label])
            )
            self.answers[version] += 1
        self.minute += minutes

    @property
    def now(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    def read(
        self,
        versions: Sequence[str],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Mapping[str, Counts] | Mapping[str, Sample]:
        """Counters (both versions' scores are alike), or the outcomes of a time."""
        if since is None or until is None:
            return {v: self._counters(n) for v, n in self.answers.items()}
        moments = [since.timestamp(), until.timestamp()]
        first, end = (
            bisect.bisect_left(self.rows, moment, key=lambda row: row[0].arrived)
            for moment in moments
        )
        rows = [
            row if due <= self.minute else row._replace(label=None)
            for row, due in self.rows[first:end]
        ]
        found = cohort(rows, versions=versions, labelled=LABELLED_SHARE, clip=SCORE_CLIP)
        return {
            o.version: Sample(o.labelled, o.log_loss_sum, o.log_loss_squares)
            for o in found.outcomes
        }

    def _counters(self, answers: int) -> Counts:
        return {"p|requests": answers, "p|score|5": answers, "p|score_sum": 0.3 * answers}


def roll_out(stream: Stream) -> list[RolloutStep]:
    """All steps of a rollout, until one does not pass."""
    plan = Plan.of(RULES)
    observer = Observer(stream, stream, plan, RULES)  # type: ignore[arg-type]
    state = RolloutState(
        loop="late",
        champion="1",
        owner="1",
        challenger="2",
        packages={},
        started_at=START,
        updated_at=START,
    )
    stream.pass_time(180, weight=0)
    for step, weight in enumerate(plan.weights):
        state.step = step
        observer.begin(state)
        state.step_started_at, ended = stream.now, None
        while ended is None:
            stream.pass_time(LOOK_MINUTES, weight=weight)
            ended = observer.look(state, stream.now)
        state.steps = [*state.steps, ended]
        if ended.verdict != "passed":
            break
        observer.keep(state)
    return state.steps


def mixed(_: float, random: np.random.Generator) -> float:
    return float(random.beta(2, 6))


def calm_then_stormy(minute: float, random: np.random.Generator) -> float:
    return float(np.clip(random.normal(0.05 if minute < 240 else 0.35, 0.03), 0.01, 0.99))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("delays", [(90, 2), (2, 90), (180, 0), (0, 180)])
def test_identical_versions_are_promoted_whichever_labels_come_first(
    delays: tuple[float, float], seed: int
) -> None:
    stream = Stream(mixed, canary=lambda chance: chance, delays=delays, seed=seed)
    assert [s.verdict for s in roll_out(stream)] == ["passed"] * 4


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_between_two_steps_is_no_difference_between_versions(seed: int) -> None:
    """Simpson's paradox: the stable version answered more of the calm hour."""
    stream = Stream(calm_then_stormy, canary=lambda chance: chance, delays=(0, 0), seed=seed)
    assert [s.verdict for s in roll_out(stream)] == ["passed"] * 4


@pytest.mark.parametrize("delays", [(0, 0), (0, 40), (40, 0)])
def test_a_canary_that_knows_nothing_is_rolled_back_once_labels_are_in(
    delays: tuple[float, float],
) -> None:
    """It says 0.12 to everybody: with labels 0 alone it would look better than the champion."""
    stream = Stream(mixed, canary=lambda _: 0.12, delays=delays, seed=0)
    last = roll_out(stream)[-1]
    assert last.verdict == "failed"
    assert "log loss" in last.reason


def test_labels_of_one_kind_alone_say_nothing() -> None:
    stream = Stream(mixed, canary=lambda _: 0.12, delays=(0, 180), seed=0)
    assert "log loss" not in roll_out(stream)[0].reason


SHARP: dict[str, Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]] = {
    "certain, 3 % surprises": lambda r, n: (np.full(n, 1e-4), r.random(n) < 0.03),
    "certain, 1 % surprises": lambda r, n: (np.full(n, 1e-7), r.random(n) < 0.01),
    "sharp": lambda r, n: (p := np.clip(r.beta(0.1, 0.3, n), 1e-5, 1), r.random(n) < p),
    "mixed": lambda r, n: (p := r.beta(2, 6, n), r.random(n) < p),
}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("scores", SHARP)
def test_identical_versions_fail_less_often_than_the_checks_part_of_alpha(
    scores: str, share: float
) -> None:
    """A look at every 20 labels; the bound on what a row can cost is what keeps the promise."""
    random, size, runs = np.random.default_rng(4), 1000, 100
    limit, failed = RULES.checks.max_log_loss_rise / WORST_LOG_LOSS, 0
    for _ in range(runs):
        score, label = SHARP[scores](random, size)
        score = np.clip(score, SCORE_CLIP, 1 - SCORE_CLIP)
        loss = -np.log(np.where(label, score, 1 - score)) / WORST_LOG_LOSS
        canary = random.random(size) < share
        sums = [
            np.cumsum(np.stack([own, own * loss, own * loss**2]), axis=1)[:, 19::20].T
            for own in (canary, ~canary)
        ]
        looks = [
            (Sample(*map(float, c)), Sample(*map(float, s)))
            for c, s in zip(*sums, strict=True)
            if min(c[0], s[0]) >= 30
        ]
        failed += any(
            rise_evidence([look], limit=limit) >= np.log(5 / RULES.alpha) for look in looks
        )
    assert failed / runs <= RULES.alpha / 5
