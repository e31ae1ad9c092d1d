"""Watching one step until it passes, fails, or takes too long. No traffic is moved here."""

from dataclasses import dataclass
from datetime import datetime

from kontinual.errors import MetricsUnavailable
from kontinual.rollout.analysis import Judgement, Verdict, judge
from kontinual.rollout.counts import Comparison, CounterWatch
from kontinual.rollout.gateway import Metrics
from kontinual.rollout.plan import Plan
from kontinual.rollout.state import RolloutState
from kontinual.spec import Rollout, RolloutStep

__all__ = ["Observer"]


@dataclass(frozen=True)
class Observer:
    """Looks at a step's counters and says whether it has ended."""

    metrics: Metrics
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
        judgement = self._judgement(state)
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

    def _judgement(self, state: RolloutState) -> Judgement:
        try:
            self._update(state)
        except MetricsUnavailable as exc:
            return Judgement(verdict=Verdict.INCONCLUSIVE, reason=str(exc), checks=[])
        outcomes = state.outcomes
        return judge(
            self._step(state),
            rules=self.rules,
            earlier=state.shared,
            outcomes=outcomes.compare(state.challenger, state.champion) if outcomes else None,
            concurrent=self._concurrent(state),
        )

    def _update(self, state: RolloutState) -> None:
        assert state.watch is not None  # noqa: S101  # a step begins with `begin`
        now = self.metrics.read(_versions(state))
        before = {version: dict(counts) for version, counts in state.watch.last.items()}
        state.watch.update(now, new=state.challenger)
        if state.outcomes is None and self._step(state).canary.of("outcomes") > 0:
            # Labels are late: those of the stable version that come before the
            # canary's first speak of another time.
            state.outcomes = CounterWatch(last=before)
        if state.outcomes is not None:
            state.outcomes.update(now, new=state.challenger)

    def _step(self, state: RolloutState) -> Comparison:
        assert state.watch is not None  # noqa: S101
        return state.watch.compare(state.challenger, state.champion)

    def _concurrent(self, state: RolloutState) -> bool:
        return self.plan.weights[state.step] < 100


def _versions(state: RolloutState) -> list[str]:
    return [v for v in (state.champion, state.challenger) if v is not None]
