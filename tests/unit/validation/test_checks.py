"""A span is held against the schema column by column; every sentence names the feature."""

import numpy as np
import pandas as pd
import pytest

from kontinual.validation.checks import check_rows
from kontinual.validation.findings import Check, percent


@pytest.fixture
def check(loop, expected, seen):
    def run(frame, previous=None):
        return check_rows(seen(frame), seen(previous), loop=loop, expected=expected)

    return run


def refusals(found):
    return {(f.check, f.feature) for f in found if f.refuses}


def test_sound_rows_give_no_finding(check, visits):
    assert check(visits(seed=2), visits(seed=1)) == []


def test_too_few_rows_are_refused_with_the_setting_that_says_so(check, visits):
    (found,) = check(visits(199))
    assert found.check is Check.ROWS
    assert found.sentence.startswith("the span holds 199 rows, but 200 are the least")
    assert "validation.min_rows" in found.sentence


def test_an_empty_span_is_refused_and_nothing_breaks(check, visits):
    assert (Check.ROWS, None) in refusals(check(visits(0), visits()))


def test_a_missing_column_is_refused_by_name(check, visits):
    found = check(visits().drop(columns="outside"))
    assert refusals(found) == {(Check.COLUMN, "outside")}


def test_an_unknown_column_is_refused_but_one_of_the_collector_is_not(check, visits):
    found = check(visits().assign(colour="red", _version="1", _score=0.5))
    assert refusals(found) == {(Check.COLUMN, "colour")}


def test_ids_that_recur_are_refused_with_an_example(check, visits):
    frame = visits()
    frame.loc[1, "visit"] = frame.loc[0, "visit"]
    (found,) = check(frame)
    assert "`visit`: 2 rows share their id with another row, such as 'v0-0'" in found.sentence


def test_a_null_where_none_may_be_is_refused(check, visits):
    frame = visits().astype({"weight": float})
    frame.loc[3, "weight"] = np.nan
    (found,) = check(frame)
    assert (found.check, found.feature) == (Check.NULLS, "weight")
    assert "0.10 % of its values are null (1 rows)" in found.sentence


def with_nulls(frame, share):
    frame.loc[frame.index[: round(share * len(frame))], "outside"] = np.nan
    return frame


@pytest.mark.parametrize(("now", "refused"), [(0.14, False), (0.17, True)])
def test_nulls_may_rise_by_the_limit_over_the_span_before(check, visits, now, refused):
    found = check(with_nulls(visits(), now), with_nulls(visits(seed=1), 0.05))
    assert ((Check.NULLS, "outside") in refusals(found)) is refused


def test_a_nullable_column_that_is_all_null_is_refused(check, visits):
    assert refusals(check(with_nulls(visits(), 1.0))) == {(Check.NULLS, "outside")}


@pytest.mark.parametrize(("values_before", "refused"), [(3, False), (50, True)])
def test_a_column_of_few_values_may_have_none_by_chance(check, visits, values_before, refused):
    before = with_nulls(visits(seed=1), 1 - values_before / 1000)
    found = check(with_nulls(visits(), 1.0), before)
    assert [(f.check, f.refuses) for f in found] == [(Check.NULLS, refused)]


@pytest.mark.parametrize(
    ("column", "values", "wanted"),
    [
        ("weight", "heavy", "not a number, such as 'heavy'"),
        ("weight", True, "not a number, such as True"),
        ("pages", 2.5, "not a whole number, such as 2.5"),
        ("country", 43, "not text, such as 43"),
    ],
)
def test_a_wrong_type_is_refused_with_an_example(check, visits, column, values, wanted):
    found = check(visits().assign(**{column: values}))
    assert refusals(found) == {(Check.TYPE, column)}
    assert wanted in found[0].sentence


def test_whole_numbers_in_a_float_column_are_whole_numbers(check, visits):
    assert check(visits().astype({"pages": float})) == []


