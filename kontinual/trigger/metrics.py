"""What the trigger service counts (names: `kontinual.spec.metrics`)."""

import threading
from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from kontinual.errors import LedgerError
from kontinual.spec import Outcome
from kontinual.trigger.contracts import Answer, Run, Source, Trigger

__all__ = ["TriggerMetrics"]

DELIVERED = ("recorded", "duplicate", "resolved", "other_model")


class TriggerMetrics:
    """The series of one loop's trigger service, in a registry of their own."""

    def __init__(self, loop: str) -> None:
        self.loop = loop
        self.registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._version: str | None = None
        self._champion = self._gauge(
            "kontinual_champion_info", "1 for the champion.", "model", "version"
        )
        self._since = self._gauge(
            "kontinual_champion_since_seconds", "Unix time of the champion's promotion.", "model"
        )
        self._decisions = self._counter(
            "kontinual_triggers", "Decisions taken.", "model", "source", "decision"
        )
        self._outcomes = self._counter("kontinual_runs", "Runs ended.", "model", "outcome")
        self._in_progress = self._gauge(
            "kontinual_run_in_progress", "1 while a run goes on.", "model"
        )
        self._undecided = self._gauge(
            "kontinual_trigger_undecided_seconds",
            "Age of the oldest trigger without any decision; 0 when there is none.",
            "model",
        )
        self._held = self._gauge("kontinual_triggers_held", "Triggers that are held.", "model")
        self._alerts = self._counter(
            "kontinual_webhook_alerts", "Alerts delivered by Alertmanager.", "model", "result"
        )
        self._errors = self._counter(
            "kontinual_trigger_errors", "Failures, each tried again.", "model", "kind"
        )
        self._start_at_zero()

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _start_at_zero(self) -> None:
        """Every series exists from the start, so that a first increase is seen."""
        for source in Source:
            for answer in Answer:
                self._decisions.labels(self.loop, source.value, answer.value)
        for outcome in Outcome:
            self._outcomes.labels(self.loop, outcome.value)
        for result in DELIVERED:
            self._alerts.labels(self.loop, result)
        for kind in ("ledger", "champion", "other"):
            self._errors.labels(self.loop, kind)

    def set_champion(self, version: str | None, since: datetime | None) -> None:
        """Show this champion and no other."""
        with self._lock:
            if self._version not in {None, version}:
                self._champion.remove(self.loop, self._version)
            self._version = version
            if version is not None:
                self._champion.labels(self.loop, version).set(1)
            if since is not None:
                self._since.labels(self.loop).set(since.timestamp())

    def count_decision(self, trigger: Trigger) -> None:
        if trigger.decision is not None:
            answer = trigger.decision.answer.value
            self._decisions.labels(self.loop, trigger.source.value, answer).inc()

    def count_outcome(self, outcome: Outcome) -> None:
        self._outcomes.labels(self.loop, outcome.value).inc()

    def count_alerts(self, result: str, number: int = 1) -> None:
        self._alerts.labels(self.loop, result).inc(number)

    def count_error(self, error: Exception, *, kind: str | None = None) -> None:
        """Count a failure under what it concerns."""
        kind = kind or ("ledger" if isinstance(error, LedgerError) else "other")
        self._errors.labels(self.loop, kind).inc()

    def watch(
        self,
        open_triggers: Callable[[], list[Trigger]],
        open_runs: Callable[[], list[Run]],
        clock: Callable[[], datetime],
    ) -> None:
        """Let the gauges of open work be read from the ledger whenever they are asked for."""

        def undecided_seconds() -> float:
            ages = [clock() - t.received_at for t in open_triggers() if t.decision is None]
            return max((age.total_seconds() for age in ages), default=0.0)

        def held() -> float:
            return sum(t.decision is not None for t in open_triggers())

        self._undecided.labels(self.loop).set_function(undecided_seconds)
        self._held.labels(self.loop).set_function(held)
        self._in_progress.labels(self.loop).set_function(lambda: float(bool(open_runs())))

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
