"""The demo's report: one contract for programs, one page for people. All numbers are invented."""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from pydantic import ValidationError

from kontinual.local.demo.report import DemoReport, Series, render_report

START = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
NOTHING = Series(quality=[], weights=[], drift=[])
VOID = {"meta", "br", "rect", "path", "use", "image", "stop"}


@pytest.fixture
def invented() -> dict:
    """A report as `report.json` holds it."""
    months = [
        {
            "month": m,
            "rows": 1500,
            "champion": {"version": "1" if m < 6 else "2", "auc": 0.66 + m / 500, "log_loss": 0.49},
            "frozen": {"auc": 0.66 - m / 200, "log_loss": 0.52},
        }
        for m in range(3, 8)
    ]
    return {
        "loop": "flights",
        "seed": 1,
        "seconds": 431.5,
        "setup_seconds": 12.0,
        "months": months,
        "overall": {
            "champion": {"auc": 0.671, "log_loss": 0.49},
            "frozen": {"auc": 0.635, "log_loss": 0.52},
        },
        "triggers": [
            {
                "id": "0",
                "source": "manual",
                "alert": None,
                "received_at": START.isoformat(),
                "decision": "accept",
                "reason": "asked for by a person, past the policy",
                "run": "flights-first",
            },
            {
                "id": "1",
                "source": "alertmanager",
                "alert": "KontinualQualityDecay",
                "received_at": (START + timedelta(minutes=2)).isoformat(),
                "decision": "accept",
                "reason": "the alert is still true and 1712 new labels are in",
                "run": "flights-20260504t090200-1",
            },
            {
                "id": "2",
                "source": "alertmanager",
                "alert": "KontinualFeatureDrift",
                "received_at": (START + timedelta(minutes=3)).isoformat(),
                "decision": "suppress",
                "reason": "a run is in progress <b>already</b>",
                "run": None,
            },
        ],
        "runs": [
            {
                "id": "flights-first",
                "trigger": "0",
                "outcome": "promoted",
                "reason": "version 1 is the first champion",
                "seconds": 17.3,
                "version": "1",
                "steps": [{"weight": 100, "verdict": "passed", "requests": 0}],
            },
            {
                "id": "flights-20260504t090200-1",
                "trigger": "1",
                "outcome": "promoted",
                "reason": "all steps passed",
                "seconds": 71.2,
                "version": "2",
                "steps": [
                    {"weight": 5, "verdict": "passed", "requests": 61},
                    {"weight": 100, "verdict": "passed", "requests": 1},
                ],
            },
            {
                "id": "flights-20260504t090600-2",
                "trigger": "1",
                "outcome": "rejected_data",
                "reason": "`temp`: its unit seems to have changed",
                "seconds": 21.0,
                "version": None,
                "steps": [],
            },
        ],
    }


@pytest.fixture
def series() -> Series:
    def at(minutes: float) -> str:
        return (START + timedelta(minutes=minutes)).isoformat()

    first, second = "flights-20260504t090200-1", "flights-20260504t090600-2"
    weights = [(3, first, 5), (3.5, first, 50), (4, first, 100), (5, second, 5), (6, second, 0)]
    moved = {"temp": 0.05, "dewp": 0.03, "hour": 0.001, "day_of_year": 0.033}
    return Series.model_validate(
        {
            "quality": [
                {
                    "time": (datetime(2013, 3, 1, tzinfo=UTC) + timedelta(days=8 * i)).isoformat(),
                    "champion_auc": 0.67 + 0.01 * math.sin(i) + (0.02 if i > 8 else 0),
                    "frozen_auc": 0.67 + 0.01 * math.sin(i) - 0.003 * i,
                    "version": "1" if i <= 8 else "2",
                }
                for i in range(18)
            ],
            "weights": [{"time": at(t), "run": r, "weight": w} for t, r, w in weights],
            "drift": [
                {"time": at(0.25 * i), "feature": name, "psi": speed * i}
                for i in range(28)
                for name, speed in moved.items()
            ],
        }
    )


