"""`kontinual ingest` and `kontinual span` as a person uses them."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from kontinual.cli import main


@pytest.fixture
def at_home(tmp_path, monkeypatch, loop, rows):
    """A folder with a declaration and its history, and a lake of its own."""
    declaration = loop.model_dump(mode="json", by_alias=True, exclude_none=True)
    with (tmp_path / "loop.yaml").open("w") as file:
        YAML().dump(declaration, file)
    rows(600).to_parquet(tmp_path / "orders.parquet", coerce_timestamps="us")
    rows(40, first=900).to_csv(tmp_path / "more.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KONTINUAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KONTINUAL_COLLECTOR", "http://127.0.0.1:1")
    return tmp_path


@pytest.fixture
def kontinual(at_home, monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr("sys.argv", ["kontinual", *words])
        code = 0
        try:
            main()
        except SystemExit as exc:
            code = exc.code or 0
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def test_the_history_is_ingested_once(kontinual):
    code, out, _ = kontinual("ingest", "loop.yaml", "--history")
    assert code == 0
    assert out.splitlines() == [
        "span 1 written: 240 rows, 2026-01-01 00:00 to 2026-01-10 23:00",
        "span 2 written: 240 rows, 2026-01-11 00:00 to 2026-01-20 23:00",
        "span 3 written: 120 rows, 2026-01-21 00:00 to 2026-01-25 23:00",
    ]
    assert kontinual("ingest", "loop.yaml", "--history")[1].startswith("nothing new")


def test_a_table_is_ingested_once(kontinual):
    first, again = (kontinual("ingest", "loop.yaml", "--table", "more.csv") for _ in range(2))

    assert first[1].startswith("span 1 written: 40 rows")
    assert again[1].startswith("span 1 there already: 40 rows")


def test_a_person_judges_a_span_and_is_named(kontinual):
    kontinual("ingest", "loop.yaml", "--table", "more.csv")
    assert "not judged" in kontinual("span", "list", "loop.yaml")[1]

    words = ("--by", "Ada", "--reason", "prices were cents")
    assert kontinual("span", "reject", "loop.yaml", "1", *words)[1] == "span 1 rejected by Ada\n"
    assert "rejected" in kontinual("span", "list", "loop.yaml")[1]
    kontinual("span", "accept", "loop.yaml", "1", "--by", "Bea", "--reason", "repaired")

    shown = kontinual("span", "show", "loop.yaml", "1")[1]
    assert '"rows": 40' in shown
    assert shown.index("rejected by Ada") < shown.index("accepted by Bea")
    assert "  - prices were cents" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ingest", "nope.yaml", "--history"), "nope.yaml"),
        (("ingest", "loop.yaml", "--table", "nope.csv"), "nope.csv: there is no such file"),
        (("ingest", "loop.yaml", "--table", "x.csv", "--history"), "choose one of --table and"),
        (("ingest", "loop.yaml", "--until", "2026-01-05"), "--until belongs to --history"),
        (("span", "show", "loop.yaml", "9"), "loop shop has no span 9"),
        (
            ("span", "accept", "loop.yaml", "1", "--by", "validation", "--reason", "x"),
            "--by is the name of a person",
        ),
    ],
)
def test_a_mistake_is_one_clear_message(kontinual, words, message):
    code, _, err = kontinual(*words)

    assert code == 1
    assert message in err
    assert "Traceback" not in err


def test_an_absent_collector_is_a_clear_message(kontinual, monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    code, _, err = kontinual("ingest", "loop.yaml")

    assert code == 1
    assert "the collector can not be reached" in err


def test_showing_a_damaged_span_says_so(kontinual, at_home):
    kontinual("ingest", "loop.yaml", "--table", "more.csv")
    (data,) = Path(at_home / "home" / "lake" / "shop" / "spans" / "000001").glob("data-*")
    data.write_bytes(b"rot")

    code, _, err = kontinual("span", "show", "loop.yaml", "1")
    assert code == 1
    assert "damaged, sha256" in err
