"""Watching one step until it passes, fails, or takes too long. No traffic is moved here."""

from dataclasses import dataclass
from datetime import datetime

from kontinual.errors import MetricsUnavailable
from kontinual.rollout.analysis import Judgement, Stratum, Verdict, judge
from kontinual.rollout.counts import Comparison, CounterWatch
from kontinual.rollout.gateway import Metrics, Outcomes
from kontinual.rollout.plan import Plan
from kontinual.rollout.sequential import Sample
from kontinual.rollout.state import RolloutState
from kontinual.spec import Rollout, RolloutStep

__all__ = ["Observer"]


@dataclass(frozen=True)
class Observer:
    """Looks at a step's counters and says whether it has ended."""

    metrics: Metrics
    outcomes: Outcomes
    plan: Plan
    rules: Rollout

    def begin(self, state: RolloutState) -> bool:
        """Read the counters that a step begins with; False when they can not be had now."""
        try:
            first = self.metrics.read(_versions(state))
        except MetricsUnavailable as exc:
            state.last_verdict = f"no step begins unwatched: {exc}"
            return False
        state.watch = CounterWatch.after(state.watch, first)
        return True

    def look(self, state: RolloutState, now: datetime) -> RolloutStep | None:
        """Take up what the counters say now; the ended step, or None while it goes on."""
        judgement = self._judgement(state, now)
        state.last_verdict = judgement.reason
        started = state.step_started_at or now
        seconds = (now - started).total_seconds()
        verdict = judgement.verdict
        if verdict is Verdict.PASSED and seconds < self.plan.step_seconds:
            return None
        reason = judgement.reason
        if verdict is Verdict.INCONCLUSIVE:
            if seconds < self.plan.timeout_seconds:
                return None
            reason = f"still inconclusive after {seconds:.0f} s: {reason}"
        return RolloutStep(
            weight=self.plan.weights[state.step],
            verdict=verdict.value,
            reason=reason,
            requests=int(self._step(state).canary.requests),
            started_at=started,
            ended_at=now,
        )

    def keep(self, state: RolloutState) -> None:
        """Keep the counts of a step that has passed, for the judgement of the next ones."""
        if self._concurrent(state):
            state.shared = [*state.shared, self._step(state)]

    def _judgement(self, state: RolloutState, now: datetime) -> Judgement:
        assert state.watch is not None  # noqa: S101  # a step begins with `begin`
        try:
            state.watch.update(self.metrics.read(_versions(state)), new=state.challenger)
        except MetricsUnavailable as exc:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=str(exc), checks=[])
        return judge(
            self._step(state),
            rules=self.rules,
            earlier=state.shared,
            outcomes=self._outcomes(state, now),
            score_gap=state.score_gap,
            concurrent=self._concurrent(state),
        )

    def _outcomes(self, state: RolloutState, now: datetime) -> list[Stratum] | MetricsUnavailable:
        """For each shared step the predictions made in it; their labels may come long after it."""
        spans = [(s.started_at, s.ended_at) for s in state.steps if s.weight < 100]
        if self._concurrent(state) and state.step_started_at is not None:
            spans.append((state.step_started_at, now))
        try:
            return [self._stratum(state, *span) for span in spans if span[0] < span[1]]
        except MetricsUnavailable as exc:
            return exc

    def _stratum(self, state: RolloutState, since: datetime, until: datetime) -> Stratum:
        found = self.outcomes.read(_versions(state), since=since, until=until)
        stable = found.get(state.champion, Sample()) if state.champion else Sample()
        return found.get(state.challenger, Sample()), stable

    def _step(self, state: RolloutState) -> Comparison:
        assert state.watch is not None  # noqa: S101
        return state.watch.compare(state.challenger, state.champion)

    def _concurrent(self, state: RolloutState) -> bool:
        return self.plan.weights[state.step] < 100


def _versions(state: RolloutState) -> list[str]:
    return [v for v in (state.champion, state.challenger) if v is not None]
