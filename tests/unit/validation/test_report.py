"""The report says the verdict first, and needs nothing beside it."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from kontinual.lake import SpanManifest, Verdict
from kontinual.validation import Check, SchemaVersion
from kontinual.validation.charts import limit_bar, shares
from kontinual.validation.distances import Distance
from kontinual.validation.report import ReportFacts, report_html

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def manifest(number):
    return SpanManifest(
        number=number, rows=1000, start=NOW, end=NOW, schema_fingerprint="f", digest="d" * 64,
        columns={}, source="collector", created_at=NOW,
    )  # fmt: skip


@pytest.fixture
def page(loop, expected, visits, seen):
    def render(frame=None, previous=None, **changes):
        facts = {
            "loop": loop,
            "manifest": manifest(2),
            "schema_version": SchemaVersion(
                version=1, by="inferred", reason="first", tfdv_version="1.21.0", at=NOW
            ),
            "verdict": Verdict(span=2, accepted=True, at=NOW, tfdv_version="1.21.0"),
            "previous": manifest(1),
            "found": [],
            "notes": [],
            "distances": [],
            "anomalies": [],
            "tfdv_version": "1.21.0",
        }
        frame = visits() if frame is None else frame
        return report_html(
            ReportFacts(**{**facts, **changes}), seen(frame), seen(previous), expected=expected
        )

    return render


def rejected(*reasons):
    return Verdict(span=2, accepted=False, reasons=list(reasons), at=NOW)


def test_infinite_values_are_shown_as_they_are(page, visits):
    frame = visits()
    frame.loc[[3, 4], "weight"] = np.inf
    assert f"{frame['weight'].min():g} … inf<br>" in page(frame)


def test_the_verdict_stands_first_in_a_sentence(page):
    assert "Span 2 of shop: accepted" in page()
    html = page(verdict=rejected("`weight`: too heavy", "`pages`: too many"))
    assert "may not learn from this span, for 2 reasons: <code>weight</code>: too heavy" in html
    assert html.index("rejected") < html.index("<dl>")


def test_refused_features_are_marked_in_the_table(page):
    html = page(verdict=rejected("`weight`: too heavy"))
    assert html.count('<tr class="refused">') == 1
    assert '<tr class="refused"><th scope="row"><code>weight</code>' in html


def test_tfdvs_version_rows_and_the_span_before_are_told(page):
    html = page()
    assert "<dt>TFDV</dt><dd>1.21.0</dd>" in html
    assert "1,000 from collector" in html
    assert "span 1, 1,000 rows" in html


def test_text_of_others_can_not_become_markup(page, visits):
    frame = visits().assign(country="<script>alert(1)</script>")
    html = page(frame, verdict=rejected("`country`: above all '<script>'"))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_missing_or_empty_column_has_its_row(page, visits):
    html = page(visits().drop(columns="pages").assign(outside=np.nan), visits(seed=1))
    assert '<td colspan="4">missing</td>' in html
    assert "100 %<br><small>before 0 %" in html


def test_a_distance_is_a_bar_up_to_its_limit_and_skew_a_column_of_its_own(page):
    def far(check, value, limit):
        return Distance(check=check, feature="weight", measure="d", value=value, limit=limit)

    drift, skew = far(Check.DRIFT, 0.5, 0.3), far(Check.SKEW, 0.1, 1.0)
    html = page(distances=[drift, skew])
    assert "0.500 of 0.300" in html
    assert "0.100 (no limit)" in html
    assert '<th scope="col">Skew</th>' in html
    assert '<th scope="col">Skew</th>' not in page(distances=[drift])
    assert 'class="over"' in limit_bar(0.5, 0.3)
    assert 'class="under"' in limit_bar(0.2, 0.3)


def test_all_that_tfdv_said_is_shown(page):
    html = page(anomalies=[("weight", "FLOAT_TYPE_BIG_FLOAT", "too <big>")])
    assert "FLOAT_TYPE_BIG_FLOAT</td><td>too &lt;big&gt;" in html


@pytest.mark.parametrize("dtype", [float, "Int64", object])
def test_shares_of_both_spans_stand_in_common_bins(dtype):
    now, before = (pd.Series(v, dtype=dtype) for v in ([1, 1, 2, 3], [3, 4]))
    later, earlier = shares(now, before)
    assert earlier is not None
    assert len(later) == len(earlier)
    assert later.sum() == pytest.approx(1)
    assert earlier.sum() == pytest.approx(1)
