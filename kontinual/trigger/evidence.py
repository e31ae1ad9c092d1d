"""Asking Prometheus again: is it still true, does it hurt, are there new labels?"""

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from kontinual.errors import MetricsUnavailable
from kontinual.masking import masked
from kontinual.spec import AlertKind, Loop
from kontinual.trigger.champion import ChampionSource
from kontinual.trigger.contracts import Evidence, Query, RunKind, Trigger
from kontinual.trigger.ledger import Clock, utc_now
from kontinual.trigger.rules import declared_alert, kind_of

__all__ = [
    "EvidenceSource",
    "MetricSource",
    "PrometheusEvidence",
    "PrometheusSource",
    "RollbackEvidence",
    "Sample",
]

TIMEOUT_SECONDS = 5
REGISTRY_SECONDS = 10.0
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
    """Finds out what is true now about triggers."""

    def gather(self, triggers: Sequence[Trigger]) -> dict[int, Evidence]:
        """The evidence on each, by number; never raises, an unreachable source is evidence too."""
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

    def __init__(self, loop: Loop, source: MetricSource, *, clock: Clock = utc_now) -> None:
        self._loop = loop
        self._source = source
        self._clock = clock

    def gather(self, triggers: Sequence[Trigger]) -> dict[int, Evidence]:
        look = _Look(self._loop, self._source, self._clock)
        return {trigger.id: look.at(trigger) for trigger in triggers}


class RollbackEvidence:
    """Evidence with the version that a rollback goes back to, or with those it may name."""

    def __init__(self, loop: Loop, rest: EvidenceSource, champion: ChampionSource) -> None:
        """Set up a source; nothing is asked yet.

        Args:
            loop: whose triggers these are.
            rest: knows everything else.
            champion: knows whom the champion took over from.
        """
        self._loop = loop
        self._rest = rest
        self._champion = champion
        # One that does not answer must not hold up the worker, which has a lease to keep.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="registry")

    def gather(self, triggers: Sequence[Trigger]) -> dict[int, Evidence]:
        found = self._rest.gather(triggers)
        rollbacks = [t for t in triggers if self._is_rollback(t)]
        asked = {t.wish.version is None for t in rollbacks}
        said = {bare: self._asked(bare=bare) for bare in asked}
        for trigger in rollbacks:
            seen = said[trigger.wish.version is None]
            found[trigger.id] = found[trigger.id].model_copy(update=seen)
        return found

    def _is_rollback(self, trigger: Trigger) -> bool:
        return kind_of(trigger, declared_alert(self._loop, trigger)) is RunKind.ROLLBACK

    def _asked(self, *, bare: bool) -> dict[str, Any]:
        """What the registry says: whom the champion followed, or else who may be named."""
        name, question = (
            ("former", self._champion.former_champion)
            if bare
            else ("champions", self._champion.champions)
        )
        try:
            return {name: self._thread.submit(question).result(REGISTRY_SECONDS)}
        except TimeoutError:
            return {"registry_unavailable": f"no answer within {REGISTRY_SECONDS:.0f} s"}
        except Exception as exc:  # whatever the registry's client raises
            return {"registry_unavailable": masked(str(exc)) or type(exc).__name__}


class _Look:
    """One look for many triggers: each question is asked once, an outage waited for once."""

    def __init__(self, loop: Loop, source: MetricSource, clock: Clock) -> None:
        self._loop = loop
        self._source = source
        self._clock = clock
        self._answers: dict[str, tuple[datetime, list[Sample]]] = {}
        self._outage: str | None = None

    def at(self, trigger: Trigger) -> Evidence:
        alert = declared_alert(self._loop, trigger)
        condition = None if alert is None else self._loop.condition(alert)
        try:
            queries = [self._greatest(name, query) for name, query in self._questions()]
            if condition is not None:
                queries.insert(0, self._still_true(condition, trigger))
        except MetricsUnavailable as exc:
            return Evidence(condition=condition, unavailable=str(exc))
        values = {query.name: query.value for query in queries}
        return Evidence(condition=condition, queries=queries, **values)

    def _questions(self) -> list[tuple[str, str]]:
        named = {
            "quality_decay": AlertKind.QUALITY_DECAY.series,
            "expected_log_loss_rise": "kontinual:expected_log_loss_rise:value",
            "matured_rows": "kontinual_matured_rows",
        }
        return [(name, f'{series}{{model="{self._loop.name}"}}') for name, series in named.items()]

    def _still_true(self, condition: str, trigger: Trigger) -> Query:
        """The value of the very series that fired, if its condition holds.

        The alert carries all labels of its series; others (of its rule, or external
        labels that only Alertmanager sees) do not count.
        """
        at, samples = self._ask(condition)
        value = next((s.value for s in samples if _own(s).items() <= trigger.labels.items()), None)
        return Query(name="value", promql=condition, at=at, value=value)

    def _greatest(self, name: str, query: str) -> Query:
        at, samples = self._ask(query)
        values = [s.value for s in samples if not math.isnan(s.value)]
        return Query(name=name, promql=query, at=at, value=max(values, default=None))

    def _ask(self, query: str) -> tuple[datetime, list[Sample]]:
        if self._outage is not None:
            raise MetricsUnavailable(self._outage)
        if query not in self._answers:
            try:
                self._answers[query] = (self._clock(), self._source.vector(query))
            except MetricsUnavailable as exc:
                self._outage = str(exc)
                raise
        return self._answers[query]


def _own(sample: Sample) -> dict[str, str]:
    return {k: v for k, v in sample.labels.items() if k != "__name__"}
