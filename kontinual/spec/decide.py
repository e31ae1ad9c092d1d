"""Gates, rollout, monitoring and trigger policy: everything with a threshold."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kontinual.spec.base import Duration, PositiveDuration, Share, Strict
from kontinual.spec.training import Metric

__all__ = [
    "Action",
    "Alert",
    "AlertKind",
    "Approval",
    "Gate",
    "Monitoring",
    "Rollout",
    "RolloutChecks",
    "TriggerPolicy",
]


class Gate(Strict):
    """How much worse (or how much better at least) a challenger may be than the champion.

    Differences count in the direction of "better": for `log_loss` and `brier`
    a fall is an improvement. Judged on the 95 % interval of a paired bootstrap
    over whole blocks of time (`data.holdout_block`):

    - `min_improvement`: the estimate of the improvement has to reach it.
    - `new` is the newest span's holdout, and that of the spans before it as far as it is of fewer
      than `min_rows` rows, or has either label in fewer than four blocks, because spans are short
      or small, a label is rare or chance held out few.
    - `max_regression` on `new`: the challenger has to prove itself, the whole
      interval lies above `-max_regression` (so 0 asks for a proven improvement).
    - `max_regression` on `old` and `slices`: these are many and small, so the
      regression has to be proven; the gate blocks when the whole interval lies
      below `-max_regression`.

    Fewer than `min_rows` rows, or rows of one block alone, block on `new`, for
    nothing was proven, and are only reported on `old` and `slices`. A few blocks
    prove little: with six the interval is 2.6 standard errors to either side.
    """

    metric: Metric
    on: Literal["new", "old", "slices"] = Field(
        description="holdout of the newest rows, of each older span and of all of these together, "
        "or of each named slice",
    )
    min_improvement: float | None = None
    max_regression: float | None = Field(default=None, ge=0)
    min_rows: int = Field(default=100, ge=2, description="fewer rows prove nothing")

    @model_validator(mode="after")
    def _any(self) -> "Gate":
        if self.min_improvement is None and self.max_regression is None:
            raise ValueError("a gate needs `min_improvement` or `max_regression`")
        return self


class RolloutChecks(Strict):
    """Limits for the canary against the stable version, both at the same time."""

    max_error_rate_rise: Share = Field(default=0.02, description="share of 5xx answers, absolute")
    max_p99_ratio: float = Field(default=2.0, gt=1, description="canary p99 latency / stable p99")
    max_mean_score_gap: Share = Field(
        default=0.15,
        description="mean predicted probability, beyond what the evaluation's rows have shown",
    )
    max_log_loss_rise: float = Field(
        default=0.05,
        gt=0,
        description="on predictions made in the same step, of which the collector has nine labels "
        "in ten; scores count as 0.01 to 0.99",
    )


class Rollout(Strict):
    """The plan by which a challenger takes over."""

    steps: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        default=[5, 25, 50, 100], min_length=1, description="percent of traffic, rising to 100"
    )
    min_requests: int = Field(default=50, ge=1, description="canary requests a step needs")
    step_duration: Duration = Field(
        default="10m", validate_default=True, description="the least time at a step"
    )
    step_timeout: Duration = Field(
        default="2h", validate_default=True, description="a step inconclusive so long rolls back"
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="chance of a false rollback over a whole rollout"
    )
    checks: RolloutChecks = RolloutChecks()

    @model_validator(mode="after")
    def _plan(self) -> "Rollout":
        if self.steps[-1] != 100 or sorted(set(self.steps)) != self.steps:
            raise ValueError(f"steps rise strictly and end at 100, but got {self.steps}")
        if self.step_timeout <= self.step_duration:
            raise ValueError("step_timeout must be longer than step_duration")
        return self


class Action(StrEnum):
    """What an alert asks for. The policy decides whether it happens."""

    RETRAIN = "retrain"
    ROLLBACK = "rollback"  # to the champion before, once
    NOTIFY = "notify"


class Approval(StrEnum):
    """Does a person have to agree before a run is started?"""

    NEVER = "never"
    ALWAYS = "always"


class AlertKind(StrEnum):
    """What can be watched.

    `threshold` means, in this order, for each:

    bias-corrected PSI of any feature that is not seasonal; bias-corrected PSI of the score; rise of
    the share of predictions under 0.6 confidence over the reference's; share of
    requests with an anomaly; fall of ROC AUC below the reference's; greatest
    gap between the groups of a slice of (mean score - share of positives);
    age of the champion in days; matured labelled rows since the last training;
    services that do not answer; seconds (of the wall clock) that the oldest trigger has
    waited to be looked at; runs that could not be started, and failures to read or write the
    ledger, each tried again.
    """

    FEATURE_DRIFT = "feature_drift"
    PREDICTION_DRIFT = "prediction_drift"
    LOW_CONFIDENCE = "low_confidence"
    INPUT_ANOMALIES = "input_anomalies"
    QUALITY_DECAY = "quality_decay"
    GROUP_BIAS = "group_bias"
    MODEL_AGE = "model_age"
    NEW_LABELS = "new_labels"
    SERVICE_DOWN = "service_down"
    TRIGGER_WAITING = "trigger_waiting"
    LAUNCH_FAILURES = "launch_failures"
    LEDGER_ERRORS = "ledger_errors"

    @property
    def alertname(self) -> str:
        """The Prometheus alert's name, such as `KontinualFeatureDrift`."""
        return "Kontinual" + self.value.title().replace("_", "")

    @property
    def series(self) -> str:
        """The recording rule of the quantity that is compared with the threshold.

        It carries `model` (and `version`, `feature`, `slice`, … where they apply), speaks of the
        champion alone, and is absent where its window holds too few rows.
        """
        return f"kontinual:{self.value}:value"

    @property
    def of_services(self) -> bool:
        """Does it speak of Kontinual's own services, and not of a model?"""
        return self in {
            *(AlertKind.SERVICE_DOWN, AlertKind.TRIGGER_WAITING),
            *(AlertKind.LAUNCH_FAILURES, AlertKind.LEDGER_ERRORS),
        }

    @property
    def shows_harm(self) -> bool:
        """Is the model itself hurt (labels say so), and not only its input moving?"""
        return self in {AlertKind.QUALITY_DECAY, AlertKind.GROUP_BIAS}


