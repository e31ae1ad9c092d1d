"""`kontinual init`: from a file of labelled rows to a declaration that `kontinual check` takes."""

from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from kontinual.cli import app
from kontinual.errors import KontinualError
from kontinual.spec import load_loop

WISH = ("--label", "late", "--time", "departure", "--id", "flight")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    rows = 600
    frame = pd.DataFrame(
        {
            "flight": [f"{i:04}" for i in range(rows)],
            "departure": pd.date_range("2026-01-01", periods=rows, freq="1h", tz="UTC"),
            "hour": [i % 24 for i in range(rows)],
            "carrier": ["UA" if i % 3 else "B6" for i in range(rows)],
            "arrival": [i % 5 * 9.5 for i in range(rows)],
            "note": "scheduled",
            "late": [int(i % 5 > 2) for i in range(rows)],
        }
    )
    path = tmp_path / "tables" / "Flights_2026.csv"
    path.parent.mkdir()
    frame.to_csv(path, index=False)
    return path


def kontinual(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_draft_passes_check_and_names_its_table_from_its_own_folder(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    table, out = history.relative_to(tmp_path), Path("loops/flights/loop.yaml")
    wish = (*WISH, "--leave-out", "arrival", "--delay", "2d", "--unit", "hour=h")
    told = kontinual("init", table, *wish, "--out", out)
    assert told.exit_code == 0, told.output
    assert told.output.splitlines() == [
        f"{out}: loop 'flights-2026' with 2 features",
        "  left out note: every row has the same value, 'scheduled'",
        f"read it, then: kontinual check {out}",
    ]
    data = load_loop(str(out)).data
    assert data.feature_names == ["hour", "carrier"]
    assert data.history.table == "../../tables/Flights_2026.csv"
    assert data.label.delay.days == 2
    assert data.feature("hour").unit == "h"
    checked = kontinual("check", out)
    assert checked.exit_code == 0, checked.output
    assert "loop 'flights-2026' is valid" in checked.output


def test_a_feature_that_gives_the_label_away_is_named_at_once(history: Path, tmp_path: Path):
    told = kontinual("init", history, *WISH, "--out", tmp_path / "loop.yaml").output.splitlines()
    assert told[2].startswith("  look at `arrival`: it gives the label `late` away: ")
    assert told[2].endswith("; if it is not known at the time of a prediction, --leave-out arrival")
    assert len(told) == 4


def test_a_file_that_is_there_is_never_overwritten(history: Path, tmp_path: Path):
    out = tmp_path / "loop.yaml"
    out.write_text("by hand")
    refused = kontinual("init", history, *WISH, "--out", out)
    assert isinstance(refused.exception, KontinualError)
    assert f"--out {out}: there is a file already" in str(refused.exception)
    assert out.read_text() == "by hand"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--delay", "soon"), "--delay: a duration is written like 90s, 6h, 1d12h or 4w"),
        (("--label", "delay"), "column 'delay' is missing; the columns are flight, departure"),
        (("--unit", "hour"), "--unit is COLUMN=UNIT, such as distance=miles, but got 'hour'"),
        (("--unit", "gate=m"), "a unit is that of a feature with numbers, hour, arrival; but got"),
        (("--name", "Flights"), "such as flights, but got 'Flights'"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_written(
    history: Path, tmp_path: Path, words: tuple[str, ...], message: str
):
    out = tmp_path / "loop.yaml"
    refused = kontinual("init", history, *WISH, *words, "--out", out)
    assert isinstance(refused.exception, KontinualError)
    assert message in str(refused.exception)
    assert not out.exists()


def test_a_table_that_is_none_is_named(tmp_path: Path):
    refused = kontinual("init", tmp_path / "none.parquet", *WISH, "--out", tmp_path / "loop.yaml")
    assert isinstance(refused.exception, KontinualError)
    assert "none.parquet: there is no such file" in str(refused.exception)
