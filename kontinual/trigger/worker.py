"""The worker: judges open triggers, launches what is accepted, follows what runs.

One pass does whatever is due, reading from the ledger what that is; so after a
crash at any point the next pass, of whatever process, goes on where it stopped.
Of several replicas the one that holds the lease works; the others stand by.
"""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from kontinual.errors import KontinualError, LedgerError
from kontinual.spec import Outcome, RunRecord, Schedule, format_duration
from kontinual.trigger.contracts import Ask, NotNow, Run, RunState, Source, Trigger
from kontinual.trigger.control import Control
from kontinual.trigger.evidence import EvidenceSource
from kontinual.trigger.launcher import Launcher
from kontinual.trigger.lease import Lease, LeaseLost, process_name
from kontinual.trigger.ledger import Clock, Ledger, utc_now
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.policy import Policy, PolicyJudge, longest_run
from kontinual.trigger.schedule import last_due

__all__ = ["TIMEOUT", "Worker"]

log = logging.getLogger(__name__)
PASS_SECONDS = 0.5
DEAD_SECONDS = 60.0
LOOK_AGAIN_SECONDS = 60.0  # in the loop's time
LOOK_AGAIN_BOUNDS = (1.0, 15.0)  # on the wall clock
LEASE = timedelta(seconds=30)
JUDGED_AT_ONCE = 50  # triggers in one transaction: deliveries wait for its end
NEW_IN_A_PASS = 1_000  # triggers: then it is seen to what was accepted
REST, LONGEST_REST_SECONDS = 5.0, 2.0  # times a pass, in which deliveries came
TIMEOUT = "run_timeout"
"""Who asks a run to end that takes too long, or waits too long for its start."""


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
        schedule: Schedule | None = None,
        clock: Clock = utc_now,
        pass_seconds: float = PASS_SECONDS,
        name: str | None = None,
    ) -> None:
        """Set up a worker; nothing is done yet.

        Args:
            ledger: of the loop.
            policy: the rules.
            evidence: what is true now.
            launcher: where runs run.
            metrics: what is counted.
            schedule: the calendar to keep; None where another keeps it.
            clock: tells the time, in UTC.
            pass_seconds: from one pass to the next, when nothing wakes it.
            name: as which it holds the lease; no other worker may have it.
        """
        self._ledger = ledger
        self._control = Control(ledger)
        self._policy = policy
        self._evidence = evidence
        self._launcher = launcher
        self._metrics = metrics
        self._schedule = schedule
        self._clock = clock
        self._pass_seconds = pass_seconds
        self._name = name or process_name()
        self._lease: Lease | None = None
        self._scheduled: datetime | None = None
        self._held_since: datetime | None = None
        self._left = False  # is there more to judge than one pass takes?
        self._beat = clock()
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
        """Has a pass, or a part of one, begun within the last minute?"""
        return self._clock() - self._beat < timedelta(seconds=DEAD_SECONDS)

    @property
    def leads(self) -> bool:
        """Is it the one that works, as far as it knows?"""
        return self._lease is not None and self._lease.expires_at > self._clock()

    def run_forever(self) -> None:
        """Pass after pass until stopped. An error is logged, counted, and tried again."""
        while not self._stopping.is_set():
            self._wake.clear()
            self._beat, self._left = self._clock(), False
            began = time.monotonic()
            try:
                self.step()
            except LeaseLost as exc:
                self._lease = None
                log.warning("another worker goes on: %s", exc)
            except KontinualError as exc:
                self._metrics.count_error(exc)
                log.error("the pass failed and is tried again: %s", exc)
            except Exception as exc:  # a thread that dies unseen would be worse
                self._metrics.count_error(exc)
                log.exception("the pass failed by a defect and is tried again")
            if self._wake.is_set():
                # What is recorded can be decided later, but Alertmanager waits for its answer.
                rest = REST * (time.monotonic() - began)
                self._stopping.wait(min(rest, LONGEST_REST_SECONDS))
            elif not self._left:
                self._wake.wait(self._pass_seconds)
        self._release()

    def step(self) -> None:
        """One pass over all that is open; nothing while another worker holds the lease."""
        if not self._hold_lease():
            return
        self._keep_schedule()
        ended = [run.id for run in self._ledger.runs(only_open=True) if self._advance(run)]
        self._judge(self._due(at_once=bool(ended)))
        for run in self._ledger.runs(only_open=True):
            if run.state is RunState.ACCEPTED:
                self._advance(run)

    def _hold_lease(self) -> bool:
        """Take the lease, or prolong it when a third has passed.

        One that ends later than a new one would is of a clock that has stepped back.
        """
        self._beat = now = self._clock()
        if self._lease is None or not LEASE * 2 / 3 <= self._lease.expires_at - now <= LEASE:
            had = self._lease is not None
            self._lease = self._ledger.take_lease(self._name, LEASE)
            if self._lease is not None and not had:
                log.info("%s works for %s now", self._name, self._ledger.loop)
        return self._lease is not None

    def _keep_lease(self) -> None:
        """Go on with a pass only under the term under which it began.

        Raises:
            LeaseLost: another worker has taken over, or had meanwhile.
        """
        term = self._lease.term if self._lease else None
        if not self._hold_lease() or self._lease is None or self._lease.term != term:
            raise LeaseLost(f"the lease of {self._ledger.loop} passed on during a pass")

    def _release(self) -> None:
        if self._lease is not None:
            try:
                self._ledger.release_lease(self._lease)
            except LedgerError as exc:
                log.warning("the lease ends by itself: %s", exc)
            self._lease = None

    def _keep_schedule(self) -> None:
        """Ask for a run when a moment of the calendar has come, once for each."""
        if self._schedule is None:
            return
        now = self._clock()
        if self._scheduled is None or self._scheduled > now:
            # One that lies ahead was kept by a clock that was ahead.
            self._scheduled = self._ledger.last_scheduled() or now
        after = self._scheduled
        moment = last_due(self._schedule, after=after, now=now, speedup=self._policy.speedup)
        if moment is not None:
            # Fingerprint and start make it one trigger, whoever records it.
            ask = Ask(
                source=Source.SCHEDULE,
                fingerprint="schedule",
                starts_at=moment,
                summary="the schedule asks for a run",
                repeats=False,
            )
            self._ledger.receive([ask])
            self._scheduled = moment

    def _due(self, *, at_once: bool) -> list[Trigger]:
        """New triggers always; held ones now and then, and whenever something has changed."""
        now = self._clock()
        since = timedelta.max if self._held_since is None else now - self._held_since
        # Less than nothing has passed where the clock has stepped back.
        if at_once or not timedelta(0) <= since < self._look_again:
            self._held_since = now
            return self._ledger.triggers(only_open=True)
        new = self._ledger.unseen_triggers(limit=NEW_IN_A_PASS)
        self._left = len(new) == NEW_IN_A_PASS
        return new

    def look_again(self) -> None:
        """A person has changed what holds triggers: look at all of them in the next pass."""
        self._held_since = None
        self.wake()

    @property
    def _look_again(self) -> timedelta:
        low, high = LOOK_AGAIN_BOUNDS
        return timedelta(seconds=min(high, max(low, LOOK_AGAIN_SECONDS / self._policy.speedup)))

    def _judge(self, triggers: Sequence[Trigger]) -> None:
        """Gather evidence where it is needed, and let the ledger decide."""
        needed = [t for t in triggers if not t.resolved_at and self._policy.asks_for_run(t)]
        judge = PolicyJudge(self._policy, self._evidence.gather(needed) if needed else {})
        for i in range(0, len(triggers), JUDGED_AT_ONCE):
            self._keep_lease()
            numbers = [t.id for t in triggers[i : i + JUDGED_AT_ONCE]]
            for changed in self._ledger.decide(numbers, judge, lease=self._lease):
                self._tell(changed)

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
        """Launch a run, end it if asked, or see whether it has ended; True when it has."""
        told = {"trigger": run.trigger, "run": run.id}
        doing = "launch" if run.state is RunState.ACCEPTED and run.stop is None else "follow"
        try:
            if run.stop is None:
                run = self._watch_time(run)
            if run.state is RunState.ACCEPTED and run.stop is None:
                return self._launch(run)
            return self._follow(run)
        except LedgerError:
            raise
        except KontinualError as exc:
            self._metrics.count_error(exc, kind=doing)
            log.warning("not possible yet, tried again: %s", exc, extra=told)
        except Exception as exc:  # the other runs and triggers must not wait for one run's defect
            self._metrics.count_error(exc, kind=doing)
            log.exception("a defect met the run, tried again", extra=told)
        return False

    def _launch(self, run: Run) -> bool:
        """Start a run, unless a person has paused it since it was accepted."""
        trigger, state = self._ledger.trigger(run.trigger), self._ledger.state()
        if self._policy.is_paused(trigger, state, self._clock()):
            return False
        self._keep_lease()
        process = self._launcher.launch(run)
        self._ledger.launched(run.id, process, lease=self._lease)
        log.info("launched", extra={"trigger": run.trigger, "run": run.id})
        return False

    def _follow(self, run: Run) -> bool:
        """End a run if asked, and see whether it has ended."""
        if run.stop is not None:
            self._keep_lease()
            self._launcher.stop(run)
        self._keep_lease()
        record = self._launcher.outcome(run)
        if record is not None:
            self._end(run, record)
        return record is not None

    def _watch_time(self, run: Run) -> Run:
        """Ask a run to end that takes longer than it may, or waits so long for its start.

        What spoke for it when it was accepted is no reason any more after so long.
        """
        longest = longest_run(self._policy.loop)
        if self._clock() - (run.launched_at or run.accepted_at) < longest:
            return run
        what = "it was not started within" if run.launched_at is None else "it takes longer than"
        try:
            return self._control.stop(run.id, TIMEOUT, f"{what} {format_duration(longest)}")
        except NotNow:
            return self._ledger.run(run.id)  # a person was faster

    def _end(self, run: Run, record: RunRecord) -> None:
        if run.stop is not None and record.outcome is Outcome.FAILED:
            record = _stopped(run, record)
        self._ledger.ended(record, lease=self._lease)
        self._metrics.count_outcome(record.outcome)
        log.info(
            "ended, %s: %s",
            record.outcome,
            record.reason,
            extra={"trigger": run.trigger, "run": run.id, "version": record.version},
        )


def _stopped(run: Run, record: RunRecord) -> RunRecord:
    """What a run that was asked to end, and did, is recorded as."""
    if run.stop is None:
        return record
    if run.stop.by == TIMEOUT and run.launched_at is not None:
        return record.model_copy(update={"reason": f"stopped: {run.stop.reason}"})
    reason = f"stopped by {run.stop.by}: {run.stop.reason}"
    return record.model_copy(update={"outcome": Outcome.STOPPED, "reason": reason})
