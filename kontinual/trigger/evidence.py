"""Asking Prometheus again: is it still true, does it hurt, are there new labels?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from kontinual.errors import MetricsUnavailable
from kontinual.spec import AlertKind, Loop
from kontinual.trigger.contracts import Evidence, Trigger
from kontinual.trigger.policy import declared_alert

__all__ = ["EvidenceSource", "MetricSource", "PrometheusEvidence", "PrometheusSource", "Sample"]

TIMEOUT_SECONDS = 5
RETRIES = 2


@dataclass(frozen=True)
class Sample:
    """One series of an instant query's answer."""

    labels: Mapping[str, str]
    value: float


class MetricSource(Protocol):
    """Answers PromQL. Safe to call from any thread, one call at a time."""

    def vector(self, query: str) -> list[Sample]:
        """The series of an instant query; empty when there is no data.

        Raises:
            MetricsUnavailable: there was no answer, or none that can be read.
        """
        ...


class EvidenceSource(Protocol):
    """Finds out what is true now about a trigger."""

    def gather(self, trigger: Trigger) -> Evidence:
        """The evidence; never raises, an unreachable source is evidence too."""
        ...


class PrometheusSource:
    """A MetricSource over Prometheus' HTTP API."""

    def __init__(self, url: str, *, timeout_seconds: int = TIMEOUT_SECONDS) -> None:
        self.url = url
        retry = Retry(total=RETRIES, backoff_factor=0.1, status_forcelist=[502, 503, 504])
        self._client = PrometheusConnect(url=url, retry=retry, timeout=timeout_seconds)

    def close(self) -> None:
        """Close the connections."""
        self._client._session.close()

    def vector(self, query: str) -> list[Sample]:
        try:
            answer = self._client.custom_query(query)
            return [Sample(item["metric"], float(item["value"][1])) for item in answer]
        except (KeyError, TypeError, ValueError, IndexError) as exc:
            raise MetricsUnavailable(f"{self.url} answers {query!r} with no vector") from exc
        except OSError as exc:  # what requests raises
            how = type(exc).__name__
            raise MetricsUnavailable(f"{self.url} can not be reached ({how})") from exc
        except PrometheusApiClientException as exc:
            raise MetricsUnavailable(f"{self.url} refuses {query!r}: {exc}"[:500]) from exc


class PrometheusEvidence:
    """Evidence for the triggers of one loop."""

    def __init__(self, loop: Loop, source: MetricSource) -> None:
        self._loop = loop
        self._source = source

    def gather(self, trigger: Trigger) -> Evidence:
        alert = declared_alert(self._loop, trigger)
        condition = None if alert is None else self._loop.condition(alert)
        try:
            return Evidence(
                condition=condition,
                value=None if condition is None else self._still_true(condition, trigger),
                quality_decay=self._greatest(_series(AlertKind.QUALITY_DECAY.series, self._loop)),
                expected_log_loss_rise=self._greatest(
                    _series("kontinual:expected_log_loss_rise:value", self._loop)
                ),
                matured_rows=self._greatest(_series("kontinual_matured_rows", self._loop)),
            )
        except MetricsUnavailable as exc:
            return Evidence(condition=condition, unavailable=str(exc))

    def _still_true(self, condition: str, trigger: Trigger) -> float | None:
        """The value of the very series that fired, if its condition holds.

        The alert carries all labels of its series; others (of its rule, or external
        labels that only Alertmanager sees) do not count.
        """
        for sample in self._source.vector(condition):
            own = {k: v for k, v in sample.labels.items() if k != "__name__"}
            if own.items() <= trigger.labels.items():
                return sample.value
        return None

    def _greatest(self, query: str) -> float | None:
        values = [s.value for s in self._source.vector(query) if not math.isnan(s.value)]
        return max(values, default=None)


def _series(name: str, loop: Loop) -> str:
    return f'{name}{{model="{loop.name}"}}'
