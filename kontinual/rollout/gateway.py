"""What a rollout needs of the world: a gateway, the registry, counters and labels.

Every method may be called again after a crash, so each is idempotent: asking
for what is already so does nothing and succeeds.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from kontinual.errors import GatewayError
from kontinual.rollout.counts import Counts
from kontinual.rollout.sequential import Sample

__all__ = ["Gateway", "Metrics", "Outcomes", "Predictors", "Registry", "check_weights"]


class Gateway(Protocol):
    """Who splits the traffic. One at a time calls it: a rollout holds a lock."""

    def deploy(self, version: str, package: Path) -> None:
        """Start a predictor of this version, without traffic, and wait until it is ready.

        Raises:
            GatewayError: it did not become ready; nothing else has changed.
        """

    def shift(self, weights: dict[str, int]) -> None:
        """Give each version its percent of the traffic; return when that is in force.

        Args:
            weights: of sum 100, for deployed versions; empty refuses all traffic.

        Raises:
            GatewayError: a version is not deployed, the sum is not 100, or it is not in force.
        """

    def retire(self, version: str) -> None:
        """Stop a version's predictor, after its last requests are answered.

        Raises:
            GatewayError: it still has traffic, or does not stop.
        """

    def weights(self) -> dict[str, int]:
        """What is in force now, versions without traffic left out.

        Raises:
            GatewayError: it can not be known.
        """


class Predictors(Protocol):
    """Starts and stops predictors; the part of a gateway that is no gateway's business."""

    def start(self, version: str, package: Path) -> int:
        """Start one, wait until it is ready, and return its port; if it runs, just that."""

    def stop(self, version: str) -> None:
        """Stop one; nothing if it does not run."""

    def running(self) -> dict[str, int]:
        """The port of each version that runs."""


class Registry(Protocol):
    """Who is champion."""

    def champion(self) -> str | None:
        """The champion's version, or None before the first one."""

    def set_champion(self, version: str, *, expected: str | None) -> None:
        """Make a version champion, if the champion is the expected one.

        Raises:
            PromotionConflict: it is another.
        """

    def package(self, version: str) -> Path:
        """The folder of a version's model package."""


class Metrics(Protocol):
    """Where counters are read."""

    def read(self, versions: Sequence[str]) -> Mapping[str, Counts]:
        """The present values of each version's counters; a version without any has none.

        Raises:
            MetricsUnavailable: they could not be asked for. That is not "no data".
        """


class Outcomes(Protocol):
    """Where predictions meet their labels."""

    def read(
        self, versions: Sequence[str], *, since: datetime, until: datetime
    ) -> Mapping[str, Sample]:
        """Log losses of each version's predictions that arrived in [since, until).

        Of these the longest beginning that has nearly all its labels, the same for all
        versions; a version without any has none. Scores are clipped to
        [SCORE_CLIP, 1 - SCORE_CLIP].

        Raises:
            MetricsUnavailable: they could not be asked for. That is not "no labels".
        """


def check_weights(weights: Mapping[str, int], deployed: Sequence[str]) -> None:
    """Refuse weights that no gateway should be given.

    Raises:
        GatewayError: with the rule that is broken and the values.
    """
    if weights and (sum(weights.values()) != 100 or min(weights.values()) < 0):
        raise GatewayError(f"weights are percents of sum 100, but got {dict(weights)}")
    missing = sorted(v for v, weight in weights.items() if weight and v not in deployed)
    if missing:
        raise GatewayError(
            f"traffic goes to deployed versions {sorted(deployed)} alone, "
            f"but {missing} should get some; deploy them first"
        )
