"""What the demo sees of the loop, and when it holds the calendar for it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from kontinual.local.demo.watch import Watch
from kontinual.settings import Settings

LABELS = {"alertname": "KontinualNewLabels", "kind": "new_labels", "model": "flights"}


def now(seconds_ago: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()


def alert(action: str = "retrain", *, since: str, state: str = "firing") -> dict[str, Any]:
    """As Prometheus tells it: with nanoseconds."""
    labels = {**LABELS, "action": action}
    at = since.replace("+00:00", "987Z")
    return {"labels": labels, "state": state, "activeAt": at, "annotations": {}}


def trigger(*, since: str, **told: Any) -> dict[str, Any]:
    """As the trigger tells it: with Alertmanager's milliseconds, cut off."""
    starts_at = datetime.fromisoformat(since)
    cut = starts_at.replace(microsecond=starts_at.microsecond // 1000 * 1000).isoformat()
    labels = {**LABELS, "action": "retrain"}
    usual = {"labels": labels, "starts_at": cut, "rule": "cooldown", "decision": "hold"}
    return {**usual, "run": None, **told}


def seen(
    alerts: list[dict[str, Any]], triggers: list[dict[str, Any]], run: str | None = None
) -> Watch:
    """A watch after one look at such a loop."""
    answers = {
        "/api/v1/status": {"run_in_progress": run, "champion": "1"},
        "/api/v1/triggers": triggers,
        "/api/v1/runs": [],
        "/api/v1/alerts": {"data": {"alerts": alerts}},
    }

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=answers[request.url.path])

    async def look() -> Watch:
        watch = Watch(Settings())
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await watch.refresh(client)
        return watch

    return asyncio.run(look())


def test_a_loop_that_runs_is_busy_and_one_at_rest_is_not():
    assert seen([], [], run="flights-1").busy
    assert not seen([], []).busy


def test_an_alert_on_its_way_to_the_trigger_keeps_the_loop_busy_until_there_is_a_word_on_it():
    since = now()
    fires = [alert(since=since)]
    assert seen(fires, []).busy
    assert seen(fires, [trigger(since=since, rule="not_examined")]).busy
    assert not seen(fires, [trigger(since=since)]).busy


def test_what_the_trigger_said_of_an_earlier_alert_is_no_word_on_this_one():
    assert seen([alert(since=now())], [trigger(since=now(seconds_ago=3))]).busy
    other = trigger(since=now(), labels={**LABELS, "kind": "quality_decay"})
    assert seen([alert(since=now(seconds_ago=1))], [other]).busy


@pytest.mark.parametrize(
    "quiet",
    [
        pytest.param(alert("notify", since=now()), id="only_notifies"),
        pytest.param(alert(since=now(), state="pending"), id="does_not_fire_yet"),
        pytest.param(alert(since=now(seconds_ago=60)), id="got_lost"),
    ],
)
def test_an_alert_that_no_run_can_come_of_keeps_nobody_waiting(quiet: dict[str, Any]):
    assert not seen([quiet], []).busy


def test_only_what_fires_is_shown_as_firing():
    pending = alert(since=now(), state="pending")
    assert seen([pending], []).firing == []
    assert seen([alert(since=now()), pending], []).firing == ["new_labels"]
