"""Counters from Prometheus: the raw values, each with the instance it comes from."""

from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from requests import RequestException  # type: ignore[import-untyped]
from urllib3.util import Retry

from kontinual.errors import MetricsUnavailable
from kontinual.rollout.counts import Counts
from kontinual.rollout.envoy_config import cluster_name, version_of

__all__ = ["PrometheusMetrics"]

QUERY_TIMEOUT_SECONDS = 5
_KINDS = {
    "kontinual_requests_total": "requests",
    "kontinual_request_seconds_bucket": "latency",
    "kontinual_score_total": "score",
    "kontinual_score_sum_total": "score_sum",
}


class PrometheusMetrics:
    """Reads what predictors and Envoy have counted of one loop."""

    def __init__(self, url: str, *, model: str, client: PrometheusConnect | None = None) -> None:
        """Read from a server.

        Args:
            url: Prometheus' address.
            model: the loop's name.
            client: to ask with; by default one that does not retry, as the next look does.
        """
        self._url = url
        self._model = model
        self._client = client or PrometheusConnect(
            url=url,
            headers={"Connection": "close"},  # nothing is kept open that someone has to close
            retry=Retry(total=0),
            timeout=QUERY_TIMEOUT_SECONDS,
        )

    def read(self, versions: Sequence[str]) -> Mapping[str, Counts]:
        """The present values of each version's counters.

        Raises:
            MetricsUnavailable: Prometheus does not answer, or not with a result.
        """
        read: dict[str, Counts] = {version: {} for version in versions}
        for series in self._ask(self._query(versions)):
            labels, value = series["metric"], float(series["value"][1])
            version, kinds = _version_and_kinds(labels)
            if version not in read:
                continue
            source = f"{labels.get('job', '')}/{labels.get('instance', '')}"
            for kind in kinds:
                key = f"{source}|{kind}"
                read[version][key] = read[version].get(key, 0.0) + value
        return read

    def _query(self, versions: Sequence[str]) -> str:
        names = "|".join(_KINDS)
        either = "|".join(versions)
        clusters = "|".join(cluster_name(version) for version in versions)
        ours = f'{{__name__=~"{names}", model="{self._model}", version=~"{either}"}}'
        envoy = f'envoy_cluster_upstream_rq_xx{{envoy_cluster_name=~"{clusters}"}}'
        return f"{ours} or {envoy}"

    def _ask(self, query: str) -> list[dict[str, Any]]:
        try:
            answer: list[dict[str, Any]] = self._client.custom_query(query)
        except (RequestException, PrometheusApiClientException, ValueError, KeyError) as exc:
            raise MetricsUnavailable(f"{self._url}: Prometheus could not be asked: {exc}") from exc
        return answer


def _version_and_kinds(labels: Mapping[str, str]) -> tuple[str, list[str]]:
    """Whose counter it is, and what it counts; several kinds where 5xx are also requests."""
    name = labels["__name__"]
    if name == "envoy_cluster_upstream_rq_xx":
        failed = labels.get("envoy_response_code_class") == "5"
        kinds = ["gateway_requests", *(["gateway_errors"] if failed else [])]
        return version_of(labels.get("envoy_cluster_name", "")), kinds
    version, kind = labels.get("version", ""), _KINDS[name]
    if kind == "requests":
        return version, ["requests", *(["errors"] if labels.get("code", "")[:1] == "5" else [])]
    if kind == "latency":
        return version, [f"latency|{float(labels['le'])}"]
    if kind == "score":
        return version, [f"score|{labels['bin']}"]
    return version, [kind]
