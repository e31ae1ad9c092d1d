"""Each notebook runs from top to bottom, as a reader would run it, and shows what it promises.

What was executed is kept in build/notebooks, to be looked at.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest
from nbclient import NotebookClient

from kontinual.spec import load_loop
from tests.integration.trigger.conftest import FakePrometheus, free_port, wait_until
from tests.integration.tuning.conftest import good
from tests.kfp.server import KfpServer, kfp_server
from tests.notebooks.kubeflow_world import TEAM, KubeflowWorld

ROOT = Path(__file__).parents[2]
EXECUTED = ROOT / "build" / "notebooks"
CELL_SECONDS = 900
Outputs = list[list[dict[str, Any]]]


def execute(name: str, **parameters: Any) -> Outputs:
    """Run a notebook with these parameters over its own; what each code cell gave."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    at = next(i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", []))
    given = "\n".join(f"{key} = {value!r}" for key, value in parameters.items())
    notebook.cells.insert(at + 1, nbformat.v4.new_code_cell(given))
    where = {"metadata": {"path": str(path.parent)}}
    try:
        NotebookClient(
            notebook, timeout=CELL_SECONDS, kernel_name="python3", resources=where
        ).execute()
    finally:
        EXECUTED.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, EXECUTED / path.name)
    return [list(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]


def printed(outputs: Outputs) -> str:
    return "".join(o["text"] for cell in outputs for o in cell if o.get("name") == "stdout")


def tables(outputs: Outputs) -> list[str]:
    return [
        o["data"]["text/html"] for cell in outputs for o in cell if "text/html" in o.get("data", {})
    ]


def plots(outputs: Outputs) -> int:
    return sum("image/png" in o.get("data", {}) for cell in outputs for o in cell)


def assert_quiet(outputs: Outputs) -> None:
    """No warning comes between a reader and what is shown."""
    assert [o["text"] for cell in outputs for o in cell if o.get("name") == "stderr"] == []


def test_the_loop_is_closed_from_the_declaration_to_the_next_champion():
    outputs = execute(
        "01-close-the-loop", HOME="build/notebooks/test-01", ROWS_PER_MONTH=1600, TRIALS=3
    )
    assert_quiet(outputs)
    text = printed(outputs)
    assert "flights-first: promoted: version 1 is the first champion" in text
    assert "promoted: version 2 passed every step and took over from 1" in text
    assert "champion is now version 2" in text
    assert "accept: " in text
    assert "whole: " in text
    assert text.endswith("nothing of the stack runs any more\n")
    assert plots(outputs) == 6


def test_a_table_becomes_a_declaration_and_a_first_champion():
    outputs = execute("02-your-own-data", HOME="build/notebooks/test-02", TRIALS=2)
    assert_quiet(outputs)
    text = printed(outputs)
    assert "data.label.delay: a duration is written like 90s, 6h, 1d12h or 4w" in text
    assert "data.slicez: unknown key, did you mean `slices`?" in text
    assert "loop 'rain' is valid" in text
    assert "rain-first: promoted: version 1 is the first champion" in text
    assert "says version 1" in text
    assert "range: [0, 100], unit: mph" in text
    assert "{'humid': 'wet'} → 400" in text
    assert text.endswith("nothing of the stack runs any more\n")
    assert plots(outputs) == 3


@pytest.fixture
def loop_file(tmp_path: Path) -> Path:
    """The flights, small, with a person who approves; its history is in the lake."""
    text = (ROOT / "examples" / "flights" / "loop.yaml").read_text(encoding="utf-8")
    for before, after in {
        "cooldown: 35d": "cooldown: 0s\n  approval: always",
        "trials: 8, parallel: 2": "trials: 5, katib: {keep: true}, parallel: 2",
        "step_duration: 3d": "step_duration: 1s",
        "algorithm: tpe, seed": "algorithm: random, seed",
    }.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    start = text.index("    - algorithm: hist_gradient_boosting")
    end = text.index("    - algorithm: logistic_regression")
    path = tmp_path / "loop.yaml"
    path.write_text(text[:start] + text[end:] + "schedule: {every: 7d, paused: true}\n")
    (tmp_path / "lake" / "flights").mkdir(parents=True)
    (tmp_path / "lake" / "flights" / "history.parquet").touch()
    return path


@pytest.fixture
def kfp() -> Iterator[KfpServer]:
    with kfp_server(multi_user=True, tokens={"fresh": {TEAM}}) as server:
        yield server


@pytest.fixture
def kubeflow(
    loop_file: Path, tmp_path: Path, kfp: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubeflowWorld]:
    """The cluster, with the environment by which everybody finds it."""
    prometheus = FakePrometheus()
    loop = load_loop(str(loop_file))
    prometheus.is_ripe(loop)
    kubeconfig = tmp_path / "kubeconfig"
    for name, value in {
        "KUBECONFIG": kubeconfig,
        "KONTINUAL_HOME": tmp_path / "home",
        "KONTINUAL_LAKE": tmp_path / "lake",
        "KONTINUAL_PACKAGES": tmp_path / "packages",
        "KONTINUAL_TOKEN": "secret",
        "KONTINUAL_PROMETHEUS": prometheus.url,
        "KONTINUAL_TRIGGER": f"http://127.0.0.1:{free_port()}",
        "KONTINUAL_LAUNCHER": "kfp",
        "KONTINUAL_KFP": kfp.url,
        "KONTINUAL_KFP_NAMESPACE": TEAM,
        "KONTINUAL_KFP_TOKEN": "fresh",
        "KONTINUAL_REGISTRY": "registry.example/team",
    }.items():
        monkeypatch.setenv(name, str(value))
    with KubeflowWorld(tmp_path / "cluster", loop, kfp, trial=good) as world:
        kubeconfig.write_text(json.dumps(world.server.kubeconfig(namespace=TEAM)))
        yield world
    prometheus.close()


@pytest.fixture
def trigger(loop_file: Path, tmp_path: Path, kubeflow: KubeflowWorld) -> Iterator[None]:
    """The real trigger service."""
    url = os.environ["KONTINUAL_TRIGGER"]
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "kontinual.trigger"]
    log = tmp_path / "trigger.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--loop", str(loop_file), "--port", port], stderr=file, cwd=tmp_path
        )

    def healthy() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"{url}/healthz", timeout=30).is_success
        except httpx.TransportError:
            return False

    try:
        wait_until(healthy, 120)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


@pytest.mark.usefixtures("trigger")
def test_a_loop_is_published_run_approved_and_rolled_out_on_kubeflow(
    loop_file: Path, kubeflow: KubeflowWorld, kfp: KfpServer
):
    outputs = execute("03-on-kubeflow", LOOP=str(loop_file))
    assert_quiet(outputs)
    text = printed(outputs)
    assert "lake/flights/loop.yaml: created" in text
    assert "would be: pipeline continual-learning: created" in text
    assert "hold, by rule approval: everything speaks for it; a person has to approve" in text
    assert "promoted: version 2 passed every step and took over from 1" in text
    assert "traffic {'1': 50, '2': 50}" in text or "traffic {'2': 50, '1': 50}" in text
    assert "5 trials" in text
    (trials,) = (html for html in tables(outputs) if "logistic_regression,C=1.0" in html)
    assert trials.count("Succeeded") == 5
    assert [run["state"] for run in kfp.runs()] == ["SUCCEEDED", "SUCCEEDED"]
    assert kubeflow.registry.champion() == "2"
    assert plots(outputs) == 2
