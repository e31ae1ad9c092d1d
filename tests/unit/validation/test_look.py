"""A look part by part sees what one look at all the rows sees."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.validation import look as module
from kontinual.validation import tally
from kontinual.validation.expectation import Expectation
from kontinual.validation.look import look
from kontinual.validation.tally import Tally

NUMBER = Expectation(name="x", type="number", low=-5, high=5)
INTEGER = Expectation(name="x", type="integer", low=0, high=9)
CATEGORY = Expectation(name="x", type="category", vocabulary=("a", "b"))

numbers = st.one_of(st.none(), st.floats(-10, 10), st.sampled_from([np.inf, -1e39]))
texts = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "d"]))


def tallied(parts, expectation):
    found = Tally(expectation)
    for part in parts:
        found.add(part)
    return vars(found)


def cut(values, size, dtype):
    return [pd.Series(values[i : i + size], dtype=dtype) for i in range(0, len(values), size)]


@given(st.lists(numbers, min_size=1), st.integers(1, 9))
def test_numbers_are_counted_in_parts_as_at_once(values, size):
    whole = pd.Series(values, dtype=float)
    found = tallied(cut(values, size, float), NUMBER)
    assert found == tallied([whole], NUMBER)
    present = whole.dropna()
    unfit = present.abs() > 1e30
    outside = present[((present < -5) | (present > 5)) & ~unfit]
    assert found["unfit"] == unfit.sum()
    assert found["nulls"] == whole.isna().sum()
    assert found["outside"] == len(outside)
    assert found["varied"] == (present.nunique() > 1)
    if len(outside):
        assert (found["outside_low"], found["outside_high"]) == (outside.min(), outside.max())


@given(st.lists(texts, min_size=1), st.integers(1, 9))
def test_categories_are_counted_in_parts_as_at_once(values, size):
    whole = pd.Series(values, dtype=object)
    found = tallied(cut(values, size, object), CATEGORY)
    assert found == tallied([whole], CATEGORY)
    assert found["counts"] == whole.value_counts().to_dict()
    assert found["strangers"] == whole.isin(["c", "d"]).sum()


def test_a_column_of_free_text_is_counted_whole_but_told_apart_only_so_far(monkeypatch):
    monkeypatch.setattr(tally, "MAX_STRANGERS", 5)
    words = [f"w{i}" for i in range(100)] + ["a"]
    found = Tally(CATEGORY)
    for part in cut(words, 10, object):
        found.add(part)
    assert found.strangers == 100
    assert len(found.counts) <= 8
    assert found.counts["a"] == 1


@pytest.mark.parametrize(
    ("expectation", "value"), [(NUMBER, "many"), (NUMBER, True), (INTEGER, 2.5), (CATEGORY, 7)]
)
def test_a_value_of_another_type_is_kept_as_the_example(expectation, value):
    usual = "a" if expectation.categorical else 3
    found = Tally(expectation)
    for part in ([usual] * 3, [usual, value, value], [usual]):
        found.add(pd.Series(part, dtype=object))
    assert (found.odd, found.example, found.rows) == (2, value, 7)


def parts_of(frame, size=70):
    return lambda: (frame.iloc[i : i + size] for i in range(0, len(frame), size))


def test_a_short_span_is_its_own_sample(visits, expected):
    frame = visits(300)
    found = look(parts_of(frame), 300, expected=expected, id_name="visit")
    pd.testing.assert_frame_equal(found.sample, frame)
    assert found.columns == list(frame.columns)
    assert len(found.twins) == 0


def test_a_long_span_is_sampled_evenly_without_repetition_and_in_order(
    visits, expected, monkeypatch
):
    monkeypatch.setattr(module, "SAMPLE_ROWS", 500)
    frame = visits(5000)
    found = look(parts_of(frame), 5000, expected=expected, id_name="visit")
    assert len(found.sample) == 500
    assert found.sample["visit"].is_unique
    assert found.sample["at"].is_monotonic_increasing
    thirds = np.searchsorted(frame["at"], found.sample["at"]) // 1667
    assert np.bincount(thirds) == pytest.approx([167, 167, 167], abs=45)
    assert found.tallies["pages"].rows == 5000  # counts are of all rows
    again = look(parts_of(frame, 999), 5000, expected=expected, id_name="visit")
    pd.testing.assert_frame_equal(again.sample, found.sample)


def test_twins_far_apart_are_seen(visits, expected):
    frame = visits(300)
    frame.loc[299, "visit"] = "v0-3"
    found = look(parts_of(frame), 300, expected=expected, id_name="visit")
    assert found.twins.tolist() == ["v0-3", "v0-3"]
