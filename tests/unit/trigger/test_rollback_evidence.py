"""Where a rollback goes is asked of the registry, and an outage of it is evidence too."""

import threading
from collections.abc import Callable, Iterator

import pytest

from kontinual.errors import TrackingError
from kontinual.spec import Loop
from kontinual.trigger import Ask, Evidence, Ledger, RunKind, Source, Trigger, Wish, evidence
from kontinual.trigger.evidence import RollbackEvidence


class Registry:
    """Answers as it is told, and counts how often."""

    def __init__(self, answer: Callable[[], str | None]) -> None:
        self.answer = answer
        self.asked = 0

    def former_champion(self) -> str | None:
        self.asked += 1
        return self.answer()

    def champions(self) -> list[str]:
        self.asked += 1
        return ["1", "3"]


class Figures:
    def gather(self, triggers: list[Trigger]) -> dict[int, Evidence]:
        return {trigger.id: Evidence(value=2.0) for trigger in triggers}


Gather = Callable[[Registry], dict[int, Evidence]]


@pytest.fixture
def triggers(ledger: Ledger, ask: Callable[..., Ask]) -> list[Trigger]:
    """An alert that rolls back, one that retrains, and a person who names a version."""
    named = Wish(kind=RunKind.ROLLBACK, version="1")
    ledger.receive([ask("prediction_drift"), ask(fingerprint="bb")])
    ledger.ask(Ask(source=Source.MANUAL, summary="bad", by="ana", wish=named))
    return ledger.triggers()


@pytest.fixture
def gather(loop: Loop, triggers: list[Trigger]) -> Gather:
    return lambda registry: RollbackEvidence(loop, Figures(), registry).gather(triggers)


def test_the_version_before_is_asked_for_where_none_is_named(gather: Gather) -> None:
    registry = Registry(lambda: "3")
    found = gather(registry)
    assert [found[n].former for n in (1, 2, 3)] == ["3", None, None]
    assert [found[n].champions for n in (1, 2, 3)] == [None, None, ["1", "3"]]
    assert all(e.value == 2.0 for e in found.values())
    assert registry.asked == 2


def test_a_registry_that_fails_is_told(gather: Gather) -> None:
    def fails() -> str | None:
        raise TrackingError("the champion can not be read: 503")

    told = gather(Registry(fails))[1]
    assert (told.former, told.registry_unavailable) == (None, "the champion can not be read: 503")


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_registry_that_hangs_holds_nobody_up(
    gather: Gather, stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "REGISTRY_SECONDS", 0.05)

    def hangs() -> str | None:
        stuck.wait(20)
        return "3"

    assert gather(Registry(hangs))[1].registry_unavailable == "no answer within 0 s"
