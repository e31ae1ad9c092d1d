"""SIGKILL at any point: no accepted alert is lost, and none becomes two runs.

Each siege has seeded kills at points of all four stages; `make test-faults` repeats them.
"""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from random import Random

from kontinual.trigger import Ledger
from tests.faults.doomed import STAGES, Fate
from tests.faults.siege import Siege, besiege, storm

log = logging.getLogger(__name__)
KILLS = 10


def test_kills_at_any_point_lose_no_alert_and_start_no_second_run(
    siege: Callable[[], Siege], rounds: int
) -> None:
    deaths: Counter[str] = Counter()
    for seed in range(rounds):
        besieged = siege()
        deaths += besiege(besieged, KILLS, seed)
        besieged.check()
    log.info("%d kills: %s", deaths.total(), dict(deaths))
    assert deaths.total() >= rounds * KILLS
    assert rounds < 3 or set(STAGES) <= set(deaths), "all stages were hit"


def test_a_kill_in_a_storm_loses_no_alert_that_was_acknowledged(
    siege: Callable[[], Siege], rounds: int
) -> None:
    """Those that come at once share a transaction: it is theirs as if each had its own."""
    besieged, acknowledged = siege(), list[str]()
    for seed in range(3 * rounds):
        acknowledged += storm(besieged, Fate("accept", Random(seed).randint(20, 400)))
        with closing(Ledger(besieged.place.ledger, "flights")) as ledger:
            ledger.audit()
            kept = [trigger.fingerprint for trigger in ledger.triggers()]
        assert len(kept) == len(set(kept)), "none twice"
        assert set(acknowledged) <= set(kept)
    assert acknowledged, "some were, or nothing is shown"
