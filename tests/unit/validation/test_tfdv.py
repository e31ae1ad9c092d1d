"""What is asked of TFDV, and what is made of its answers."""

from itertools import pairwise

import numpy as np
import pytest

from kontinual.errors import LakeError, SpecError
from kontinual.spec import Validation
from kontinual.validation import declared, examine
from kontinual.validation.distances import findings, measure, slack
from kontinual.validation.findings import Check
from kontinual.validation.schema import expectations, infer, limited, parse, rewrite, to_text
from kontinual.validation.statistics import describe, tabulate
from kontinual.validation.subject import of_frame

pytestmark = pytest.mark.data

IGNORED = {"visit", "at"}


@pytest.fixture
def schema(expected, visits):
    return infer(describe(visits(), expected, ignore=IGNORED), expected)


@pytest.fixture
def examined(loop):
    """Examines frames in place of spans."""

    def run(schema, *frames):
        expected = expectations(schema)
        subjects = [None if f is None else of_frame(f, loop, expected) for f in frames]
        return examine(*subjects, loop=loop, schema=schema)

    return run


def drift_of(now, before, schema, expected, limits=None, slacks=None):
    limits = limits or Validation()
    return measure(
        describe(now, expected, ignore=IGNORED),
        limited(schema, limits, drift_slack=slacks or {}, skew_slack={}),
        previous=describe(before, expected, ignore=IGNORED),
    )


def test_the_inferred_schema_is_tightened_by_the_declaration(schema, expected):
    assert expectations(schema) == expected


def pages_between(low, high, expected):
    return expected | {"pages": expected["pages"].model_copy(update={"low": low, "high": high})}


@pytest.mark.parametrize("bound", [2.0**53, 2.0**53 - 1, 200.0])
def test_bounds_of_whole_numbers_are_kept_exactly(schema, expected, bound):
    wide = pages_between(-bound, bound, expected)
    assert expectations(parse(to_text(rewrite(schema, wide)), source="kept")) == wide


@pytest.mark.parametrize("bound", [2.0**53 + 2, 1e30, np.inf])
def test_bounds_of_whole_numbers_beyond_two_to_the_53_are_refused(schema, expected, bound):
    with pytest.raises(SpecError, match=r"`pages`: whole numbers are exact up to 2\^53 only"):
        rewrite(schema, pages_between(0, bound, expected))


def test_a_range_of_whole_numbers_begins_and_ends_with_one(loop):
    pages = loop.data.feature("pages").model_copy(update={"range": (0.5, 200.5)})
    data = loop.data.model_copy(update={"features": [pages]})
    expectation = declared(loop.model_copy(update={"data": data}))["pages"]
    assert (expectation.low, expectation.high) == (1, 200)


def test_a_schema_survives_being_written_and_read(schema, expected):
    assert expectations(parse(to_text(schema), source="kept")) == expected
    with pytest.raises(LakeError, match="kept: not a TFDV schema"):
        parse("feature { name: ", source="kept")


def test_rewriting_keeps_only_expected_columns(schema, expected):
    fewer = {n: e for n, e in expected.items() if n != "country"}
    rewritten = rewrite(schema, fewer)
    assert expectations(rewritten) == fewer
    assert not rewritten.string_domain


def test_limits_stand_in_a_copy_and_the_kept_schema_has_none(schema):
    before = to_text(schema)
    limits = Validation(max_drift=0.2, max_skew=0.25, max_drift_by_feature={"outside": 0.5})
    drift, skew = {"outside": 0.01, "country": 0.02}, {"outside": 0.01, "country": 0.03}
    copy = limited(schema, limits, drift_slack=drift, skew_slack=skew)
    by_name = {f.name: f for f in copy.feature}
    number = by_name["outside"]
    assert number.drift_comparator.jensen_shannon_divergence.threshold == pytest.approx(0.51)
    assert number.skew_comparator.jensen_shannon_divergence.threshold == 1  # none
    category = by_name["country"]
    assert category.drift_comparator.infinity_norm.threshold == pytest.approx(0.22)
    assert category.skew_comparator.infinity_norm.threshold == pytest.approx(0.28)
    assert by_name["pages"].drift_comparator.jensen_shannon_divergence.threshold == 0.2
    assert category.distribution_constraints.min_domain_mass == pytest.approx(0.98)
    assert to_text(schema) == before


def test_ids_times_and_the_collectors_columns_are_not_described(expected, visits):
    table = tabulate(visits().assign(_score=0.5), expected, ignore=IGNORED)
    assert list(table.columns) == list(expected)


def test_whole_numbers_with_nulls_stay_whole_for_tfdv(expected, visits):
    frame = visits().astype({"pages": float})
    frame.loc[0, "pages"] = np.nan
    assert str(tabulate(frame, expected, ignore=IGNORED)["pages"].dtype) == "Int64"


def test_the_l_infinity_distance_is_the_greatest_change_of_a_share(schema, expected, visits):
    before, now = visits(), visits(seed=1)
    shares = [f["country"].value_counts(normalize=True) for f in (now, before)]
    oracle = (shares[0] - shares[1]).abs().max()
    measured = drift_of(now, before, schema, expected)
    (country,) = [d for d in measured.distances if d.feature == "country"]
    assert country.measure == "L-infinity distance"
    assert country.value == pytest.approx(oracle)


