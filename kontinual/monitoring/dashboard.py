"""The Grafana dashboard of a loop: one for each, so its queries are plain PromQL.

It is plain data: Grafana reads it from a file on a laptop, from a ConfigMap on a cluster.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from kontinual.monitoring.panels import ANNOTATIONS, Panel, sections
from kontinual.monitoring.timing import Timing
from kontinual.spec import Loop

__all__ = ["dashboard"]

WIDTH = 24  # Grafana's grid
HEIGHT = 8
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(loop: Loop, *, speedup: float = 1.0) -> dict[str, Any]:
    """The dashboard's JSON model.

    Args:
        loop: the declaration.
        speedup: how many times faster than the wall clock the loop's windows pass.
    """
    timing = Timing(loop, speedup)
    grid = _Grid()
    for title, panels in sections(timing):
        grid.row(title)
        for panel in panels:
            grid.add(panel)
    return {
        "uid": hashlib.sha256(f"kontinual/{loop.name}".encode()).hexdigest()[:40],
        "title": f"Kontinual: {loop.name}",
        "description": loop.description,
        "tags": ["kontinual", loop.name],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,  # one crosshair over all panels
        "time": {"from": f"now-{_range_seconds(timing)}s", "to": "now"},
        "refresh": "30s",
        "timezone": "utc",
        "templating": {"list": [_datasource_variable()]},
        "annotations": {"list": [_annotation(loop, timing, **a) for a in ANNOTATIONS]},
        "panels": grid.panels,
    }


def _range_seconds(timing: Timing) -> int:
    """Four windows: enough to see where the present one came from."""
    return 4 * timing.scaled(timing.loop.monitoring.window, least=900)


def _datasource_variable() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
    }


def _annotation(loop: Loop, timing: Timing, *, name: str, expr: str, **look: str) -> dict[str, Any]:
    """Marks on every panel, wherever the query has a value above 0."""
    filled = expr.format(model=loop.name, window=timing.text(2 * timing.evaluation))
    return {
        "name": name,
        "enable": True,
        "datasource": _DATASOURCE,
        "expr": filled,
        "step": timing.text(timing.evaluation),
        "iconColor": look["colour"],
        "titleFormat": look["title"],
        "useValueForTime": False,
    }


@dataclass
class _Grid:
    """Places panels from left to right, below each other."""

    panels: list[dict[str, Any]] = field(default_factory=list)
    _x: int = 0
    _y: int = 0

    def row(self, title: str) -> None:
        self._next_line()
        self.panels.append(
            {
                **self._place("row", title, width=WIDTH, height=1),
                "collapsed": False,
                "panels": [],
            }
        )
        self._x, self._y = 0, self._y + 1

    def add(self, panel: Panel) -> None:
        if self._x + panel.width > WIDTH:
            self._next_line()
        self.panels.append(
            {
                **self._place(panel.kind, panel.title, width=panel.width, height=HEIGHT),
                "description": panel.description,
                "datasource": _DATASOURCE,
                "targets": [_target(i, q.expr, q.legend) for i, q in enumerate(panel.queries)],
                "fieldConfig": _field_config(panel),
                "options": _OPTIONS[panel.kind],
            }
        )
        self._x += panel.width

    def _next_line(self) -> None:
        if self._x:
            self._x, self._y = 0, self._y + HEIGHT

    def _place(self, kind: str, title: str, *, width: int, height: int) -> dict[str, Any]:
        return {
            "id": len(self.panels) + 1,
            "type": kind,
            "title": title,
            "gridPos": {"x": self._x, "y": self._y, "w": width, "h": height},
        }


def _target(index: int, expr: str, legend: str) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + index),
        "datasource": _DATASOURCE,
        "expr": expr,
        "legendFormat": legend,
        "range": True,
    }


def _field_config(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.threshold is not None:
        steps = [
            {"color": "green", "value": None},
            {"color": "red", "value": panel.threshold},
        ]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        defaults["custom"] = {"thresholdsStyle": {"mode": "line"}}
    return {"defaults": defaults, "overrides": []}


_LEGEND = {"displayMode": "list", "placement": "bottom", "showLegend": True}
_OPTIONS: dict[Literal["timeseries", "stat", "bargauge"], dict[str, Any]] = {
    "timeseries": {"legend": _LEGEND, "tooltip": {"mode": "multi", "sort": "desc"}},
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name",
        "colorMode": "value",
        "graphMode": "none",
    },
    "bargauge": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "displayMode": "basic",
        "orientation": "horizontal",
    },
}
