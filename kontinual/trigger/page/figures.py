"""What Prometheus says about a loop, for the page: quality over time, traffic, drift."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from kontinual.masking import masked
from kontinual.spec import AlertKind, Loop, format_duration

__all__ = ["PERIODS", "Drift", "FigureSource", "Figures", "Line", "PrometheusFigures"]

PERIODS = {
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
    "quarter": timedelta(days=91),
    "year": timedelta(days=365),
}
TIMEOUT_SECONDS = 3
POINTS = 180  # of a line: more than a phone has room for
KEPT_SECONDS = 5.0
OUTAGE_KEPT_SECONDS = 15.0


@dataclass(frozen=True)
class Line:
    """A version's ROC AUC over time; points are (Unix seconds, value), times rising."""

    version: str
    points: list[tuple[float, float]]


@dataclass(frozen=True)
class Drift:
    """How far a feature has moved from what the champion learnt."""

    feature: str
    index: float
    judged: bool  # a seasonal feature moves by nature: no alert speaks of it


@dataclass(frozen=True)
class Figures:
    """One look at Prometheus. Times are Unix seconds; what has no data is not in it."""

    start: float
    end: float
    trouble: str | None = None
    quality: list[Line] = field(default_factory=list)
    reference: dict[str, float] = field(default_factory=dict)
    traffic: dict[str, float] = field(default_factory=dict)  # share by version, 0 to 1
    drift: list[Drift] = field(default_factory=list)
    drift_limit: float | None = None


FigureSource = Callable[[str], Figures]
"""The figures of a period (a key of PERIODS); never raises, an outage is told in `trouble`."""


class PrometheusFigures:
    """A FigureSource over Prometheus. Many viewers cost it no more than one.

    Args:
        loop: whose figures.
        url: Prometheus' address.
        speedup: how many times faster than the wall clock the loop's periods pass.
    """

    def __init__(self, loop: Loop, url: str, *, speedup: float = 1.0) -> None:
        self._loop = loop
        self._url = masked(url)
        self._speedup = speedup
        # The next look is soon: no retries, and nothing waits long for a page.
        self._client = PrometheusConnect(url=url, retry=Retry(total=0), timeout=TIMEOUT_SECONDS)
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Figures]] = {}

    def __call__(self, period: str) -> Figures:
        with self._lock:
            until, figures = self._kept.get(period, (0.0, None))
            if figures is None or time.monotonic() >= until:
                figures = self._look(period)
                keep = OUTAGE_KEPT_SECONDS if figures.trouble else KEPT_SECONDS
                self._kept[period] = (time.monotonic() + keep, figures)
            return figures

    def _look(self, period: str) -> Figures:
        length = PERIODS[period].total_seconds() / self._speedup
        step = max(1, math.ceil(length / POINTS))
        # On whole steps, so that two looks at the same data give the same picture.
        end = math.ceil(time.time() / step) * step
        start = end - step * math.ceil(length / step)
        try:
            return self._figures(start, end, step)
        except (KeyError, TypeError, ValueError, IndexError):
            trouble = f"{self._url} answers, but not as Prometheus does"
        except OSError as exc:  # what requests raises
            trouble = f"Prometheus at {self._url} can not be reached ({type(exc).__name__})"
        except PrometheusApiClientException as exc:
            trouble = masked(f"Prometheus at {self._url} refuses: {exc}")[:300]
        return Figures(start, end, trouble=trouble)

    def _figures(self, start: float, end: float, step: int) -> Figures:
        model = f'model="{self._loop.name}"'
        auc = f"max by (version) (kontinual:quality:roc_auc{{{model}}})"
        best = f'max by (version) (kontinual_reference_quality{{{model}, metric="binned_roc_auc"}})'
        rate = f"sum by (version) (rate(kontinual_requests_total{{{model}}}[{self._lately}]))"
        psi = (
            f"max by (feature) (kontinual:feature_psi{{{model}}} "
            f"and on (model, version) kontinual_champion_info{{{model}}})"
        )
        alert = self._loop.monitoring.alert(AlertKind.FEATURE_DRIFT)
        rates = self._vector(rate, "version")
        whole = sum(rates.values())
        return Figures(
            start,
            end,
            quality=self._lines(auc, start, end, step, self._vector(auc, "version")),
            reference=self._vector(best, "version"),
            traffic={v: r / whole for v, r in rates.items()} if whole > 0 else {},
            drift=self._drift(self._vector(psi, "feature")),
            drift_limit=alert.threshold if alert else None,
        )

    @property
    def _lately(self) -> str:
        """Long enough for a few scrapes at every speed."""
        seconds = max(60, math.ceil(300 / self._speedup))
        return format_duration(timedelta(seconds=seconds))

    def _lines(
        self, query: str, start: float, end: float, step: int, latest: dict[str, float]
    ) -> list[Line]:
        """Lines in the order in which they begin; their ends are what is true now."""
        first, last = (datetime.fromtimestamp(t, UTC) for t in (start, end))
        answer = self._client.custom_query_range(query, first, last, f"{step}s")
        points = {series["metric"]["version"]: _points(series) for series in answer}
        for version, value in latest.items():
            earlier = [p for p in points.get(version, []) if p[0] < end]
            points[version] = [*earlier, (end, value)]
        lines = [Line(version, found) for version, found in points.items() if found]
        return sorted(lines, key=lambda line: line.points[0])

    def _vector(self, query: str, label: str) -> dict[str, float]:
        answer = self._client.custom_query(query)
        found = {s["metric"][label]: float(s["value"][1]) for s in answer}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def _drift(self, indices: dict[str, float]) -> list[Drift]:
        seasonal = {f.name for f in self._loop.data.features if f.seasonal}
        found = [Drift(name, value, name not in seasonal) for name, value in indices.items()]
        return sorted(found, key=lambda d: (not d.judged, -d.index, d.feature))


def _points(series: dict[str, Any]) -> list[tuple[float, float]]:
    found = [(float(t), float(v)) for t, v in series["values"]]
    return [(t, v) for t, v in found if math.isfinite(v)]
