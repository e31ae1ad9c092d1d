"""What differs between KServe's two ways to run a predictor."""

from typing import Protocol

from kontinual.rollout.kserve.api import Json

__all__ = ["Mode"]


class Mode(Protocol):
    """Reads and writes one InferenceService; `found` is what was just read of it."""

    def versions(self, found: Json) -> set[str]:
        """The versions that are deployed, whether ready or not."""

    def add(self, version: str, storage_uri: str) -> None:
        """Deploy a version without traffic; returns before it is ready."""

    def missing(self, found: Json, version: str) -> str | None:
        """What a deployed version lacks to be ready; None when it is.

        Raises:
            GatewayError: it will never be ready.
        """

    def unrouted(self, found: Json, version: str) -> str | None:
        """Why traffic can not be sent to a version that is ready; None when it can.

        Raises:
            GatewayError: this cluster can not split traffic at all.
        """

    def shift(self, weights: dict[str, int]) -> None:
        """Ask for weights of sum 100 for deployed versions; returns before they are in force."""

    def weights(self, found: Json) -> dict[str, int]:
        """The percents in force, versions without traffic left out.

        Raises:
            GatewayError: they can not be known.
        """

    def remove(self, version: str) -> None:
        """Ask to stop a version without traffic; was it the stable one, the canary becomes it.

        Raises:
            GatewayError: it is the stable one, and no canary has all the traffic.
        """

    def unsettled(self, found: Json) -> str | None:
        """What a removal still waits for, having done what can be done now; None at its end."""
