"""Reading a declaration: each mistake is named with its line and what would be right."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from kontinual.errors import SpecError
from kontinual.spec import InvalidLoop, load_loop, parse_loop

Mistake = Callable[[str, str], tuple[int, InvalidLoop]]


def test_the_flights_declaration_is_valid(flights_path: Path) -> None:
    loop = load_loop(str(flights_path))
    assert loop.name == "flights"
    assert len(loop.data.features) == 14


@pytest.mark.parametrize(("retention", "days"), [("30d", 30), ("1d", 20), ("0s", 20)])
def test_labels_are_waited_for_as_long_as_rows_are_kept_or_ten_delays(
    flights_path: Path, retention: str, days: int
) -> None:
    text = flights_path.read_text(encoding="utf-8")
    assert "delay: 2d" in text
    loop = parse_loop(text.replace("  span: 30d", f"  span: 30d\n  retention: {retention}"))
    assert loop.data.patience == timedelta(days=days)


def test_a_declaration_survives_being_written_and_read(flights_path: Path) -> None:
    loop = load_loop(str(flights_path))
    assert parse_loop(loop.model_dump_json(by_alias=True)) == loop


@pytest.mark.parametrize(
    ("right", "wrong", "path", "message"),
    [
        ("replay_rows: 60000", "replay_rowz: 60000", "data.replay_rowz", "`replay_rows`?"),
        ("replay_rows: 60000", "replay_rows: many", "data.replay_rows", "valid integer"),
        ("span: 30d", "span: 1 month", "data.span", "90s, 6h, 1d12h or 4w, but got '1 month'"),
        ("holdout: 0.2", "holdout: 0.95", "data.holdout", "less than 0.9"),
        ("name: flights", "name: Flights!", "name", "match pattern"),
        ("name: flights", "name: 1flights", "name", "match pattern"),
        ("kind: Loop", "kind: Pool", "kind", "'Loop'"),
        ("range: [0, 23]", "range: [23, 0]", "data.features[0]", "low < high"),
        ("range: [0, 5000]", "range: [0, .inf]", "data.features[2].range[1]", "finite number"),
        ("range: [0, 23]", "range: [0, 1e30]", "data.features[0].range[1]", "9007199254740992"),
        ("threshold: 730", "threshold: .nan", "threshold", "finite number"),
        ("dewp: 1.0", "dewp: .inf", "dewp", "finite number"),
        ("dewp: 1.0", "dewp: -1", "dewp", "greater than 0"),
        ("{type: double, min: 0.03,", "{type: double, min: 3,", "learning_rate", "min <= max"),
        ("algorithm: logistic_regression", "algorithm: 7up", "algorithm", "match pattern"),
        ('{metric: log_loss, "on": old,', '{metric: accuracy, "on": old,', "metric", "roc_auc"),
        ("kind: model_age", "kind: model_rage", "kind", "'model_age'"),
    ],
)
def test_a_mistake_is_named_by_its_line_field_and_rule(
    mistake: Mistake, right: str, wrong: str, path: str, message: str
) -> None:
    line, error = mistake(right, wrong)
    (problem,) = error.problems
    assert problem.line == line
    assert problem.path.endswith(path)
    assert message in problem.message
    assert str(error) == f"loop.yaml:{line}: {problem.path}: {problem.message}"


@pytest.mark.parametrize(
    ("right", "wrong", "place", "path", "message"),
    [
        ("[EWR, JFK, LGA]", "[EWR, EWR]", "- name: origin", "data.features[11]", "stand twice"),
        ("span: 30d", "span: 4d", "data:", "data", "without training rows; with a holdout of 0.2"),
        ("[origin, carrier]", "[hour]", "data:", "data", "slices name category features"),
        ("steps: [5, 25, 50, 100]", "steps: [5, 25]", "rollout:", "rollout", "end at 100"),
        ("step_timeout: 60d", "step_timeout: 1d", "rollout:", "rollout", "longer than step_dur"),
        ("kind: group_bias", "kind: model_age", "monitoring:", "monitoring", "model_age"),
        ("dewp: 1.0", "dew: 1.0", "# Will a", "(document)", "names no feature"),
        (
            "[origin, carrier]",
            "[]",
            "# Will a",
            "(document)",
            "gates[3], the alert on group_bias would judge nothing, for data.slices is empty",
        ),
    ],
)
def test_a_rule_that_joins_fields_is_told_at_the_part_that_holds_them(
    mistake: Mistake,
    flights_path: Path,
    right: str,
    wrong: str,
    place: str,
    path: str,
    message: str,
) -> None:
    text = flights_path.read_text(encoding="utf-8")
    _, error = mistake(right, wrong)
    (problem,) = error.problems
    assert problem.line == text[: text.index(place)].count("\n") + 1
    assert problem.path == path
    assert message in problem.message


@pytest.mark.parametrize("cut", ["data", "training", "gates", "monitoring", "name"])
def test_a_missing_part_is_named(flights_path: Path, cut: str) -> None:
    text = flights_path.read_text(encoding="utf-8")
    without = re.sub(rf"(?ms)^{cut}:.*?(?=^\S)", "", text)
    with pytest.raises(InvalidLoop) as caught:
        parse_loop(without)
    assert any(p.path == cut and "missing" in p.message for p in caught.value.problems)


def test_all_mistakes_are_told_at_once_in_the_order_of_lines(flights_path: Path) -> None:
    text = flights_path.read_text(encoding="utf-8")
    broken = text.replace("holdout: 0.2", "holdout: 2").replace(
        "daily_budget: 4", "daily_budget: 0"
    )
    with pytest.raises(InvalidLoop) as caught:
        parse_loop(broken)
    problems = caught.value.problems
    assert [p.path for p in problems] == ["data.holdout", "trigger.daily_budget"]
    assert [p.line for p in problems] == [
        text[: text.index(key)].count("\n") + 1 for key in ("holdout: 0.2", "daily_budget: 4")
    ]


def test_what_is_no_yaml_is_told_with_its_line() -> None:
    with pytest.raises(InvalidLoop, match=r"^loop\.yaml:3: \(document\): not YAML: expected"):
        parse_loop("name: flights\ndata: [1, 2\nkind: Loop\n")


@pytest.mark.parametrize("text", ["", "just words", "- a\n- list\n"])
def test_what_is_no_mapping_is_told_so(text: str) -> None:
    with pytest.raises(InvalidLoop, match=r"^loop\.yaml:1: \(document\): a mapping"):
        parse_loop(text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"
    with pytest.raises(SpecError, match=r"nowhere\.yaml: the declaration can not be read"):
        load_loop(str(path))


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (
            "action: retrain",
            "action: retrian",
            "Input should be 'retrain', 'rollback' or 'notify', but got 'retrian'",
        ),
        (
            "daily_budget: ",
            "schedule: 1d\n  daily_budget: ",
            "unknown key here; `schedule` stands at the top",
        ),
    ],
)
def test_a_mistake_shows_what_was_written(
    flights_path: Path, right: str, wrong: str, message: str
) -> None:
    text = flights_path.read_text(encoding="utf-8")
    assert right in text
    with pytest.raises(InvalidLoop) as caught:
        parse_loop(text.replace(right, wrong, 1))
    assert message in str(caught.value)