class Page(HTMLParser):
    """Text, ids and balance of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.ids += [named["id"]] if "id" in named else []
        self.labels += [named["aria-label"]] if "aria-label" in named else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_data(self, data):
        self.text += data


def test_the_report_has_exactly_the_published_keys(invented):
    assert json.loads(DemoReport.model_validate(invented).model_dump_json()) == invented


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        (("months", 0, "rows"), "many", "valid integer"),
        (("triggers", 0, "decision"), "maybe", "'accept', 'suppress' or 'hold'"),
        (("runs", 0, "outcome"), "fine", "'promoted', 'rejected_data'"),
        (("runs", 0, "steps", 0, "verdict"), "fine", "'passed', 'failed' or 'inconclusive'"),
        (("extra",), 1, "Extra inputs are not permitted"),
    ],
)
def test_a_report_of_another_shape_is_refused(invented, path, value, complaint):
    node = invented
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    with pytest.raises(ValidationError, match=complaint):
        DemoReport.model_validate(invented)


def test_the_page_says_what_happened_in_words(invented, series):
    page = Page(render_report(DemoReport.model_validate(invented), series))
    assert "The champion was replaced 1 time in 2 retrainings" in page.text
    assert "ROC AUC is 0.671, 0.036 above the 0.635 of a frozen copy" in page.text
    assert "data refused" in page.text
    assert "5 % passed (61 requests)" in page.text
    assert "a run is in progress <b>already</b>" in page.text  # escaped, so it is text
    assert "+0.035" in page.text
    assert page.open == []


def test_a_reader_meets_the_triggers_that_started_runs_first_and_can_open_the_others(
    invented, series
):
    html = render_report(DemoReport.model_validate(invented), series)
    shown, folded = html.split("<details>")
    folded, _ = folded.split("</details>")
    assert "1712 new labels are in" in shown
    assert "a run is in progress" not in shown
    assert "1 trigger that started no run, and why" in folded
    assert "a run is in progress" in folded


def test_a_champion_behind_over_all_rows_is_still_said_to_be_ahead_in_its_months(invented, series):
    invented["overall"]["champion"]["auc"] = 0.6
    page = Page(render_report(DemoReport.model_validate(invented), series))
    assert "0.035 below the 0.635 of a frozen copy of the first model" in page.text
    assert "Month by month it is ahead in 5 of 5." in page.text
    assert "ranks the rows of all months together" in page.text


def test_each_plot_tells_those_who_can_not_see_it_what_it_shows(invented, series):
    page = Page(render_report(DemoReport.model_validate(invented), series))
    quality, weights, drift = page.labels
    assert "Taking over: version 2 on 12 May." in quality
    assert "version 2 5 % → 50 % → 100 %; version ? 5 % → 0 %" in weights
    assert "temp 1.35, day_of_year 0.89, dewp 0.81" in drift
    assert "Alerts: KontinualFeatureDrift, KontinualQualityDecay." in drift


def test_the_page_needs_nothing_beside_it_and_ids_are_unique(invented, series):
    html = render_report(DemoReport.model_validate(invented), series)
    addresses = set(re.findall(r'(?:src|href)="([^"]{8})', html))
    assert {a for a in addresses if not a.startswith(("#", "data:ima"))} == set()
    assert "<script" not in html
    ids = Page(html).ids
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', html))
    assert used <= set(ids)


def test_the_same_report_gives_the_same_page(invented, series):
    report = DemoReport.model_validate(invented)
    assert render_report(report, series) == render_report(report, series)


def test_a_demo_in_which_nothing_happened_still_has_a_page(invented):
    quiet = {**invented, "months": [], "triggers": [], "runs": []}
    quiet["overall"] = {k: {"auc": None, "log_loss": None} for k in ("champion", "frozen")}
    page = Page(render_report(DemoReport.model_validate(quiet), NOTHING))
    assert "too few labels came back" in page.text
    assert "None started a run." in page.text
    assert page.labels == []


def test_a_champion_that_did_worse_is_said_plainly(invented, series):
    invented["overall"]["champion"]["auc"] = 0.6
    page = Page(render_report(DemoReport.model_validate(invented), series))
    assert "0.035 below the 0.635" in page.text


def test_one_look_at_drift_is_enough_to_draw_it(invented, series):
    one = series.model_copy(update={"drift": series.drift[:1]})
    page = Page(render_report(DemoReport.model_validate(invented), one))
    assert len(page.labels) == 3
