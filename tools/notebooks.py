"""Keep the notebooks as they are committed: valid, and without what an execution left in them.

python tools/notebooks.py strip      # put them right
python tools/notebooks.py check      # name the first thing that is not; exit 1
"""

import sys
from pathlib import Path
from typing import Any

import nbformat

__all__ = ["FOLDER", "faults", "stripped"]

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
KEPT = {"tags"}  # of a cell's metadata


def stripped(notebook: Any) -> Any:
    """A copy without outputs, counts of execution, and an editor's metadata."""
    clean = nbformat.from_dict(notebook)
    clean.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in clean.cells:
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k in KEPT})
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return clean


def faults(path: Path) -> list[str]:
    """What keeps a notebook from being committed; nothing when it is as it should be."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (OSError, ValueError, nbformat.ValidationError) as exc:
        return [f"{path.name}: no valid notebook: {exc}"]
    found = []
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type == "code" and (cell.outputs or cell.execution_count):
            found.append(f"{path.name}: cell {number} holds what an execution left in it")
    if not found and nbformat.writes(stripped(notebook)) + "\n" != path.read_text("utf-8"):
        found.append(f"{path.name}: it holds an editor's metadata")
    return found


def main(verb: str) -> int:
    """Strip or check all notebooks; returns the exit code."""
    paths = sorted(FOLDER.glob("*.ipynb"))
    if verb == "strip":
        for path in paths:
            clean = stripped(nbformat.read(path, as_version=4))
            path.write_text(nbformat.writes(clean) + "\n", encoding="utf-8")
        return 0
    found = [fault for path in paths for fault in faults(path)]
    for fault in found:
        print(f"{fault}; put it right: make strip-notebooks", file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    if sys.argv[1:] not in (["strip"], ["check"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
