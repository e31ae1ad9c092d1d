"""The page of a search, and its bar."""

import io
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from rich.console import Console

from kontinual.tracking import TrialRecord
from kontinual.tuning import TuningResult, trials_html, tuning_bar

MakeTrial = Callable[..., TrialRecord]
_VOID = {"meta", "line", "polyline"}


class _Tree(HTMLParser):
    """Fails on elements that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in _VOID or self.open.pop() == tag


@pytest.fixture
def result(make_trial: MakeTrial) -> TuningResult:
    trials = [
        make_trial(0, 0.52),
        make_trial(1, None, error="<b>boom</b> & gone", algorithm="hist_gradient_boosting"),
        make_trial(2, 0.48, algorithm="hist_gradient_boosting", parameters={"max_iter": 90}),
        make_trial(3, 0.50),
    ]
    return TuningResult(metric="log_loss", best=trials[2], trials=trials)


def test_the_best_stands_first_and_the_failed_last(result: TuningResult) -> None:
    rows = re.findall(r"<tr class='(\w+)'><td class='n'>(\d)</td>", trials_html(result))
    assert rows == [("best", "2"), ("complete", "3"), ("complete", "0"), ("failed", "1")]


def test_the_best_by_auc_is_the_greatest(make_trial: MakeTrial) -> None:
    trials = [make_trial(0, 0.6), make_trial(1, 0.2), make_trial(2, 0.4)]
    page = trials_html(TuningResult(metric="roc_auc", best=trials[1], trials=trials))
    assert re.findall(r"<tr class='\w+'><td class='n'>(\d)</td>", page) == ["1", "2", "0"]


def test_every_complete_trial_has_a_dot(result: TuningResult) -> None:
    page = trials_html(result)
    assert re.findall(r"<title>trial (\d): ([\d.]+)</title>", page) == [
        ("0", "0.52000"),
        ("2", "0.48000"),
        ("3", "0.50000"),
    ]
    assert "1 of 4" not in page
    assert "3 of 4 trials complete" in page


def test_the_page_is_well_formed_and_needs_nothing_from_outside(result: TuningResult) -> None:
    page = trials_html(result)
    tree = _Tree()
    tree.feed(page)
    assert tree.open == []
    assert not re.search(r"https?://|src=|@import|<script", page)


def test_what_a_trial_says_is_text_and_not_markup(result: TuningResult) -> None:
    page = trials_html(result)
    assert "&lt;b&gt;boom&lt;/b&gt; &amp; gone" in page
    assert "<b>boom" not in page


def test_a_search_of_one_trial_has_a_picture_too(make_trial: MakeTrial) -> None:
    only = make_trial(0, 0.5)
    page = trials_html(TuningResult(metric="log_loss", best=only, trials=[only]))
    assert page.count("<circle") == 1
    assert "nan" not in page


def test_the_bar_shows_how_many_are_done_and_the_best_so_far(result: TuningResult) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=120, force_terminal=True)
    with tuning_bar("log_loss", console=console) as update:
        for done, trial in enumerate(result.trials, start=1):
            update(done, len(result.trials), trial)
    last = screen.getvalue()
    assert "4/4" in last
    assert "best log_loss 0.4800, hist_gradient_boosting" in last
