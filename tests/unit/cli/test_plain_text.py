"""Words of others are shown as they were written, whatever Rich would make of them."""

import re
import sys
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text
from typer.testing import CliRunner

import kontinual
from kontinual.cli import app, main, schema
from kontinual.lake import Verdict
from kontinual.local.demo.report import DemoReport
from kontinual.local.demo.summary import summarise
from kontinual.rollout import FolderStore, Phase, RolloutState
from kontinual.settings import Settings
from kontinual.spec import Outcome, RolloutStep, RunRecord
from kontinual.terminal import coloured, plain_console, visible
from kontinual.trigger import Ask, Control, Ledger, Run, Source

LOOP = str(Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
WORDS = ["see [/var/log/app.log] first", "[red]not a style[/red]", "[/]", "a :warning: \\[x]"]

words = pytest.mark.parametrize("words", WORDS)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KONTINUAL_HOME", str(tmp_path))
    monkeypatch.setenv("KONTINUAL_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


def shown(*command: str) -> str:
    result = CliRunner().invoke(app, [*command, LOOP], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@words
def test_the_ledger_shows_reasons_as_they_are(home: Path, words: str) -> None:
    ledger = Ledger(Settings().ledger_url, "flights")
    Control(ledger).withdraw(ledger.ask_by_hand("please").id, "ana", words)
    ledger.close()
    assert f"withdrawn by ana: {words}" in shown("ledger", "show")


@words
def test_the_ledger_shows_what_runs_came_to(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    record = RunRecord(
        id="flights-1", loop="flights", trigger="1", outcome=Outcome.FAILED, reason=words,
        started_at=NOW, ended_at=NOW,
    )  # fmt: skip
    run = Run(id="flights-1", trigger=1, accepted_at=NOW, ended_at=NOW, record=record)
    Ledger(Settings().ledger_url, "flights").close()
    monkeypatch.setattr(Ledger, "runs", lambda _: [run])
    assert words in shown("ledger", "show")


@words
def test_a_rollout_shows_its_reasons_as_they_are(words: str) -> None:
    step = RolloutStep(
        weight=5, verdict="failed", reason=words, requests=1, started_at=NOW, ended_at=NOW
    )
    state = RolloutState(
        loop="flights", champion="1", owner="1", challenger="2", packages={},
        phase=Phase.ROLLED_BACK, steps=[step], reason=f"because {words}",
        started_at=NOW, updated_at=NOW,
    )  # fmt: skip
    FolderStore.of(Settings(), "flights").save(state)
    told = shown("rollout", "status")
    assert told.count(words) == 2
    assert "[red]failed" not in told


@words
def test_spans_show_who_judged_them_as_written(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    span = SimpleNamespace(number=1, start=NOW, end=NOW, source=words, rows=3)
    verdict = Verdict(span=1, accepted=True, reasons=[], by=f"by {words}", at=NOW)
    lake = SimpleNamespace(spans=lambda: [span], verdict=lambda _: verdict)
    monkeypatch.setattr("kontinual.cli.span._lake", lambda _: lake)
    assert shown("span", "list").count(words) == 2


@words
def test_a_schema_shows_its_reasons_as_they_are(
    monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    version = SimpleNamespace(version=1, by="ana", at=NOW, reason=words, changes=[f"- {words}"])
    stands_in = {
        "kontinual.validation": {
            "SchemaStore": lambda _: SimpleNamespace(versions=lambda: [version]),
            "ensure_schema": lambda *_: (None, version),
        },
        "kontinual.validation.schema": {"expectations": lambda _: {}, "to_text": str},
    }
    for name, members in stands_in.items():
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**members))
    monkeypatch.setattr(schema, "_in_data_environment", lambda *_: None)
    monkeypatch.setattr(schema, "_open", lambda _: (None, None))
    assert shown("schema", "show").count(words) == 2


@words
def test_a_demo_sums_up_reasons_as_they_are(words: str) -> None:
    out = StringIO()
    trigger = {"id": "1", "source": "manual", "alert": None, "decision": "hold", "run": None}
    run = {"id": words, "version": None, "seconds": 1.0, "outcome": Outcome.FAILED, "steps": []}
    parts: dict[str, Any] = {"trigger": trigger, "run": run}
    told = {name: SimpleNamespace(**p, reason=words) for name, p in parts.items()}
    nothing = SimpleNamespace(version="1", auc=None, log_loss=None)
    report = DemoReport.model_construct(
        months=[], overall=SimpleNamespace(champion=nothing, frozen=nothing), seconds=1.0,
        triggers=[told["trigger"]], runs=[told["run"]],
    )  # fmt: skip
    options = SimpleNamespace(out=Path("[/x]"))
    summarise(report, options, console=plain_console(file=out, width=300))  # type: ignore[arg-type]
    assert out.getvalue().count(words) >= 3
    assert "[/x]/report.html" in out.getvalue()


HOSTILE = "\x1b]0;title\x07 \x1b[2Jgone\x9b1m \u202egnp"
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("width", [300, 60])
def test_words_of_others_are_no_commands_to_the_terminal(width: int) -> None:
    out = StringIO()
    console = plain_console(file=out, width=width, force_terminal=True)
    table = Table("who", title=HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(coloured(HOSTILE, "green"))
    console.print(HOSTILE, table, Text(HOSTILE))
    told = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())  # Rich's own colours
    assert not COMMANDS.search(told)
    assert "\\x1b[2Jgone" in told.replace("\n", "")
    assert "\x1b[32m" in out.getvalue(), "our own colours stay"


def test_an_alert_is_no_command_to_the_terminal_that_shows_the_ledger() -> None:
    ledger = Ledger(Settings().ledger_url, "flights")
    ledger.ask(Ask(source=Source.ALERTMANAGER, alert=HOSTILE, fingerprint="f", starts_at=NOW))
    trigger = ledger.ask_by_hand("please")
    Control(ledger).withdraw(trigger.id, "ana", HOSTILE)
    ledger.close()
    told = shown("ledger", "show")
    assert not COMMANDS.search(told)
    assert told.count("\\x1b[2Jgone") == 2


def test_an_error_is_no_command_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["kontinual", "check", f"/nowhere/{HOSTILE}.yaml"])
    with pytest.raises(SystemExit, match="1"):
        main()
    assert not COMMANDS.search(capsys.readouterr().err)


def test_newlines_and_tabulators_stay() -> None:
    assert visible("a\n\tb\r\n") == "a\n\tb\\r\n"


def test_no_command_has_a_console_of_another_kind() -> None:
    library = Path(kontinual.__file__).parent
    own = re.compile(r"(?<![A-Za-z_])Console\(|\(Console\)")
    found = {p.name for p in library.rglob("*.py") if own.search(p.read_text())}
    assert found == {"terminal.py"}
