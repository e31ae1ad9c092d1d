"""The worker: judges open triggers, launches what is accepted, follows what runs.

One pass does whatever is due, reading from the ledger what that is; so after a
crash at any point the next pass, of whatever process, goes on where it stopped.
"""

import logging
import threading
from datetime import datetime, timedelta

from kontinual.errors import KontinualError, LedgerError
from kontinual.spec import RunRecord
from kontinual.trigger.contracts import Evidence, Run, RunState, Trigger
from kontinual.trigger.evidence import EvidenceSource
from kontinual.trigger.launcher import Launcher
from kontinual.trigger.ledger import Clock, Ledger, utc_now
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.policy import Policy, PolicyJudge

__all__ = ["Worker"]

log = logging.getLogger(__name__)
PASS_SECONDS = 0.5
DEAD_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 60.0  # in the loop's time
LOOK_AGAIN_BOUNDS = (1.0, 15.0)  # on the wall clock


class Worker:
    """Moves the ledger's triggers and runs on. One thread calls it."""

    stop_seconds = 15.0  # a launch that goes on is finished

    def __init__(
        self,
        ledger: Ledger,
        policy: Policy,
        *,
        evidence: EvidenceSource,
        launcher: Launcher,
        metrics: TriggerMetrics,
        clock: Clock = utc_now,
        pass_seconds: float = PASS_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._policy = policy
        self._evidence = evidence
        self._launcher = launcher
        self._metrics = metrics
        self._clock = clock
        self._pass_seconds = pass_seconds
        self._held_since: datetime | None = None
        self._beat = clock()
        self._outage: str | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()

    def wake(self) -> None:
        """Something new came: do not wait for the next pass."""
        self._wake.set()

    def stop(self) -> None:
        """End `run_forever` after the pass that goes on. Runs are left to run."""
        self._stopping.set()
        self._wake.set()

    @property
    def is_alive(self) -> bool:
        """Has a pass, or a judgement in one, begun within the last minute?"""
        return self._clock() - self._beat < timedelta(seconds=DEAD_SECONDS)

    def run_forever(self) -> None:
        """Pass after pass until stopped. An error is logged, counted, and tried again."""
        while not self._stopping.is_set():
            self._beat = self._clock()
            try:
                self.step()
            except KontinualError as exc:
                self._metrics.count_error(exc)
                log.error("the pass failed and is tried again: %s", exc)
            except Exception as exc:  # a thread that dies unseen would be worse
                self._metrics.count_error(exc)
                log.exception("the pass failed by a defect and is tried again")
            self._wake.wait(self._pass_seconds)
            self._wake.clear()

    def step(self) -> None:
        """One pass over all that is open."""
        self._outage = None
        ended = [run.id for run in self._ledger.runs(only_open=True) if self._advance(run)]
        for trigger in self._due(at_once=bool(ended)):
            self._judge(trigger)
        for run in self._ledger.runs(only_open=True):
            if run.state is RunState.ACCEPTED:
                self._advance(run)

    def _due(self, *, at_once: bool) -> list[Trigger]:
        """New triggers always; held ones now and then, and whenever a run has ended."""
        waiting = self._ledger.triggers(only_open=True)
        now = self._clock()
        if at_once or self._held_since is None or now - self._held_since >= self._look_again:
            self._held_since = now
            return waiting
        return [t for t in waiting if t.decision is None or t.resolved_at is not None]

    @property
    def _look_again(self) -> timedelta:
        low, high = LOOK_AGAIN_BOUNDS
        return timedelta(seconds=min(high, max(low, LOOK_AGAIN_SECONDS / self._policy.speedup)))

    def _judge(self, trigger: Trigger) -> None:
        self._beat = self._clock()
        if not self._ledger.trigger(trigger.id).is_open:
            return  # joined to one that was accepted in this very pass
        judge = PolicyJudge(self._policy, self._gather(trigger))
        for changed in self._ledger.decide(trigger.id, judge):
            self._tell(changed)

    def _gather(self, trigger: Trigger) -> Evidence:
        """The evidence, if any is needed; an outage is waited for once in a pass, not for each."""
        if trigger.resolved_at is not None or not self._policy.asks_for_run(trigger):
            return Evidence()
        if self._outage is None:
            evidence = self._evidence.gather(trigger)
            self._outage = evidence.unavailable
            return evidence
        return Evidence(unavailable=self._outage)

    def _tell(self, trigger: Trigger) -> None:
        """Log and count a new decision."""
        if trigger.decision is None:
            return
        self._metrics.count_decision(trigger)
        log.info(
            "%s by rule %s: %s",
            trigger.decision.answer,
            trigger.decision.rule,
            trigger.decision.reason,
            extra={"trigger": trigger.id, "run": trigger.run},
        )

    def _advance(self, run: Run) -> bool:
        """Launch a run, or see whether it has ended; True when it has."""
        told = {"trigger": run.trigger, "run": run.id}
        try:
            if run.state is RunState.ACCEPTED:
                process = self._launcher.launch(run)
                self._ledger.launched(run.id, process)
                log.info("launched", extra=told)
                return False
            record = self._launcher.outcome(run)
        except LedgerError:
            raise
        except KontinualError as exc:
            self._metrics.count_error(exc)
            log.warning("not possible yet, tried again: %s", exc, extra=told)
            return False
        if record is None:
            return False
        self._end(run, record)
        return True

    def _end(self, run: Run, record: RunRecord) -> None:
        self._ledger.ended(record)
        self._metrics.count_outcome(record.outcome)
        log.info(
            "ended, %s: %s",
            record.outcome,
            record.reason,
            extra={"trigger": run.trigger, "run": run.id},
        )
