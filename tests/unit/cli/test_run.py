"""`kontinual run` tells what each step came to, and by its exit code whether it promoted."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from kontinual.cli import app
from kontinual.cli.account import Account
from kontinual.errors import LakeError

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
TIMES = {"started_at": "2026-05-04T09:00:00.000Z", "ended_at": "2026-05-04T09:00:02.500Z"}
RUN = """\
import argparse, json, sys
from datetime import UTC, datetime
from kontinual.home import settings_of
from kontinual.lake import Lake
from kontinual.spec import RunRecord, load_loop
p = argparse.ArgumentParser()
for name in ("--loop", "--run-id", "--seed"):
    p.add_argument(name)
a = p.parse_args()
print("a flood of details")
loop, now = load_loop(a.loop), datetime.now(UTC)
journal = Lake(settings_of(a.loop).lake_url, loop).journal(a.run_id)
journal.note("train", {**TIMES, "version": "1", "algorithm": "random_forest"})
if OUTCOME:
    journal.finish(RunRecord(id=a.run_id, loop=loop.name, trigger="manual", outcome=OUTCOME,
                             reason="so it came", started_at=now, ended_at=now))
"""


def told(notes: dict[str, dict[str, Any]]) -> list[str]:
    console = Console(file=io.StringIO(), width=40)
    Account(lambda: notes, console=console).look()
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_each_step_is_one_line_with_its_seconds_and_what_it_came_to() -> None:
    span = {"span": 2, "rows": 5892, "start": "2013-01-31 05:30", "end": "2013-02-28 23:58"}
    metrics = {"roc_auc": 0.63984, "log_loss": 0.51473}
    notes: dict[str, dict[str, Any]] = {
        "validate": {**TIMES, "span": 2, "accepted": False, "reasons": list("abcdefg")},
        "ingest": {**TIMES, "started_at": "2026-05-04T08:59:00Z", **span},
        "tune": {**TIMES, "trials": 8, "algorithm": "random_forest", "metrics": metrics},
        "train": {**TIMES, "version": "7", "algorithm": "random_forest"},
        "evaluate": {**TIMES, "reason": "Blessed: [better]"},
        "rollout": {**TIMES, "error": "GatewayError: no"},
        "trigger": {"id": 7},
        "close": {"started_at": "2026-05-04T09:00:03Z"},
        "later": {**TIMES, "of": "another version"},
    }
    assert told(notes) == [
        "ingest       62.5 s  span 2: 5,892 rows, 2013-01-31 to 2013-02-28",
        "validate      2.5 s  span 2 is rejected: a; b; c; d; e; and 2 more",
        "tune          2.5 s  8 trials; the best is random_forest: ROC AUC 0.6398, log loss 0.5147",
        "train         2.5 s  version 7: random_forest",
        "evaluate      2.5 s  Blessed: [better]",
        "rollout       2.5 s  failed: GatewayError: no",
        "later         2.5 s",
    ]


def test_a_step_is_told_once_and_again_when_it_was_done_again() -> None:
    console = Console(file=io.StringIO())
    notes = {"train": {**TIMES, "version": "7", "algorithm": "x"}}
    account = Account(lambda: notes, console=console)
    account.look()
    account.look()
    notes["train"] = {**notes["train"], "ended_at": "2026-05-04T09:00:05Z"}
    account.look()
    assert console.file.getvalue().count("train") == 2  # type: ignore[attr-defined]


def test_the_step_at_work_is_named_and_a_lake_out_of_reach_is_no_trouble() -> None:
    def nothing() -> dict[str, dict[str, Any]]:
        raise LakeError("away")

    silent = Console(file=io.StringIO())
    assert Account(lambda: {"tune": {"started_at": "x"}}, console=silent).look() == "tune"
    assert Account(nothing, console=silent).look() == ""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`kontinual run` where no service answers, of a pipeline that ends as it is told."""
    script = tmp_path / "pipeline.py"
    monkeypatch.setenv("KONTINUAL_RUN_COMMAND", f"{sys.executable} {script}")
    monkeypatch.setenv("KONTINUAL_TRIGGER", "http://127.0.0.1:1")
    monkeypatch.setenv("KONTINUAL_HOME", str(tmp_path / "home"))

    def call(outcome: str) -> Result:
        script.write_text(f"TIMES, OUTCOME = {TIMES!r}, {outcome!r}\n{RUN}", encoding="utf-8")
        return CliRunner().invoke(app, ["run", str(EXAMPLE), "--run-id", "one"])

    return call


@pytest.mark.parametrize(
    ("outcome", "code"), [("promoted", 0), ("rejected_data", 1), ("rolled_back", 1), ("failed", 1)]
)
def test_the_exit_code_tells_promoted_or_not(run: Any, outcome: str, code: int) -> None:
    done = run(outcome)
    assert done.exit_code == code, done.output
    assert f"run one: {outcome}: so it came" in done.output


def test_details_go_to_the_log_whose_path_is_told(run: Any, tmp_path: Path) -> None:
    done = run("promoted")
    log = tmp_path / "home" / "runs" / "one" / "run.log"
    assert done.stdout.splitlines() == [
        "run one",
        f"log: {log}",
        "train         2.5 s  version 1: random_forest",
        "run one: promoted: so it came",
    ]
    assert "this run will not be in the ledger" in done.stderr
    assert log.read_text(encoding="utf-8") == "a flood of details\n"


def test_a_run_that_left_no_record_has_failed_with_its_last_words(run: Any) -> None:
    done = run("")
    assert done.exit_code == 1
    assert "failed: it left no record; its last lines: a flood of details" in done.output
