"""Compile the pipeline and its components to the YAML and READMEs that are committed beside them.

`python -m pipelines.compile` writes the files, `--check` fails when one of them
is not what the code compiles to.
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from kfp.compiler import Compiler
from kfp.components import load_component_from_file

from pipelines.readme import readme

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ["admit", "ingest", "validate", "tune", "train", "evaluate", "rollout", "record"]


def compile_all(root: Path) -> list[Path]:
    """Write every generated file below `root`; returns their paths relative to it."""
    paths = [_compile(root, Path("pipelines/continual_learning.yaml"), "continual_learning")]
    for name in COMPONENTS:
        folder = Path("components") / name
        paths.append(_compile(root, folder / "component.yaml", name))
        component = load_component_from_file(str(root / folder / "component.yaml"))
        # What is not generated is read where it is kept.
        text = readme(component, ROOT / folder)
        (root / folder / "README.md").write_text(text, encoding="utf-8")
        paths.append(folder / "README.md")
    return paths


def _compile(root: Path, path: Path, name: str) -> Path:
    """Compile the function `name`, which stands in the module beside the YAML."""
    source = importlib.import_module(".".join([*path.parent.parts, path.stem]))
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Compiler().compile(getattr(source, name), str(root / path))
    return path


def stale(root: Path) -> list[Path]:
    """The committed files that are not what the code compiles to."""
    with tempfile.TemporaryDirectory() as folder:
        paths = compile_all(Path(folder))
        return [
            path
            for path in paths
            if not (root / path).is_file()
            or (root / path).read_text("utf-8") != (Path(folder) / path).read_text("utf-8")
        ]


def main() -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    if not parser.parse_args().check:
        print("\n".join(f"wrote {path}" for path in compile_all(ROOT)))
        return 0
    wrong = stale(ROOT)
    for path in wrong:
        print(f"{path}: not what the code compiles to; run `make compile`", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
