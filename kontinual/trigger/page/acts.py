"""What a person can do on the page: each act with its question, and the service's word for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kontinual.trigger import views
from kontinual.trigger.service import TriggerService

__all__ = ["ACTS", "Act", "Option"]

Given = Mapping[str, str]
Do = Callable[[TriggerService, str, Given, str], object]


@dataclass(frozen=True)
class Option:
    """A box that can be ticked."""

    name: str
    label: str


@dataclass(frozen=True)
class Act:
    """One act. `{of}` in a text stands for what it is done to."""

    name: str
    question: str
    explains: str
    button: str
    done: str
    do: Do  # service, what it is done to, ticked boxes and reason, who
    of: str | None = None  # trigger, run or version
    options: tuple[Option, ...] = ()
    is_grave: bool = False


def _pause(service: TriggerService, _of: str, given: Given, who: str) -> object:
    ticked = {"all": "all" in given, "stop_runs": "stop_runs" in given}
    return service.pause(views.Pause(reason=given["reason"], **ticked), who)


def _resume(service: TriggerService, _of: str, given: Given, who: str) -> object:
    return service.resume(views.Resume(reason=given["reason"], all="all" in given), who)


def _retrain(service: TriggerService, _of: str, given: Given, who: str) -> object:
    asked = views.Request(reason=given["reason"], past_policy="past_policy" in given)
    return service.ask(asked, who)


def _roll_back(service: TriggerService, of: str, given: Given, who: str) -> object:
    return service.rollback(views.Rollback(reason=given["reason"], version=of), who)


def _stop(service: TriggerService, of: str, given: Given, who: str) -> object:
    return service.stop(of, _reason(given), who)


def _approve(service: TriggerService, of: str, given: Given, who: str) -> object:
    return service.approve(int(of), _reason(given), who)


def _reject(service: TriggerService, of: str, given: Given, who: str) -> object:
    return service.reject(int(of), _reason(given), who)


def _withdraw(service: TriggerService, of: str, given: Given, who: str) -> object:
    return service.withdraw(int(of), _reason(given), who)


def _close(service: TriggerService, _of: str, given: Given, who: str) -> object:
    return service.close_circuit(_reason(given), who)


def _reason(given: Given) -> str:
    return views.Statement(reason=given["reason"]).reason


_EVERYWHERE = Option("all", "All loops of this ledger, not only this one")
_ALL = (
    Act(
        name="pause",
        question="Pause this loop?",
        explains="No run starts until somebody resumes it; what is asked meanwhile is held. "
        "What is paused already can still be asked to stop what runs.",
        button="Pause",
        done="The loop is paused.",
        do=_pause,
        options=(Option("stop_runs", "Stop the run in progress too"), _EVERYWHERE),
        is_grave=True,
    ),
    Act(
        name="resume",
        question="Resume this loop?",
        explains="The policy may start runs again, and looks at what is held.",
        button="Resume",
        done="The loop is resumed.",
        do=_resume,
        options=(_EVERYWHERE,),
    ),
    Act(
        name="retrain",
        question="Retrain now?",
        explains="Your request goes through the same policy as an alert.",
        button="Ask for a retraining",
        done="A retraining is asked for; the timeline tells what the policy says.",
        do=_retrain,
        options=(
            Option("past_policy", "Past the policy: only a pause or a run in progress can hold it"),
        ),
    ),
    Act(
        name="close-circuit",
        question="Close the circuit?",
        explains="Runs may start again although the last ones failed.",
        button="Close the circuit",
        done="The circuit is closed.",
        do=_close,
    ),
    Act(
        name="approve",
        question="Approve trigger {of}?",
        explains="It becomes a run as soon as no other rule of the policy objects.",
        button="Approve",
        done="Trigger {of} is approved.",
        do=_approve,
        of="trigger",
    ),
    Act(
        name="reject",
        question="Reject trigger {of}?",
        explains="It never becomes a run. An alert that goes on firing may ask again later.",
        button="Reject",
        done="Trigger {of} is rejected.",
        do=_reject,
        of="trigger",
        is_grave=True,
    ),
    Act(
        name="withdraw",
        question="Withdraw trigger {of}?",
        explains="What was asked is taken back, and never becomes a run.",
        button="Withdraw",
        done="Trigger {of} is withdrawn.",
        do=_withdraw,
        of="trigger",
        is_grave=True,
    ),
    Act(
        name="stop",
        question="Stop run {of}?",
        explains="It ends at its next safe point; a rollout puts the champion back first.",
        button="Stop the run",
        done="Run {of} is asked to stop.",
        do=_stop,
        of="run",
        is_grave=True,
    ),
    Act(
        name="roll-back",
        question="Roll back to version {of}?",
        explains="It becomes champion again and takes all traffic, even while the loop is paused.",
        button="Roll back",
        done="A rollback to version {of} is asked for.",
        do=_roll_back,
        of="version",
        is_grave=True,
    ),
)
ACTS = {act.name: act for act in _ALL}
