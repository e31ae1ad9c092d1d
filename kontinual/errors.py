"""The errors of Kontinual, all derived from one base.

KontinualError
├── SpecError            the declaration (loop.yaml) or a setting is wrong
├── LakeError            a span, manifest or the store behind it is unusable
├── DataRejected         data failed validation; nothing may be trained on it
├── TrainingError        no trial, or no faithful export, could be had
├── ModelPackageError    a model package is damaged or does not fit the loop
├── PromotionConflict    the champion is not the one that was expected
├── GatewayError         traffic could not be shifted, or its state is unknown
├── MetricsUnavailable   Prometheus or the collector could not be asked (not: there is no data)
├── LedgerError          an entry could not be written or the chain is broken
├── ServiceError         a process of the local stack did not come up or died
├── ClusterError         an API of the cluster refused, or did not answer
└── TrackingError        the registry of trials and versions could not be used
"""

from kontinual.masking import masked

__all__ = [
    "ClusterError",
    "DataRejected",
    "GatewayError",
    "KontinualError",
    "LakeError",
    "LedgerError",
    "MetricsUnavailable",
    "ModelPackageError",
    "PromotionConflict",
    "ServiceError",
    "SpecError",
    "TrackingError",
    "TrainingError",
]


class KontinualError(Exception):
    """What went wrong, in a sentence that names the thing and the next action.

    Passwords in URLs are masked: errors become reasons, which are kept for good.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(masked(arg) if isinstance(arg, str) else arg for arg in args))


class SpecError(KontinualError):
    """The declaration, or a setting, is wrong."""


class LakeError(KontinualError):
    """A span, a manifest or the store behind it is unusable."""


class DataRejected(KontinualError):
    """Data failed validation; nothing may be trained on it."""


class TrainingError(KontinualError):
    """No trial succeeded, or the exported model does not match the trained one."""


class ModelPackageError(KontinualError):
    """A model package is damaged or does not fit the loop."""


class PromotionConflict(KontinualError):
    """The champion is not the one that was expected."""


class GatewayError(KontinualError):
    """Traffic could not be shifted, or its present state is unknown."""


class MetricsUnavailable(KontinualError):
    """Prometheus, or the collector, could not be asked. Distinct from an answer without data."""


class LedgerError(KontinualError):
    """A ledger entry could not be written, or the chain is broken."""


class ServiceError(KontinualError):
    """A process of the local stack did not come up, or died."""


class ClusterError(KontinualError):
    """An API of the cluster (Kubernetes, Kubeflow Pipelines) refused, or did not answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        """Tell what was wanted and what came back.

        Args:
            message: for a person.
            status: the HTTP status of the refusal; 0 without an answer.
        """
        super().__init__(message)
        self.status = status


class TrackingError(KontinualError):
    """The registry of trials and versions could not be used, or lacks what was asked for."""
