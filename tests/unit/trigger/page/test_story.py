from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from kontinual.spec import Loop
from kontinual.trigger import Ask, Ledger, TriggerService
from kontinual.trigger.champion import ChampionWatch
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.page.figures import Figures
from kontinual.trigger.page.story import SHOWN, SHOWN_HELD, Teller, no_notes

NOTHING = Figures(0.0, 1.0)
MakeAsk = Callable[..., Ask]


class NoChampion:
    def champion(self) -> str | None:
        return None

    def champion_since(self) -> datetime | None:
        return None


@pytest.fixture
def teller(ledger: Ledger, loop: Loop) -> Teller:
    metrics, no_worker = TriggerMetrics("toy"), Any  # the story is told without one
    watch = ChampionWatch(NoChampion(), metrics)
    service = TriggerService(loop, ledger, no_worker, metrics=metrics, champion=watch)
    return Teller(service, no_notes)


def test_what_came_at_the_same_moment_is_told_newest_first(
    teller: Teller, ledger: Ledger, ask: MakeAsk
) -> None:
    ledger.receive([ask(fingerprint=name) for name in "abc"])
    story = teller.tell(NOTHING)
    assert [told.trigger.id for told in story.timeline] == [3, 2, 1]
    assert [told.trigger.id for told in story.held] == [3, 2, 1]


def test_a_storm_hides_nothing_and_every_trigger_stands_on_one_page_of_the_timeline(
    teller: Teller, ledger: Ledger, ask: MakeAsk
) -> None:
    many = 5 * SHOWN + 3
    ledger.receive([ask(fingerprint=str(i)) for i in range(many)])
    story = teller.tell(NOTHING)
    assert (len(story.held), story.more_held) == (SHOWN_HELD, many - SHOWN_HELD)
    told = [one.trigger.id for one in story.timeline]
    while story.earlier is not None:
        story = teller.tell(NOTHING, before=story.earlier)
        assert 0 < len(story.timeline) <= SHOWN
        told += [one.trigger.id for one in story.timeline]
    assert told == list(range(many, 0, -1))
