"""Finding the programs that are not Python: Prometheus, Alertmanager, Envoy and their checkers."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from kontinual.errors import ServiceError

__all__ = ["find_tool"]

# Debian calls Alertmanager by a longer name.
_NAMES = {"alertmanager": ("alertmanager", "prometheus-alertmanager")}


def find_tool(name: str, *, environ: Mapping[str, str] | None = None) -> Path:
    """The absolute path of a program.

    Looked for, in this order: the variable `KONTINUAL_TOOL_<NAME>`, `PATH`,
    `.tools/usr/bin` below the working directory and below the source tree
    (where `make setup` puts what the system lacks), and next to the Python
    interpreter (where wheels put theirs).

    Raises:
        ServiceError: there is none, or the variable names no program.
    """
    environ = os.environ if environ is None else environ
    variable = f"KONTINUAL_TOOL_{name.upper()}"
    if chosen := environ.get(variable):
        return _chosen(variable, chosen)
    for folder in [environ.get("PATH", ""), *_own_folders()]:
        for candidate in _NAMES.get(name, (name,)):
            if found := shutil.which(candidate, path=folder):
                return Path(found).absolute()
    raise ServiceError(
        f"{name} was not found on PATH or in .tools/usr/bin; run `make setup`, or set"
        f" {variable} to the program"
    )


def _chosen(variable: str, value: str) -> Path:
    if found := shutil.which(value):
        return Path(found).absolute()
    raise ServiceError(f"{variable} must name a program that can be run, but got {value!r}")


def _own_folders() -> list[str]:
    source = Path(__file__).resolve().parents[2]
    return [
        *(str(root / ".tools" / "usr" / "bin") for root in (Path.cwd(), source)),
        str(Path(sys.executable).parent),
    ]
