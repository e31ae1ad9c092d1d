"""The laptop stack's gateway: Envoy before predictors that supervisord keeps."""

from kontinual.local.predictors import SupervisedPredictors
from kontinual.rollout import EnvoyGateway, Gateway
from kontinual.settings import Settings

__all__ = ["open_gateway"]


def open_gateway(settings: Settings) -> Gateway:
    """The gateway that the settings name, ready to be asked and told."""
    return EnvoyGateway.of(settings, SupervisedPredictors(settings))
