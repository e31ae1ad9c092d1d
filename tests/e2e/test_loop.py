"""The whole loop in small, as a user runs it: every part real, judged by its report alone."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.timeout(900)


def play(out: Path, *arguments: str) -> dict[str, Any]:
    """Run a small demo; returns its report. Nothing may be left afterwards, running or lying."""
    before = set(psutil.pids())
    command = [sys.executable, "-m", "kontinual", "demo", "--out", str(out), *arguments]
    # Not under `out`, whose path is too long for a Unix socket.
    with tempfile.TemporaryDirectory(prefix="kontinual-e2e-") as scratch:
        environment = {**os.environ, "TMPDIR": scratch}
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment
        )
        assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
        assert os.listdir(scratch) == []
    assert left_behind(out, before) == []
    report: dict[str, Any] = json.loads((out / "report.json").read_text())
    assert (out / "report.html").stat().st_size > 10_000
    return report


def left_behind(out: Path, before: set[int]) -> list[str]:
    """Processes that came since and know of the demo's folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if process.pid not in before and str(out) in words:
            found.append(words)
    return found


def alert_runs(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that an alert started."""
    triggers = {t["id"]: t for t in report["triggers"]}
    started = [r for r in report["runs"] if r["trigger"] in triggers]
    return [r for r in started if triggers[r["trigger"]]["source"] == "alertmanager"]


def test_the_world_changes_and_the_model_is_retrained_and_promoted(tmp_path: Path):
    report = play(tmp_path / "demo", "--months", "4-5")
    promoted = [r for r in alert_runs(report) if r["outcome"] == "promoted"]
    assert promoted
    assert [s["weight"] for s in promoted[0]["steps"]] == [5, 25, 50, 100]
    assert all(s["verdict"] == "passed" for s in promoted[0]["steps"])
    assert report["months"][-1]["champion"]["version"] != "1"
    assert {t["decision"] for t in report["triggers"]} <= {"accept", "suppress", "hold"}
    assert all(t["reason"] for t in report["triggers"])
    assert [m["month"] for m in report["months"]] == [4, 5]


def test_poisoned_data_is_refused_by_name_and_the_champion_stays(tmp_path: Path):
    report = play(tmp_path / "demo", "--months", "4", "--poison", "4")
    refused = [r for r in alert_runs(report) if r["outcome"] == "rejected_data"]
    assert refused
    assert "distance" in refused[0]["reason"]
    assert {r["outcome"] for r in alert_runs(report)} == {"rejected_data"}
    assert {m["champion"]["version"] for m in report["months"]} == {"1"}


def test_a_challenger_that_answers_wrongly_online_is_rolled_back_at_once(tmp_path: Path):
    report = play(tmp_path / "demo", "--months", "4", "--bad-challenger")
    ended = alert_runs(report)
    assert ended
    assert {r["outcome"] for r in ended} <= {"rolled_back", "rejected_model"}
    back = [r for r in ended if r["outcome"] == "rolled_back"]
    assert back
    assert all(len(r["steps"]) <= 2 for r in back)
    assert report["months"][-1]["champion"]["version"] == "1"
