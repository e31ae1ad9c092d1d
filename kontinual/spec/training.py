"""Trainers, their search spaces and the budget of the search."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kontinual.spec.base import PositiveDuration, Strict
from kontinual.spec.beam import Beam
from kontinual.spec.katib import Katib

__all__ = [
    "CategoricalParameter",
    "DiscreteParameter",
    "DoubleParameter",
    "IntParameter",
    "Metric",
    "Parameter",
    "Trainer",
    "Training",
    "Tuning",
    "Validation",
]

Metric = Literal["roc_auc", "log_loss", "brier"]
Scalar = bool | int | float | str


class _Interval(Strict):
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _bounds(self) -> "_Interval":
        low, high = self.min, self.max  # type: ignore[attr-defined]
        if not low <= high:
            raise ValueError(f"`min <= max` must hold, but got (min={low}, max={high})")
        if self.scale == "log" and low <= 0:
            raise ValueError(f"a log scale needs min > 0, but got min={low}")
        return self


class DoubleParameter(_Interval):
    """A real number between min and max."""

    type: Literal["double"]
    min: float
    max: float


class IntParameter(_Interval):
    """A whole number between min and max, both included."""

    type: Literal["int"]
    min: int
    max: int


class DiscreteParameter(Strict):
    """One of a list of numbers."""

    type: Literal["discrete"]
    values: list[int | float] = Field(min_length=1)


class CategoricalParameter(Strict):
    """One of a list of names."""

    type: Literal["categorical"]
    values: list[str] = Field(min_length=1)


Parameter = Annotated[
    DoubleParameter | IntParameter | DiscreteParameter | CategoricalParameter,
    Field(discriminator="type"),
]


ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$", description="an identifier")]


class Trainer(Strict):
    """One algorithm with its own search space; its parameters exist only when it is chosen."""

    algorithm: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$|^[A-Za-z_][\w.]*:[A-Za-z_]\w*$",
        description="a built-in name, or package.module:Class",
    )
    image: str | None = Field(default=None, description="image that holds a class of your own")
    search: dict[ParameterName, Parameter] = Field(default_factory=dict)
    fixed: dict[str, Scalar] = Field(default_factory=dict, description="parameters not searched")

    @model_validator(mode="after")
    def _disjoint(self) -> "Trainer":
        both = sorted(self.search.keys() & self.fixed.keys())
        if both:
            raise ValueError(f"a parameter is searched or fixed, but {both} stand in both")
        return self


class Tuning(Strict):
    """The budget of the search."""

    trials: int = Field(default=16, ge=1, le=10_000)
    parallel: int = Field(default=2, ge=1, le=1_000)
    timeout: PositiveDuration = Field(default="1h", validate_default=True)
    algorithm: Literal["random", "tpe", "multivariate-tpe", "grid", "cmaes", "sobol"] = "tpe"
    seed: int = Field(default=0, ge=0)
    katib: Katib = Katib()


class Training(Strict):
    """What is searched, and by which metric the best is known."""

    metric: Metric = "log_loss"
    trainers: list[Trainer] = Field(min_length=1)
    tuning: Tuning = Tuning()

    @model_validator(mode="after")
    def _unique(self) -> "Training":
        names = [t.algorithm for t in self.trainers]
        if len(set(names)) != len(names):
            raise ValueError(f"each algorithm stands once among the trainers, but got {names}")
        return self

    def trainer(self, algorithm: str) -> Trainer:
        """The trainer of this algorithm; KeyError when the loop has none."""
        for trainer in self.trainers:
            if trainer.algorithm == algorithm:
                return trainer
        raise KeyError(algorithm)

    def complete(self, algorithm: str, searched: dict[str, Any]) -> dict[str, Any]:
        """All parameters of a trial: the fixed ones with the searched ones over them."""
        return {**self.trainer(algorithm).fixed, **searched}


class Validation(Strict):
    """When data is refused. Distances are TFDV's.

    L-infinity for categories, Jensen-Shannon divergence for numbers.
    """

    max_drift: float = Field(default=0.3, gt=0, le=1, description="to the previous accepted span")
    max_skew: float = Field(default=0.3, gt=0, le=1, description="of training to serving data")
    max_null_rise: float = Field(default=0.1, gt=0, le=1, description="share of nulls, over before")
    max_unseen: float = Field(default=0.02, ge=0, le=1, description="share of unseen categories")
    max_out_of_range: float = Field(default=0.01, ge=0, le=1)
    min_rows: int = Field(default=200, ge=1)
    max_drift_by_feature: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default_factory=dict, description="limits for features that move by nature, such as a date"
    )
    beam: Beam = Beam()
