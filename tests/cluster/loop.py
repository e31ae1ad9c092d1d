"""The flights' loop, small and quick enough for a node that is a laptop."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from examples.flights.prepare import flights
from tests.cluster.machine import ROOT

__all__ = ["HISTORY_ROWS", "NEW_ROWS", "declare", "history", "later"]

HISTORY_ROWS, NEW_ROWS = 6_000, 900
MARCH = pd.Timestamp(datetime(2013, 3, 1), tz="UTC")
APRIL = pd.Timestamp(datetime(2013, 4, 1), tz="UTC")


def declare(target: Path) -> Path:
    """Write the declaration: the example's, with few trials, steps of seconds, one alert."""
    tree: dict[str, Any] = YAML(typ="safe").load(ROOT / "examples/flights/loop.yaml")
    tree["data"]["label"]["delay"] = "1s"
    job = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}}
    tree["training"]["tuning"] = {
        "trials": 2,
        "parallel": 2,
        "timeout": "20m",
        "algorithm": "random",
        "seed": 1,
        "katib": {"job": job, "keep": True},
    }
    # Any model but a broken one is good enough: what is tested is the way to it.
    tree["validation"] |= {"max_drift": 1.0, "max_skew": 1.0, "max_null_rise": 1.0}
    tree["gates"] = [{"metric": "log_loss", "on": "new", "max_regression": 0.5, "min_rows": 100}]
    tree["serving"] = {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
        "ready_timeout": "10m",
    }
    tree["rollout"] = {
        "steps": [20, 100],
        "min_requests": 30,
        "step_duration": "5s",
        "step_timeout": "20m",
        # Pods that share two cores with a pipeline answer when they can.
        "checks": {"max_mean_score_gap": 0.5, "max_p99_ratio": 50.0},
    }
    alert = {"kind": "new_labels", "threshold": NEW_ROWS * 2 // 3, "action": "retrain"}
    tree["monitoring"] = {"window": "2m", "min_rows": 100, "alerts": [alert]}
    tree["trigger"] = {"min_new_labels": NEW_ROWS // 2, "cooldown": "0s", "daily_budget": 9}
    YAML(typ="safe").dump(tree, target)
    return target


def history() -> pd.DataFrame:
    """The rows that the first model learns from: of January and February."""
    early = flights()
    return early[early["departure"] < MARCH].sample(HISTORY_ROWS, random_state=1)


def later() -> list[dict[str, Any]]:
    """The flights of March, in their order, as requests have them, with `late`."""
    rows = flights()
    march = rows[(rows["departure"] >= MARCH) & (rows["departure"] < APRIL)]
    chosen = march.sample(NEW_ROWS, random_state=1).sort_values("departure")
    chosen = chosen.assign(departure=chosen["departure"].map(lambda t: t.isoformat()))
    plain = chosen.astype(object).where(chosen.notna(), None)
    return list(plain.to_dict("records"))