def test_small_samples_of_one_world_stay_below_what_chance_may_add(schema, expected, visits):
    slacks = {n: slack(200, 200, categorical=e.categorical) for n, e in expected.items()}
    for seed in range(12):
        now, before = visits(200, seed=2 * seed), visits(200, seed=2 * seed + 1)
        limits = Validation(max_drift=1e-6)  # so that slack alone is the limit
        measured = drift_of(now, before, schema, expected, limits, slacks)
        assert findings(measured) == []


def test_a_moved_feature_is_found_by_name_and_size(schema, expected, visits):
    now = visits(seed=1)
    now["outside"] += 40
    (found,) = findings(drift_of(now, visits(), schema, expected))
    assert (found.check, found.feature) == (Check.DRIFT, "outside")
    assert "not those of the accepted span before; the Jensen-Shannon" in found.sentence


@pytest.fixture
def sparse(visits):
    """Visits of which few know the weather outside."""

    def make(rows, values, *, seed, shift=0.0):
        frame = visits(rows, seed=seed)
        present = np.random.default_rng(seed).random(rows) < values / rows
        frame["outside"] = (frame["outside"] + shift).where(present)
        return frame

    return make


@pytest.mark.parametrize(("rows", "values"), [(1000, 3), (1000, 10), (1000, 50), (5000, 5)])
def test_few_values_of_one_world_are_not_refused(examined, expected, sparse, rows, values):
    spans = [sparse(rows, values, seed=s) for s in range(10)]
    schema = infer(describe(spans[0], expected, ignore=IGNORED), expected)
    for before, now in pairwise(spans):
        assert examined(schema, now, before, before).reasons == []


def test_few_values_that_moved_are_refused(examined, schema, sparse):
    now, before, usual = (sparse(1000, 50, seed=s, shift=-50 * (s == 1)) for s in (1, 2, 3))
    result = examined(schema, now, before, usual)
    refused = {f.check for f in result.findings if f.refuses and f.feature == "outside"}
    assert {Check.DRIFT, Check.SKEW} <= refused
    assert "plus what chance adds with so many values" in result.reasons[-1]


def test_a_span_without_any_of_few_values_is_noted_by_tfdv_too(examined, schema, sparse):
    now, before = sparse(1000, 0, seed=1), sparse(1000, 3, seed=2)
    result = examined(schema, now, before, before)
    assert result.reasons == []
    assert any("FEATURE_TYPE_NOT_PRESENT" in note for note in result.notes)
    assert examined(schema, sparse(1000, 3, seed=3), now, now).reasons == []


def test_a_limit_of_one_is_no_limit(schema, expected, visits):
    now = visits(seed=1)
    now["outside"] += 1000
    limits = Validation(max_drift_by_feature={"outside": 1.0})
    measured = drift_of(now, visits(), schema, expected, limits)
    assert findings(measured) == []


def test_skew_compares_what_was_served_with_what_was_trained_on(examined, schema, visits):
    served, trained = visits(seed=1), visits(seed=2)
    served["country"] = "FR"
    result = examined(schema, served, served.copy(), trained)
    skewed = [f for f in result.findings if f.check is Check.SKEW]
    assert [f.feature for f in skewed] == ["country"]
    assert "what was served is not what models were trained on" in skewed[0].sentence


def test_an_anomaly_only_tfdv_sees_refuses(examined, schema, visits):
    frame = visits()
    schema.feature[3].unique_constraints.max = 3
    result = examined(schema, frame, None, None)
    (found,) = [f for f in result.findings if f.refuses]
    assert (found.check, found.feature) == (Check.TFDV, "country")
    assert found.sentence.startswith("`country`: TFDV says FEATURE_TYPE_HIGH_UNIQUE")


def test_tolerated_strays_are_noted_in_tfdvs_words(examined, schema, visits):
    frame = visits()
    frame.loc[0, "weight"] = 900.0
    result = examined(schema, frame, None, None)
    assert result.reasons == []
    assert any("FLOAT_TYPE_BIG_FLOAT" in note for note in result.notes)


def test_a_declaration_that_moved_on_asks_for_the_schema_to_be_accepted(examined, loop, visits):
    kept = {n: e for n, e in declared(loop).items() if n != "pages"}
    schema = infer(describe(visits(), kept, ignore=IGNORED), kept)
    result = examined(schema, visits(), None, None)
    assert result.reasons[0].startswith("`pages`: it is declared in loop.yaml, but not in the kept")


@pytest.mark.parametrize("column", ["weight", "country", "pages", "outside", "bought"])
@pytest.mark.parametrize("junk", ["text", None, -3.5, True])
def test_no_junk_in_any_column_breaks_the_examination(examined, schema, visits, column, junk):
    frame = visits()
    frame[column] = [junk if i % 2 else v for i, v in enumerate(frame[column])]
    result = examined(schema, frame, visits(seed=1), visits(seed=2))
    assert any(f.feature == column for f in result.findings)
