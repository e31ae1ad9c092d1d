"""The configuration of Prometheus and Alertmanager."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kontinual.errors import SpecError
from kontinual.monitoring.document import document
from kontinual.monitoring.timing import Timing
from kontinual.spec import MAX_ALERTS, Loop

__all__ = ["GROUP_BY", "render_alertmanager", "render_prometheus", "route_times"]

GROUP_BY = ["model", "kind"]
_MINUTE = timedelta(minutes=1)


def render_prometheus(
    loop: Loop,
    *,
    collector: str,
    trigger: str,
    envoy: str,
    alertmanager: str,
    rules_file: str | Path = "rules.yml",
    predictors_file: str | Path = "predictors.json",
    speedup: float = 1.0,
) -> str:
    """`prometheus.yml` of a loop.

    Args:
        loop: the declaration.
        collector: URL of the collector, or `host:port`; so for the next three.
        trigger: of the trigger.
        envoy: of Envoy's admin interface.
        alertmanager: of Alertmanager.
        rules_file: path of the rules; relative ones count from the configuration's folder.
        predictors_file: path of the list of predictors, which the gateway keeps.
        speedup: how many times faster than the wall clock the loop's windows pass.
    """
    timing = Timing(loop, speedup)
    interval = timing.text(timing.scrape)
    predictors = {
        "job_name": "predictor",
        "file_sd_configs": [{"files": [str(predictors_file)], "refresh_interval": interval}],
        # Another loop's predictors may be in the same Prometheus.
        "relabel_configs": [{"target_label": "loop", "replacement": loop.name}],
    }
    tree = {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval if timing.scrape <= 10 else "10s",
            "evaluation_interval": timing.text(timing.evaluation),
        },
        "rule_files": [str(rules_file)],
        "alerting": {"alertmanagers": [_static(alertmanager)]},
        "scrape_configs": [
            predictors,
            {"job_name": "collector", **_static(collector)},
            {"job_name": "trigger", **_static(trigger)},
            {"job_name": "envoy", "metrics_path": "/stats/prometheus", **_static(envoy)},
            {"job_name": "alertmanager", **_static(alertmanager)},
        ],
    }
    return document(tree, loop=loop.name)


def render_alertmanager(
    loop: Loop, *, trigger_url: str, token_file: str | Path, speedup: float = 1.0
) -> str:
    """`alertmanager.yml` of a loop: everything goes to the trigger, which decides.

    Args:
        loop: the declaration.
        trigger_url: URL of the trigger.
        token_file: file with the bearer token of the trigger.
        speedup: how many times faster than the wall clock the loop's windows pass.
    """
    route = {"receiver": "trigger", "group_by": GROUP_BY, **route_times(Timing(loop, speedup))}
    webhook = {
        "url": f"{trigger_url.rstrip('/')}/api/v1/alerts",
        "send_resolved": True,
        "max_alerts": MAX_ALERTS,
        "http_config": {
            "authorization": {"type": "Bearer", "credentials_file": str(token_file)},
            "follow_redirects": False,
        },
    }
    tree = {"route": route, "receivers": [{"name": "trigger", "webhook_configs": [webhook]}]}
    return document(tree, loop=loop.name)


def route_times(timing: Timing) -> dict[str, str]:
    """How long Alertmanager waits: before the first delivery, between two, and to repeat one.

    An alert that still fires is sent again four times per cooldown, at most every
    5 minutes and at least once a day, so that one suppressed today is decided anew.
    """
    again = min(max(timing.loop.trigger.cooldown / 4, 5 * _MINUTE), timedelta(days=1))
    return {
        "group_wait": timing.text(timing.scaled(_MINUTE / 6, least=1)),
        "group_interval": timing.text(timing.scaled(_MINUTE, least=1)),
        "repeat_interval": timing.text(timing.scaled(again, least=1)),
    }


def _static(address: str) -> dict[str, Any]:
    """Scheme and target of a URL or of `host:port`."""
    url = urlsplit(address if "://" in address else f"http://{address}")
    if url.scheme not in {"http", "https"} or not url.netloc or url.path.strip("/"):
        raise SpecError(f"an address is http(s)://host:port without a path, but got {address!r}")
    return {"scheme": url.scheme, "static_configs": [{"targets": [url.netloc]}]}
