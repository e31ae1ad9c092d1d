"""Evaluation: is the challenger fit to replace the champion, and why?"""

from kontinual.evaluation.bootstrap import RESAMPLES, Improvement, improvements
from kontinual.evaluation.evaluate import evaluate
from kontinual.evaluation.gates import judge, judge_first, summary
from kontinual.evaluation.records import CalibrationBin, Comparison, Evaluation, Finding, Roc
from kontinual.evaluation.report import evaluation_html

__all__ = [
    "RESAMPLES",
    "CalibrationBin",
    "Comparison",
    "Evaluation",
    "Finding",
    "Improvement",
    "Roc",
    "evaluate",
    "evaluation_html",
    "improvements",
    "judge",
    "judge_first",
    "summary",
]