class Alert(Strict):
    """One alert: when it fires and what it asks for."""

    kind: AlertKind
    threshold: float = Field(ge=0)
    action: Action = Action.NOTIFY
    severity: Literal["info", "warning", "critical"] = "warning"
    window: PositiveDuration | None = Field(default=None, description="over the loop's window")
    hold: Duration = Field(
        default="0s", validate_default=True, alias="for", description="Prometheus' `for`"
    )
    min_rows: int | None = Field(default=None, ge=1, description="over the loop's min_rows")
    approval: Approval | None = Field(default=None, description="over the trigger's approval")


class Monitoring(Strict):
    """What is watched over which window."""

    window: PositiveDuration = Field(default="7d", validate_default=True)
    min_rows: int = Field(
        default=500, ge=1, description="no rule speaks of fewer rows in its window"
    )
    alerts: list[Alert] = Field(min_length=1)
    runbook_url: str = "https://kontinual.dev/runbook"

    @model_validator(mode="after")
    def _once(self) -> "Monitoring":
        kinds = [a.kind for a in self.alerts]
        twice = sorted({k.value for k in kinds if kinds.count(k) > 1})
        if twice:
            raise ValueError(f"each kind of alert stands once, but {twice} recur")
        return self

    def alert(self, kind: AlertKind) -> Alert | None:
        """The alert of this kind, or None when the loop does not watch it."""
        return next((a for a in self.alerts if a.kind is kind), None)

    def window_of(self, alert: Alert) -> Duration:
        return alert.window or self.window

    def min_rows_of(self, alert: Alert) -> int:
        return alert.min_rows or self.min_rows


class TriggerPolicy(Strict):
    """When a trigger may become a run."""

    min_new_labels: int = Field(default=1000, ge=0, description="matured rows since last training")
    cooldown: Duration = Field(default="1d", validate_default=True, description="after a run ended")
    daily_budget: int = Field(default=4, ge=1, description="runs started in any 24 hours")
    max_expected_loss_rise: float = Field(
        default=0.02,
        ge=0,
        description="without labels, drift counts as harm when the expected log loss rises so much",
    )
    max_failures: int = Field(
        default=3, ge=1, description="so many failed runs in a row open the circuit: no more runs"
    )
    circuit_reset: Duration = Field(
        default="1d",
        validate_default=True,
        description="an open circuit lets one run try again so long after the last failure",
    )
    approval: Approval = Field(
        default=Approval.NEVER, description="of a person, for what no person has asked for"
    )
    hold_timeout: PositiveDuration | None = Field(
        default=None,
        description="a trigger held so long is suppressed; default: two cooldowns, 7d at least",
    )
    run_timeout: PositiveDuration | None = Field(
        default=None,
        description="on the wall clock; a run that takes longer, or waits longer for its start, "
        "is stopped; "
        "default: what the rollout may take, and a day",
    )

    @property
    def longest_hold(self) -> timedelta:
        return self.hold_timeout or max(timedelta(days=7), 2 * self.cooldown)
