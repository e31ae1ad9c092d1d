"""Encoding: total on whatever a row may hold, and the same in every process."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kontinual.model import Encoder
from kontinual.spec import CategoryFeature, Feature, NumberFeature

_VOCABULARY = ["EWR", "JFK", "LGA"]
_NUMBER = NumberFeature(name="temp", range=(-20, 115), nullable=True)
_CATEGORY = CategoryFeature(name="origin", vocabulary=_VOCABULARY)

_numbers = st.none() | st.floats(width=32, allow_infinity=False) | st.integers(-(10**6), 10**6)
_names = st.none() | st.sampled_from(_VOCABULARY) | st.text(max_size=5)


@given(st.lists(st.tuples(_numbers, _names), min_size=1, max_size=20))
def test_every_row_has_a_code(rows: list[tuple[float | None, str | None]]) -> None:
    temps, origins = zip(*rows, strict=True)
    matrix = Encoder([_NUMBER, _CATEGORY]).encode({"temp": temps, "origin": origins})
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(rows), 2)
    for (temp, origin), (number, code) in zip(rows, matrix, strict=True):
        null = temp is None or math.isnan(temp)
        assert np.isnan(number) if null else number == np.float32(temp)
        if origin is None:
            assert np.isnan(code)
        else:
            assert code == (_VOCABULARY.index(origin) if origin in _VOCABULARY else 3)


@given(st.lists(st.tuples(_numbers, _names), min_size=2, max_size=20))
def test_a_row_is_encoded_alike_alone_and_among_others(
    rows: list[tuple[float | None, str | None]],
) -> None:
    encoder = Encoder([_NUMBER, _CATEGORY])
    together = encoder.encode({"temp": [r[0] for r in rows], "origin": [r[1] for r in rows]})
    alone = [encoder.encode({"temp": [t], "origin": [o]})[0] for t, o in rows]
    np.testing.assert_array_equal(together, np.array(alone))


def test_lists_arrays_and_frames_are_encoded_alike(features: list[Feature]) -> None:
    columns = {"temp": [1.5, None], "hour": [3, 4], "origin": ["JFK", None], "more": [0, 0]}
    frame = pd.DataFrame(columns)
    encoder = Encoder(features)
    expected = np.array([[1.5, 3, 1], [np.nan, 4, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(encoder.encode(columns), expected)
    np.testing.assert_array_equal(encoder.encode({n: frame[n] for n in frame}), expected)
    np.testing.assert_array_equal(encoder.encode({n: frame[n].array for n in frame}), expected)


def test_features_stand_in_the_order_of_the_declaration(features: list[Feature]) -> None:
    columns = {"origin": ["LGA"], "temp": [50.0], "hour": [7]}
    assert Encoder(features).encode(columns).tolist() == [[50, 7, 2]]


def test_a_missing_column_is_named(features: list[Feature]) -> None:
    with pytest.raises(KeyError, match="hour"):
        Encoder(features).encode({"temp": [1.0], "origin": ["JFK"]})


def test_text_in_a_column_of_numbers_is_refused(features: list[Feature]) -> None:
    with pytest.raises(ValueError, match="could not convert string to float: 'warm'"):
        Encoder(features).encode({"temp": ["warm"], "hour": [1], "origin": ["JFK"]})