@pytest.mark.parametrize(("new", "refused"), [(20, False), (21, True)])
def test_new_categories_are_refused_in_bulk_only_and_named(check, visits, new, refused):
    frame = visits()
    frame.loc[frame.index[:new], "country"] = ["XX", "YY"][0:1] * new
    (found,) = check(frame)
    assert found.refuses is refused
    assert f"above all 'XX' ({percent(new / 1000)})" in found.sentence


@pytest.mark.parametrize(("outside", "refused"), [(10, False), (11, True)])
def test_values_out_of_range_are_refused_above_the_limit(check, visits, outside, refused):
    frame = visits()
    frame.loc[frame.index[:outside], "weight"] = 900.0
    (found,) = check(frame)
    assert (found.check, found.refuses) == (Check.RANGE, refused)
    assert "outside [0, 400] lb, from 900 to 900" in found.sentence


@pytest.mark.parametrize("column", ["weight", "pages", "bought"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 3.5e38])
def test_one_value_that_no_model_takes_is_refused(check, visits, column, value):
    frame = visits().astype({column: float})
    frame.loc[3, column] = value
    (found,) = check(frame)
    assert (found.check, found.feature, found.refuses) == (Check.TYPE, column, True)
    assert found.sentence == (
        f"`{column}`: 0.10 % of its values (1 rows) are infinite, or too great for float32 (over "
        "3.4e+38), and no model takes them; mend the source, or write null where there is no "
        "value (`nullable: true`)"
    )


def test_the_greatest_float32_is_a_number_out_of_range(check, visits):
    frame = visits()
    frame.loc[3, "weight"] = float(np.finfo(np.float32).max)
    (found,) = check(frame)
    assert (found.check, found.refuses) == (Check.RANGE, False)


def test_a_feature_that_became_constant_is_refused(check, visits):
    found = check(visits().assign(pages=7), visits(seed=1))
    assert refusals(found) == {(Check.CONSTANT, "pages")}


def test_a_feature_that_nearly_always_was_constant_may_be_so_by_chance(check, visits):
    before = visits(seed=1)
    before["pages"] = np.where(np.arange(len(before)) < 50, 3, 7)
    (found,) = check(visits().assign(pages=7), before)
    assert found.check is Check.CONSTANT
    assert not found.refuses


@pytest.mark.parametrize(
    ("values", "values_before", "refused"),
    [(3, 3, False), (3, 1000, False), (10, 10, False), (50, 50, True), (50, 1000, True)],
)
def test_few_values_may_all_be_the_same_by_chance(check, visits, values, values_before, refused):
    before = visits(seed=1).assign(outside=np.arange(1000) % 2)
    before = with_nulls(before.astype({"outside": float}), 1 - values_before / 1000)
    now = with_nulls(visits().assign(outside=1.0), 1 - values / 1000)
    (found,) = [f for f in check(now, before) if f.check is Check.CONSTANT]
    assert found.refuses is refused
    assert f"each of its {values} values is 1.0 (its commonest value had " in found.sentence


def test_one_value_is_not_called_constant(check, visits):
    now, before = (with_nulls(visits(seed=s), 0.999) for s in (1, 2))
    assert check(now, before) == []


def test_a_label_with_one_class_is_refused_even_in_the_first_span(check, visits):
    assert refusals(check(visits().assign(bought=0))) == {(Check.CONSTANT, "bought")}


def test_findings_do_not_depend_on_the_index(check, visits):
    frame = with_nulls(visits(), 0.5)
    shuffled = frame.sample(frac=1, random_state=1)
    assert [f.sentence for f in check(frame, visits())] == [
        f.sentence for f in check(shuffled, visits())
    ]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (0.0004, "0.04 %"), (0.041, "4.1 %"), (0.3, "30 %")]
)
def test_shares_read_as_people_write_them(share, text):
    assert percent(share) == text


def test_nothing_is_said_of_columns_without_rows(check, visits):
    assert all(isinstance(f.sentence, str) for f in check(pd.DataFrame(visits(0))))
