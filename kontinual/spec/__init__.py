"""The declaration of a loop, and the contracts between its stations. Nothing here acts."""

from kontinual.spec.base import Duration, format_duration, parse_duration
from kontinual.spec.data import (
    YEARS,
    CategoryFeature,
    Data,
    Feature,
    History,
    IntegerFeature,
    Label,
    NumberFeature,
)
from kontinual.spec.decide import (
    Action,
    Alert,
    AlertKind,
    Approval,
    Gate,
    Monitoring,
    Rollout,
    RolloutChecks,
    TriggerPolicy,
)
from kontinual.spec.events import (
    MAX_ALERTS,
    PREDICTION_EVENT,
    PREDICTIONS_EVENT,
    Feedback,
    LabelRecord,
    PredictionBatch,
    PredictionData,
    utc_text,
)
from kontinual.spec.load import InvalidLoop, Problem, load_loop, parse_loop
from kontinual.spec.loop import API_VERSION, LOOP_LABEL, Loop
from kontinual.spec.metrics import LOW_CONFIDENCE, SCORE_BINS
from kontinual.spec.moments import moment_of
from kontinual.spec.records import Outcome, RolloutStep, RunRecord
from kontinual.spec.schedule import Schedule
from kontinual.spec.serving import Serving
from kontinual.spec.training import (
    CategoricalParameter,
    DiscreteParameter,
    DoubleParameter,
    IntParameter,
    Metric,
    Parameter,
    Trainer,
    Training,
    Tuning,
    Validation,
)

__all__ = [
    "API_VERSION",
    "LOOP_LABEL",
    "LOW_CONFIDENCE",
    "MAX_ALERTS",
    "PREDICTIONS_EVENT",
    "PREDICTION_EVENT",
    "SCORE_BINS",
    "YEARS",
    "Action",
    "Alert",
    "AlertKind",
    "Approval",
    "CategoricalParameter",
    "CategoryFeature",
    "Data",
    "DiscreteParameter",
    "DoubleParameter",
    "Duration",
    "Feature",
    "Feedback",
    "Gate",
    "History",
    "IntParameter",
    "IntegerFeature",
    "InvalidLoop",
    "Label",
    "LabelRecord",
    "Loop",
    "Metric",
    "Monitoring",
    "NumberFeature",
    "Outcome",
    "Parameter",
    "PredictionBatch",
    "PredictionData",
    "Problem",
    "Rollout",
    "RolloutChecks",
    "RolloutStep",
    "RunRecord",
    "Schedule",
    "Serving",
    "Trainer",
    "Training",
    "TriggerPolicy",
    "Tuning",
    "Validation",
    "format_duration",
    "load_loop",
    "moment_of",
    "parse_duration",
    "parse_loop",
    "utc_text",
]
