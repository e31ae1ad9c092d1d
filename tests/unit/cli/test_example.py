"""`kontinual example` prints what a shell can send, for this loop, of a real row."""

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from kontinual.cli import app

LOOP = """\
apiVersion: kontinual.dev/v1alpha1
kind: Loop
name: delays
data:
  id: key
  time: at
  label: {name: late, delay: 6h}
  history: {table: history.parquet}
  features:
    - {name: distance, type: number, range: [0, 5000], nullable: true}
    - {name: hour, type: integer, range: [0, 23]}
    - {name: origin, type: category, vocabulary: ["O'Hare", JFK]}
training:
  trainers: [{algorithm: logistic_regression}]
gates: [{metric: log_loss, "on": new, max_regression: 0.1}]
monitoring:
  alerts: [{kind: quality_decay, threshold: 0.02, action: retrain}]
"""


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("KONTINUAL_HOME", "KONTINUAL_LAKE", "KONTINUAL_GATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "loop.yaml").write_text(LOOP, encoding="utf-8")
    rows = pd.DataFrame(
        {
            "key": ["a", "b", "c"],
            "at": pd.to_datetime(["2013-01-01", "2013-01-02", "2013-01-03"], utc=True),
            "late": [0, 1, 0],
            "distance": [1.5, 700.25, None],
            "hour": [1, 2, 3],
            "origin": ["JFK", "O'Hare", "JFK"],
        }
    )
    rows.to_parquet(tmp_path / "history.parquet", coerce_timestamps="us")
    return str(tmp_path / "loop.yaml")


def printed(*words: str) -> list[str]:
    told = CliRunner().invoke(app, [*words], catch_exceptions=False)
    assert told.exit_code == 0
    return told.stdout.splitlines()


def bodies(lines: list[str]) -> list[tuple[str, dict[str, list[dict[str, object]]]]]:
    """Address and body of each request, as a shell reads them."""
    words = [shlex.split(line.removesuffix("; echo")) for line in lines if line.startswith("curl")]
    return [(w[2], json.loads(w[w.index("-d") + 1])) for w in words]


def test_before_the_first_span_the_values_are_of_the_history(loop: str) -> None:
    lines = printed("example", loop)
    assert lines[0] == "# a prediction, for the values of a row of the history"
    assert "by 6h later" in lines[3]
    (predict, asked), (labels, told) = bodies(lines)
    assert predict == "http://127.0.0.1:18080/v1/models/delays:predict"
    assert labels == "http://127.0.0.1:18081/api/v1/labels"
    (instance,) = asked["instances"]
    # The latest row without a gap, under an id that no row has.
    assert {k: instance[k] for k in ("distance", "hour", "origin")} == {
        "distance": 700.25,
        "hour": 2,
        "origin": "O'Hare",
    }
    assert told == {"labels": [{"id": instance["key"], "label": 1}]}
    assert str(instance["key"]).startswith("example-")
    assert set(instance) == {"key", "at", "distance", "hour", "origin"}


def test_later_they_are_of_the_newest_accepted_span(loop: str) -> None:
    printed("ingest", loop, "--history")
    printed("span", "accept", loop, "1", "--by", "ada", "--reason", "a test")
    lines = printed("example", loop)
    assert lines[0] == "# a prediction, for the values of a row of span 1"
    assert bodies(lines)[0][1]["instances"][0]["distance"] == 700.25
