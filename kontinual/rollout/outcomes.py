"""Log losses from the collector: of predictions made at the same time, once their labels are in."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import httpx
from pydantic import BaseModel, Field, ValidationError

from kontinual.errors import MetricsUnavailable
from kontinual.rollout.analysis import SCORE_CLIP
from kontinual.rollout.sequential import Sample

__all__ = ["CollectorOutcomes"]

TIMEOUT_SECONDS = 10.0
LABELLED_SHARE = 0.9  # the rest may be slow for a reason, but weighs little


class _Version(BaseModel):
    version: str
    labelled: int = Field(ge=0)
    log_loss_sum: float = Field(ge=0)
    log_loss_squares: float = Field(ge=0)


class _Cohort(BaseModel):
    outcomes: list[_Version]


class CollectorOutcomes:
    """Asks a collector. See `Outcomes` for the promises."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """Ask a collector.

        Args:
            url: its base URL.
            transport: to ask through; by default one that does not retry, as the next look does.
        """
        self._url = f"{url.rstrip('/')}/api/v1/outcomes"
        self._transport = transport

    def read(
        self, versions: Sequence[str], *, since: datetime, until: datetime
    ) -> Mapping[str, Sample]:
        """Log losses by version.

        Raises:
            MetricsUnavailable: the collector does not answer, or not with outcomes.
        """
        params: dict[str, str | float | list[str]] = {
            "version": list(versions),
            "since": since.isoformat(),
            "until": until.isoformat(),
            "labelled": LABELLED_SHARE,
            "clip": SCORE_CLIP,
        }
        try:
            with self._client() as client:
                answer = client.get(self._url, params=params)
            if answer.is_error:
                raise MetricsUnavailable(self._trouble(f"{answer.status_code} {answer.text}"))
            found = _Cohort.model_validate_json(answer.content)
        except (httpx.HTTPError, ValidationError) as exc:
            raise MetricsUnavailable(self._trouble(str(exc))) from exc
        return {
            o.version: Sample(o.labelled, o.log_loss_sum, o.log_loss_squares)
            for o in found.outcomes
        }

    def _client(self) -> httpx.Client:
        # The collector is the loop's own: a proxy for the world outside would not know it.
        return httpx.Client(timeout=TIMEOUT_SECONDS, transport=self._transport, trust_env=False)

    def _trouble(self, what: str) -> str:
        return f"{self._url}: the collector could not be asked for labels: {what[:200]}"
