"""What the trigger service counts (names: `kontinual.spec.metrics`)."""

import math
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from kontinual.errors import LedgerError
from kontinual.spec import Outcome
from kontinual.trigger.contracts import Answer, Source, Trigger
from kontinual.trigger.ledger import Clock, Ledger

__all__ = ["TriggerMetrics"]

DELIVERED = ("recorded", "duplicate", "resolved", "other_model")
ERRORS = ("ledger", "launch", "follow", "champion", "other")
REFUSALS = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_there",
    405: "malformed",
    409: "not_now",
    413: "too_large",
    422: "malformed",
}


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
        self._refused = self._counter(
            "kontinual_trigger_refused", "Requests refused.", "model", "reason"
        )
        self._paused = self._gauge(
            "kontinual_loop_paused", "1 while a person has paused the loop, or all.", "model"
        )
        self._leads = self._gauge(
            "kontinual_trigger_leads", "1 where this process is the one that works.", "model"
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
        for kind in ERRORS:
            self._errors.labels(self.loop, kind)
        for reason in REFUSALS.values():
            self._refused.labels(self.loop, reason)

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

    def count_refusal(self, status: int) -> None:
        """Count a request that was answered by this 4xx status."""
        self._refused.labels(self.loop, REFUSALS.get(status, "malformed")).inc()

    def watch(self, ledger: Ledger, *, leads: Callable[[], bool], clock: Clock) -> None:
        """Let the gauges be read from the ledger whenever they are asked for.

        A gauge whose ledger does not answer is NaN, so that the others still tell.
        """

        def undecided_seconds() -> float:
            oldest, _ = ledger.open_summary()
            return 0.0 if oldest is None else (clock() - oldest).total_seconds()

        def paused() -> float:
            state = ledger.state()
            return float(state.paused is not None or state.paused_everywhere is not None)

        watched = {
            self._undecided: undecided_seconds,
            self._held: lambda: float(ledger.open_summary()[1]),
            self._in_progress: lambda: float(bool(ledger.runs(only_open=True))),
            self._paused: paused,
            self._leads: lambda: float(leads()),
        }
        for gauge, read in watched.items():
            gauge.labels(self.loop).set_function(partial(self._or_nan, read))

    def _or_nan(self, read: Callable[[], float]) -> float:
        try:
            return read()
        except LedgerError as exc:
            self.count_error(exc)
            return math.nan

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)
