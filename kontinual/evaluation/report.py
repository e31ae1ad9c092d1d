"""The evaluation as a self-contained HTML page: verdict first, then pictures, then every figure."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kontinual.evaluation.plots import calibration_svg, forest_svg, roc_svg
from kontinual.evaluation.records import Evaluation
from kontinual.spec import Metric

__all__ = ["evaluation_html"]

_TITLES: dict[Metric, str] = {
    "log_loss": "Log loss",
    "roc_auc": "ROC AUC",
    "brier": "Brier score",
}
_ORDER = ["blocked", "passed", "not judged"]


def evaluation_html(evaluation: Evaluation) -> str:
    """One page with nothing outside it."""
    environment = Environment(
        loader=PackageLoader("kontinual.evaluation", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        figures=[c for c in evaluation.comparisons if c.on == "new"],
        findings=sorted(evaluation.findings, key=lambda f: _ORDER.index(f.verdict)),
        titles=_TITLES,
        roc=Markup(roc_svg(evaluation)),  # noqa: S704  drawn by matplotlib, which escapes text
        calibration=Markup(calibration_svg(evaluation)),  # noqa: S704
        forests=[_forest(evaluation, metric) for metric in _drawn(evaluation)],
    )
    return page


def _drawn(evaluation: Evaluation) -> list[Metric]:
    """The metrics that speak of more than the new holdout."""
    return [m for m in _TITLES if any(c.metric == m and c.on != "new" for c in _shown(evaluation))]


def _shown(evaluation: Evaluation) -> list[Any]:
    return [c for c in evaluation.comparisons if c.low is not None]


def _forest(evaluation: Evaluation, metric: Metric) -> dict[str, Any]:
    limits: dict[str, float] = {}
    for finding in evaluation.findings:
        if finding.gate.metric == metric and finding.gate.max_regression is not None:
            limits[finding.gate.on] = finding.gate.max_regression
    mine = [c for c in evaluation.comparisons if c.metric == metric]
    svg = Markup(forest_svg(mine, limits=limits))  # noqa: S704
    return {"title": _TITLES[metric], "svg": svg}
