from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.monitoring import Timing
from kontinual.spec import AlertKind, Loop

Changed = Callable[..., Loop]


def test_windows_are_the_alerts_own_or_else_the_loops(changed: Changed) -> None:
    alerts = [{"kind": "feature_drift", "threshold": 1, "window": "2h"}]
    timing = Timing(changed(monitoring={"window": "1d", "alerts": alerts}))
    assert timing.window(AlertKind.FEATURE_DRIFT) == 7_200
    assert timing.window(AlertKind.QUALITY_DECAY) == 86_400
    assert timing.least_window == 7_200


def test_a_speedup_shortens_windows_but_not_under_ten_seconds(loop: Loop) -> None:
    assert Timing(loop, 86_400).window(AlertKind.QUALITY_DECAY) == 30
    assert Timing(loop, 10_000_000).window(AlertKind.QUALITY_DECAY) == 10


def test_holds_are_rounded_up_and_none_stays_none(loop: Loop) -> None:
    assert Timing(loop, 86_400).hold(AlertKind.FEATURE_DRIFT) == 7
    assert Timing(loop, 100_000).hold(AlertKind.FEATURE_DRIFT) == 7
    assert Timing(loop, 86_400).hold(AlertKind.QUALITY_DECAY) == 0


def test_a_service_that_misses_two_scrapes_is_not_down_yet(loop: Loop) -> None:
    assert Timing(loop).hold(AlertKind.SERVICE_DOWN) == 3 * Timing(loop).scrape == 90


def test_a_predictor_that_was_just_retired_is_not_down_however_fast_the_loop(loop: Loop) -> None:
    fast = Timing(loop, 86_400)
    assert fast.scrape == 1
    assert fast.hold(AlertKind.SERVICE_DOWN) == 10


def test_what_is_kept_holds_the_longest_window_behind_all_that_the_page_shows(
    changed: Changed,
) -> None:
    day = 86_400
    alerts = [{"kind": "quality_decay", "threshold": 1, "window": "60d"}]
    timing = Timing(changed(monitoring={"window": "30d", "alerts": alerts}))
    assert timing.kept == (365 + 60) * day
    fast = Timing(timing.loop, 600)
    assert fast.kept == 15 * day + fast.window(AlertKind.QUALITY_DECAY), "a demo is looked at later"


@given(speedup=st.floats(1, 1e9))
def test_a_window_always_holds_enough_scrapes(loop: Loop, speedup: float) -> None:
    timing = Timing(loop, speedup)
    assert 1 <= timing.scrape <= timing.evaluation <= 60
    assert timing.least_window >= 10 * timing.scrape


@pytest.mark.parametrize("speedup", [0, 0.5, float("nan")])
def test_time_does_not_run_slower_than_the_clock(loop: Loop, speedup: float) -> None:
    with pytest.raises(ValueError, match="speedup is at least 1, but got"):
        Timing(loop, speedup)
