"""A person accepts what a declaration and a span ask for; nothing else changes."""

import numpy as np

from kontinual.validation import changes, declared, evolve


def test_nothing_changes_when_all_fits(expected, visits, seen):
    assert changes(expected, evolve(expected, expected, seen(visits()).tallies)) == []


def test_new_categories_widen_the_vocabulary_at_its_end(expected, visits, seen):
    frame = visits()
    frame.loc[0, "country"] = "LI"
    evolved = evolve(expected, expected, seen(frame).tallies)
    assert evolved["country"].vocabulary == ("AT", "CH", "DE", "FR", "LI")
    assert changes(expected, evolved) == ["`country`: the vocabulary gains 'LI'"]


def test_values_out_of_range_and_nulls_widen_what_is_allowed(expected, visits, seen):
    frame = visits()
    frame.loc[0, "weight"] = 512.5
    frame.loc[1, "weight"] = np.nan
    assert changes(expected, evolve(expected, expected, seen(frame).tallies)) == [
        "`weight`: may be null",
        "`weight`: the range [0, 400] becomes [0, 512.5]",
    ]


def test_infinity_does_not_widen_a_range(expected, visits, seen):
    frame = visits()
    frame.loc[0, "weight"] = np.inf
    assert evolve(expected, expected, seen(frame).tallies)["weight"].high == 400


def test_the_label_is_never_widened(expected, visits, seen):
    frame = visits().astype({"bought": float})
    frame.loc[0, "bought"] = 2
    assert evolve(expected, expected, seen(frame).tallies)["bought"] == expected["bought"]


def test_columns_come_and_go_with_the_declaration_alone(expected, visits, seen):
    fewer = {n: e for n, e in expected.items() if n != "pages"}
    assert changes(fewer, evolve(fewer, expected, seen(visits()).tallies)) == [
        "`pages`: a new column, integer in [1, 200]"
    ]
    assert changes(expected, evolve(expected, fewer, seen(visits()).tallies)) == [
        "`pages`: no longer a column"
    ]


def test_what_was_accepted_earlier_stays_until_it_is_reset(expected):
    words = (*expected["country"].vocabulary, "LI")
    kept = {**expected, "country": expected["country"].model_copy(update={"vocabulary": words})}
    assert evolve(kept, expected, {})["country"].vocabulary == words
    reset = evolve(kept, expected, {}, reset=True)
    assert changes(kept, reset) == ["`country`: the vocabulary loses 'LI'"]


def test_a_type_follows_the_declaration(expected):
    kept = {**expected, "pages": expected["pages"].model_copy(update={"type": "number"})}
    evolved = evolve(kept, expected, {})
    assert changes(kept, evolved) == ["`pages`: number becomes integer"]


def test_the_declaration_names_type_range_unit_and_label(loop):
    expected = declared(loop)
    assert list(expected) == ["weight", "outside", "pages", "country", "bought"]
    assert (expected["outside"].nullable, expected["outside"].unit) == (True, "°F")
    assert expected["bought"].label


def test_a_bound_that_only_lost_digits_in_the_schema_has_not_changed(expected):
    """TFDV keeps bounds of numbers in float32: 10.9 comes back as 10.899999618530273."""
    declared = expected["weight"].model_copy(update={"high": 10.9})
    kept = declared.model_copy(update={"high": float(np.float32(10.9))})
    assert changes({"weight": kept}, {"weight": declared}) == []
    wider = declared.model_copy(update={"high": 10.91})
    assert changes({"weight": kept}, {"weight": wider}) == [
        "`weight`: the range [0, 10.9] becomes [0, 10.91]"
    ]


def test_a_bound_of_whole_numbers_is_exact(expected):
    kept = expected["pages"].model_copy(update={"high": float(2**24)})
    wider = kept.model_copy(update={"high": float(2**24 + 1)})
    assert len(changes({"pages": kept}, {"pages": wider})) == 1
