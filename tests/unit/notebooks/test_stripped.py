"""What is committed of a notebook is what a person wrote, and nothing that a run left in it."""

import importlib.util
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def load_tool() -> Any:
    spec = importlib.util.spec_from_file_location("notebooks", ROOT / "tools" / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_tool()


def test_the_notebooks_are_there():
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["01-close-the-loop", "02-your-own-data", "03-on-kubeflow"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_valid_stripped_and_can_be_given_parameters(path: Path):
    assert tool.faults(path) == []
    cells = nbformat.read(path, as_version=4).cells
    assert cells[0].cell_type == "markdown", "a notebook says first what it is about"
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == [next(cell for cell in cells if cell.cell_type == "code")]
    assert len({cell.id for cell in cells}) == len(cells)


def executed(notebook: Any) -> None:
    notebook.cells[-1].execution_count = 7


def with_output(notebook: Any) -> None:
    text = nbformat.v4.new_output("stream", name="stdout", text="secret")
    next(c for c in notebook.cells if c.cell_type == "code").outputs = [text]


def of_an_editor(notebook: Any) -> None:
    notebook.cells[0].metadata["vscode"] = {"languageId": "python"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (executed, "holds what an execution left in it"),
        (with_output, "cell 2 holds what an execution left in it"),
        (of_an_editor, "it holds an editor's metadata"),
    ],
)
def test_what_a_run_or_an_editor_left_is_found_and_stripped(
    tmp_path: Path, spoil: Any, message: str
):
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    spoil(notebook)
    path = tmp_path / "spoilt.ipynb"
    nbformat.write(notebook, path)
    (fault,) = tool.faults(path)
    assert message in fault
    nbformat.write(tool.stripped(nbformat.read(path, as_version=4)), path)
    assert tool.faults(path) == []
    assert path.read_bytes() == NOTEBOOKS[0].read_bytes()


def test_what_is_no_notebook_is_named(tmp_path: Path):
    path = tmp_path / "broken.ipynb"
    path.write_text("{}")
    (fault,) = tool.faults(path)
    assert "broken.ipynb: no valid notebook" in fault
