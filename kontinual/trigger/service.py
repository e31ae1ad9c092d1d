"""What can be asked of the trigger service, apart from HTTP: the page and the API both call it."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta

from kontinual.spec import Loop
from kontinual.trigger.champion import ChampionWatch
from kontinual.trigger.contracts import (
    Ask,
    Message,
    NotNow,
    Receipt,
    Run,
    RunKind,
    Source,
    Trigger,
    Wish,
)
from kontinual.trigger.control import Control
from kontinual.trigger.ledger import Ledger
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.views import (
    Pause,
    Received,
    Request,
    Resume,
    Rollback,
    Status,
)
from kontinual.trigger.webhook import Delivery, asks_of, resolutions_of
from kontinual.trigger.worker import Worker

__all__ = ["TriggerService"]

log = logging.getLogger(__name__)


class TriggerService:
    """One loop's triggers and runs. Thread-safe; whatever changes is in the ledger on return.

    `who` is the name of who asks, as the ledger keeps it. Methods raise LedgerError when the
    ledger does not answer, NotThere and NotNow when what is asked is not possible.
    """

    def __init__(
        self,
        loop: Loop,
        ledger: Ledger,
        worker: Worker,
        *,
        metrics: TriggerMetrics,
        champion: ChampionWatch,
        speedup: float = 1.0,
    ) -> None:
        self.loop = loop
        self.ledger = ledger
        self.control = Control(ledger)
        self.worker = worker
        self.metrics = metrics
        self.champion = champion
        self.speedup = speedup
        self._again_after: timedelta = loop.trigger.cooldown / speedup

    def deliver(self, deliveries: Sequence[Delivery]) -> list[Received]:
        """Record deliveries in one transaction, whole or not at all, and wake the worker."""
        messages = [self._message(delivery) for delivery in deliveries]
        receipts = self.ledger.receive_all(messages, again_after=self._again_after)
        self.worker.wake()
        return [self._told(*both) for both in zip(deliveries, receipts, strict=True)]

    def ask(self, request: Request, who: str) -> Trigger:
        """Record a request for a retraining and wake the worker."""
        if request.past_policy and request.source is not Source.MANUAL:
            raise NotNow(f"only a person goes past the policy, but the source is {request.source}")
        process = None if request.process is None else dict(request.process)
        if process is not None and request.run is None:
            raise NotNow("`process` tells where a run goes on, so `run` has to name it")
        wish = Wish(
            seed=request.seed, past_policy=request.past_policy, run=request.run, process=process
        )
        return self._ask(Ask(source=request.source, summary=request.reason, by=who, wish=wish))

    def rollback(self, request: Rollback, who: str) -> Trigger:
        """Record a request to make an earlier version champion and wake the worker."""
        if request.version is not None and request.version == self.champion.version:
            raise NotNow(f"version {request.version} is champion already")
        wish = Wish(kind=RunKind.ROLLBACK, version=request.version)
        return self._ask(Ask(source=Source.MANUAL, summary=request.reason, by=who, wish=wish))

    def approve(self, number: int, reason: str, who: str) -> Trigger:
        return self._done("approved", lambda: self.control.approve(number, who, reason), who)

    def reject(self, number: int, reason: str, who: str) -> Trigger:
        return self._done("rejected", lambda: self.control.reject(number, who, reason), who)

    def withdraw(self, number: int, reason: str, who: str) -> Trigger:
        return self._done("withdrawn", lambda: self.control.withdraw(number, who, reason), who)

    def stop(self, run: str, reason: str, who: str) -> Run:
        """Ask a run to end; the worker sees to it."""
        found = self.control.stop(run, who, reason)
        log.info("asked to end: %s", reason, extra={"run": run, "by": who})
        self.worker.wake()
        return found

    def pause(self, request: Pause, who: str) -> Status:
        """Start nothing any more."""
        self.control.pause(who, request.reason, everywhere=request.all, stop_runs=request.stop_runs)
        return self._changed("paused", request.reason, who)

    def resume(self, request: Resume, who: str) -> Status:
        """Let the policy start runs again."""
        self.control.resume(who, request.reason, everywhere=request.all)
        return self._changed("resumed", request.reason, who)

    def close_circuit(self, reason: str, who: str) -> Status:
        """Let runs be started again after too many have failed."""
        self.control.close_circuit(who, reason)
        return self._changed("circuit closed", reason, who)

    def status(self) -> Status:
        """The loop at one glance."""
        state, policy = self.ledger.state(), self.loop.trigger
        until = None
        if state.failures >= policy.max_failures and state.last_failure is not None:
            until = state.last_failure + policy.circuit_reset / self.speedup
        return Status(
            loop=self.loop.name,
            champion=self.champion.version,
            run_in_progress=state.run_in_progress,
            last_run=state.last_run,
            open_triggers=[t.id for t in self.ledger.triggers(only_open=True)],
            paused=state.paused,
            paused_everywhere=state.paused_everywhere,
            failures=state.failures,
            circuit_open_until=until,
        )

    def _ask(self, ask: Ask) -> Trigger:
        trigger = self.ledger.ask(ask)
        log.info("asked for: %s", ask.summary, extra={"trigger": trigger.id, "by": ask.by})
        self.worker.wake()
        return trigger

    def _done(self, what: str, act: Callable[[], Trigger], who: str) -> Trigger:
        trigger = act()
        log.info("%s by %s", what, who, extra={"trigger": trigger.id, "by": who})
        if trigger.decision is not None and trigger.decision.answer.is_final:
            self.metrics.count_decision(trigger)
        self.worker.wake()
        return trigger

    def _changed(self, what: str, reason: str, who: str) -> Status:
        log.warning("%s by %s: %s", what, who, reason, extra={"by": who})
        self.worker.look_again()
        return self.status()

    def _message(self, delivery: Delivery) -> Message:
        """What a delivery says of this loop."""
        if delivery.truncated_alerts:
            log.warning("Alertmanager left out %d alerts", delivery.truncated_alerts)
        asks, resolutions = (of(delivery.alerts, self.loop) for of in (asks_of, resolutions_of))
        return Message(asks=asks, resolutions=resolutions)

    def _told(self, delivery: Delivery, receipt: Receipt) -> Received:
        """The answer to a delivery, counted and logged."""
        others = sum(not a.is_for(self.loop) for a in delivery.alerts)
        for number in receipt.recorded:
            log.info("received from Alertmanager", extra={"trigger": number})
        self.metrics.count_alerts("recorded", len(receipt.recorded))
        self.metrics.count_alerts("duplicate", receipt.duplicates)
        self.metrics.count_alerts("resolved", len(receipt.resolved))
        self.metrics.count_alerts("other_model", others)
        return Received(**receipt.model_dump(), other_models=others)
