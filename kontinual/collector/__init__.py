"""The collector: predictions and late labels in, labelled examples and counters out."""

from kontinual.collector.app import create_app
from kontinual.collector.cohort import COHORT_LIMIT, cohort
from kontinual.collector.events import InvalidItems, ItemProblem, PredictionReader
from kontinual.collector.examples import EXAMPLES_LIMIT, examples_schema, examples_table
from kontinual.collector.outcomes import OutcomeCounters
from kontinual.collector.records import (
    Answered,
    Cohort,
    Example,
    Ingested,
    Labelled,
    Matured,
    Prediction,
    Pruned,
    StoreCounts,
    VersionOutcomes,
)
from kontinual.collector.store import Forgotten, Store

__all__ = [
    "COHORT_LIMIT",
    "EXAMPLES_LIMIT",
    "Answered",
    "Cohort",
    "Example",
    "Forgotten",
    "Ingested",
    "InvalidItems",
    "ItemProblem",
    "Labelled",
    "Matured",
    "OutcomeCounters",
    "Prediction",
    "PredictionReader",
    "Pruned",
    "Store",
    "StoreCounts",
    "VersionOutcomes",
    "cohort",
    "create_app",
    "examples_schema",
    "examples_table",
]
