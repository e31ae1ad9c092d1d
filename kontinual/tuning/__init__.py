"""Tuning: which algorithm with which parameters, found on the newest training rows."""

from kontinual.tuning.html import trials_html
from kontinual.tuning.progress import tuning_bar
from kontinual.tuning.result import TuningResult
from kontinual.tuning.search import search
from kontinual.tuning.searchers import GridSearcher, OptunaSearcher, Searcher, make_searcher
from kontinual.tuning.space import Space, Suggestion
from kontinual.tuning.tune import Progress, TrialStore, tune

__all__ = [
    "GridSearcher",
    "OptunaSearcher",
    "Progress",
    "Searcher",
    "Space",
    "Suggestion",
    "TrialStore",
    "TuningResult",
    "make_searcher",
    "search",
    "trials_html",
    "tune",
    "tuning_bar",
]
