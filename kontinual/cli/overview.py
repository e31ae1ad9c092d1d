"""What `kontinual status` tells of a loop beside its processes, each part from who knows it."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import httpx

from kontinual.cli.service import client_of
from kontinual.errors import GatewayError, ServiceError
from kontinual.settings import Settings
from kontinual.spec import Loop

__all__ = ["Line", "overview"]

Line = tuple[str, str]
SHOWN = 5
TIMEOUT_SECONDS = 3.0
_STEERED = "champion, run, pause, triggers"
_NOT_UP = "not known: the service is not up"


def overview(
    loop: Loop,
    settings: Settings,
    *,
    weights: Callable[[], dict[str, int]],
    down: Collection[str] = (),
) -> list[Line]:
    """The loop at one glance; a part that can not be known says so.

    Args:
        loop: which.
        settings: where its services are.
        weights: asks the gateway for the percent of traffic of each version.
        down: services of its stack that do not run; who answers in their place is not asked.
    """
    told: dict[str, tuple[str, Callable[[], str]]] = {
        "traffic": ("envoy", lambda: _traffic(weights)),
        "alerts": ("prometheus", lambda: _alerts(settings)),
        "labelled rows": ("collector", lambda: _rows(settings)),
    }
    return [
        *([(_STEERED, _NOT_UP)] if "trigger" in down else _steered(loop, settings)),
        *((name, _NOT_UP if who in down else tell()) for name, (who, tell) in told.items()),
    ]


def _steered(loop: Loop, settings: Settings) -> list[Line]:
    """What the trigger service knows."""
    try:
        with client_of(loop, settings) as client:
            status = client.status()
            run, last = status["run_in_progress"], status["last_run"]
            return [
                ("champion", _champion(status["champion"])),
                ("run", "none" if run is None else _run(client.run(run))),
                *([] if last is None else [("last run", _ended(client.run(last)))]),
                ("paused", _paused(status)),
                *_circuit(status),
                ("held triggers", _held([client.trigger(n) for n in status["open_triggers"]])),
            ]
    except ServiceError as exc:
        return [(_STEERED, f"not known: {exc}")]


def _champion(version: str | None) -> str:
    return "none yet; `kontinual run` makes the first" if version is None else f"version {version}"


def _run(run: dict[str, Any]) -> str:
    asked = "" if run["stop"] is None else f", asked to end by {_act(run['stop'])}"
    return f"{run['id']} since {_minute(run['launched_at'] or run['accepted_at'])}{asked}"


def _ended(run: dict[str, Any]) -> str:
    outcome = run["outcome"].replace("_", " ")
    return f"{run['id']} {outcome} at {_minute(run['ended_at'])}: {run['reason']}"


def _paused(status: dict[str, Any]) -> str:
    said = [
        f"{what} by {_act(act)}"
        for what, act in (("yes,", status["paused"]), ("all loops,", status["paused_everywhere"]))
        if act is not None
    ]
    return "; ".join(said) or "no"


def _circuit(status: dict[str, Any]) -> list[Line]:
    until = status["circuit_open_until"]
    if until is None:
        return []
    told = f"{status['failures']} runs failed in a row: none is started before {_minute(until)}"
    return [("circuit", f"{told}, unless you call `kontinual close-circuit`")]


def _held(triggers: list[dict[str, Any]]) -> str:
    told = [f"{t['id']} ({t['alert'] or t['source']}): {t['reason']}" for t in triggers[:SHOWN]]
    return "\n".join([*told, *_more(triggers)]) or "none"


def _traffic(weights: Callable[[], dict[str, int]]) -> str:
    try:
        shares = weights()
    except GatewayError as exc:
        return f"not known: {exc}"
    told = [f"version {version}: {weight} %" for version, weight in sorted(shares.items())]
    return ", ".join(told) or "none is served: there is no version yet"


def _alerts(settings: Settings) -> str:
    try:
        alerts = _ask(f"{settings.prometheus}/api/v1/alerts")["data"]["alerts"]
        firing = [a for a in alerts if a["state"] == "firing"]
        told = [_alert(a) for a in firing[:SHOWN]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as exc:
        return f"not known: Prometheus at {settings.prometheus} does not tell: {exc}"
    return "\n".join([*told, *_more(firing)]) or "none fires"


def _alert(alert: dict[str, Any]) -> str:
    summary = alert["annotations"].get("summary", "")
    return f"{alert['labels']['alertname']} since {_minute(alert['activeAt'])}: {summary}"


def _rows(settings: Settings) -> str:
    try:
        store = _ask(f"{settings.collector}/api/v1/store")
        waiting, ripening = store["matured"] - store["taken"], store["ripening"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as exc:
        return f"not known: the collector at {settings.collector} does not tell: {exc}"
    more = f"; {ripening:,} more when their label's delay is over" if ripening else ""
    return f"{waiting:,} not in a span yet{more}"


def _ask(url: str) -> Any:
    answer = httpx.get(url, timeout=TIMEOUT_SECONDS, trust_env=False)
    return answer.raise_for_status().json()


def _more(items: list[dict[str, Any]]) -> Iterator[str]:
    if len(items) > SHOWN:
        yield f"and {len(items) - SHOWN} more"


def _act(act: dict[str, Any]) -> str:
    return f"{act['by']} at {_minute(act['at'])}: {act['reason']}"


def _minute(moment: str) -> str:
    return f"{moment[:16].replace('T', ' ')} UTC"
