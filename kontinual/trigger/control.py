"""What persons do to a loop: each act with a name and a reason, in the chain like all else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import select

from kontinual.errors import LedgerError
from kontinual.trigger import rows, tables
from kontinual.trigger.chain import EntryKind
from kontinual.trigger.contracts import (
    Act,
    Answer,
    Decision,
    LedgerDown,
    NotNow,
    Run,
    RunState,
    Trigger,
)
from kontinual.trigger.ledger import Ledger, decision_body
from kontinual.trigger.writer import Writer

__all__ = ["Control", "open_control"]


class Control:
    """The acts of persons on one ledger. Every method raises LedgerError if it can not write.

    Args:
        ledger: of a loop.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def pause(
        self, by: str, reason: str, *, everywhere: bool = False, stop_runs: bool = False
    ) -> None:
        """Start nothing any more, until resumed; what is asked meanwhile is held.

        Args:
            by: who.
            reason: why.
            everywhere: all loops of this database, those to come included: the kill switch.
            stop_runs: ask what runs to end, too; a pause that was there already stays as it is.

        Raises:
            NotNow: it is paused already, and no run shall be stopped.
            LedgerError: not all could be asked to end, as it says; to be done again.
        """
        loop = tables.EVERY_LOOP if everywhere else self._ledger.loop
        with self._ledger.writing(loop=loop) as writer:
            act = Act(by=by, reason=reason, at=writer.now)
            former = rows.paused(writer.connection, loop)
            if former is None:
                writer.append(EntryKind.LOOP_PAUSED, {"act": act.model_dump(mode="json")})
            elif not stop_runs:
                raise NotNow(f"{_name(loop)} paused already, by {former.by}: {former.reason}")
            if stop_runs and not everywhere:
                self._stop_all(writer, act)
        if stop_runs and everywhere:
            self._stop_everywhere(by, reason)

    def resume(self, by: str, reason: str, *, everywhere: bool = False) -> None:
        """Let the policy start runs again.

        Raises:
            NotNow: it is not paused.
        """
        loop = tables.EVERY_LOOP if everywhere else self._ledger.loop
        with self._ledger.writing(loop=loop) as writer:
            if rows.paused(writer.connection, loop) is None:
                raise NotNow(f"{_name(loop)} not paused")
            act = Act(by=by, reason=reason, at=writer.now)
            writer.append(EntryKind.LOOP_RESUMED, {"act": act.model_dump(mode="json")})

    def close_circuit(self, by: str, reason: str) -> None:
        """Let runs be started again after too many have failed.

        Raises:
            NotNow: no run failed since it was closed.
        """
        with self._ledger.writing() as writer:
            state = rows.policy_state(writer.connection, self._ledger.loop, now=writer.now)
            if not state.failures:
                raise NotNow(f"the circuit of {self._ledger.loop} is closed: no run failed")
            act = Act(by=by, reason=reason, at=writer.now)
            writer.append(EntryKind.CIRCUIT_CLOSED, {"act": act.model_dump(mode="json")})

    def approve(self, number: int, by: str, reason: str) -> Trigger:
        """Agree to a run; the policy's other rules still have their say.

        Raises:
            NotThere: there is no such trigger.
            NotNow: it is decided, or approved, already.
        """

        def write(writer: Writer, trigger: Trigger) -> None:
            if trigger.approved is not None:
                raise NotNow(f"trigger {number} was approved already, by {trigger.approved.by}")
            act = Act(by=by, reason=reason, at=writer.now).model_dump(mode="json")
            writer.append(EntryKind.TRIGGER_APPROVED, {"trigger": number, "act": act})

        return self._on_open(number, write)

    def reject(self, number: int, by: str, reason: str) -> Trigger:
        """Decide against a run, for good. Raises as `approve` does."""
        return self._suppress(number, by, f"rejected by {by}: {reason}", rule="rejected")

    def withdraw(self, number: int, by: str, reason: str) -> Trigger:
        """Take back what was asked. Raises as `approve` does."""
        return self._suppress(number, by, f"withdrawn by {by}: {reason}", rule="withdrawn")

    def stop(self, run_id: str, by: str, reason: str) -> Run:
        """Ask a run to end; the worker sees to it.

        Raises:
            NotThere: there is no such run.
            NotNow: it has ended, or was asked to end already.
        """
        with self._ledger.writing() as writer:
            run = rows.run(writer.connection, self._ledger.loop, run_id)
            if run.state is RunState.ENDED:
                raise NotNow(f"run {run_id} has ended already, {run.outcome}")
            if run.stop is not None:
                raise NotNow(f"run {run_id} was asked to end already, by {run.stop.by}")
            _stop(writer, run, Act(by=by, reason=reason, at=writer.now))
            return rows.run(writer.connection, self._ledger.loop, run_id)

    def _suppress(self, number: int, by: str, reason: str, *, rule: str) -> Trigger:
        decision = Decision(answer=Answer.SUPPRESS, rule=rule, reason=reason, by=by)

        def write(writer: Writer, trigger: Trigger) -> None:
            writer.append(EntryKind.TRIGGER_DECIDED, decision_body(trigger, decision))

        return self._on_open(number, write)

    def _on_open(self, number: int, write: Callable[[Writer, Trigger], None]) -> Trigger:
        with self._ledger.writing() as writer:
            trigger = rows.trigger(writer.connection, self._ledger.loop, number)
            if not trigger.is_open:
                raise NotNow(f"trigger {number} is decided already, and once is final")
            write(writer, trigger)
            return rows.trigger(writer.connection, self._ledger.loop, number)

    def _stop_all(self, writer: Writer, act: Act) -> None:
        for run in rows.runs(writer.connection, writer.loop, only_open=True):
            if run.stop is None:
                _stop(writer, run, act)

    def _stop_everywhere(self, by: str, reason: str) -> None:
        """Loop by loop, past those that fail: the pause before lets no new run start meanwhile."""
        with self._ledger.reading() as connection:
            loops = list(connection.scalars(select(tables.heads.c.loop)))
        failed: dict[str, LedgerError] = {}
        for loop in sorted(set(loops) - {tables.EVERY_LOOP}):
            try:
                with self._ledger.writing(loop=loop) as writer:
                    self._stop_all(writer, Act(by=by, reason=reason, at=writer.now))
            except LedgerError as exc:
                failed[loop] = exc
        if failed:
            first = next(iter(failed.values()))
            raise LedgerDown(
                f"all loops are paused, but the runs of {', '.join(failed)} could not be asked "
                f"to end: {first}; ask again"
            ) from first


@contextmanager
def open_control(url: str, loop: str) -> Iterator[Control]:
    """The acts of persons on a ledger's database, where no service is asked."""
    ledger = Ledger(url, loop, must_exist=True)
    try:
        yield Control(ledger)
    finally:
        ledger.close()


def _stop(writer: Writer, run: Run, act: Act) -> None:
    body = {"run": run.id, "act": act.model_dump(mode="json")}
    writer.append(EntryKind.RUN_STOP_ASKED, body)


def _name(loop: str) -> str:
    return "all loops are" if loop == tables.EVERY_LOOP else f"loop {loop} is"
