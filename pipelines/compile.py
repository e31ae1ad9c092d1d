"""Compile the pipeline and its components to the YAML that is committed beside them.

`python -m pipelines.compile` writes the files, `--check` fails when one of them
is not what the code compiles to.
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

from kfp.compiler import Compiler

ROOT = Path(__file__).resolve().parent.parent
COMPONENTS = ["admit", "ingest", "validate", "tune", "train", "evaluate", "rollout", "record"]


def compile_all(root: Path) -> list[Path]:
    """Write every YAML below `root`; returns their paths relative to it."""
    targets = {Path("pipelines/continual_learning.yaml"): "pipelines.continual_learning"}
    targets |= {
        Path(f"components/{name}/component.yaml"): f"components.{name}.component"
        for name in COMPONENTS
    }
    for path, module in targets.items():
        name = path.stem if path.stem != "component" else path.parent.name
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Compiler().compile(getattr(importlib.import_module(module), name), str(root / path))
    return list(targets)


def stale(root: Path) -> list[Path]:
    """The committed files that are not what the code compiles to."""
    with tempfile.TemporaryDirectory() as folder:
        paths = compile_all(Path(folder))
        return [
            path
            for path in paths
            if not (root / path).is_file()
            or (root / path).read_text() != (Path(folder) / path).read_text()
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
