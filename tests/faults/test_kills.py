"""SIGKILL at any point: no accepted alert is lost, and none becomes two runs.

Each siege has seeded kills at points of all four stages; `make test-faults` repeats them.
"""

import logging
from collections import Counter
from collections.abc import Callable

from tests.faults.doomed import STAGES
from tests.faults.siege import Siege, besiege

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
