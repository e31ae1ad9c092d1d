"""Which code trained a model."""

import os
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["code_version"]


@cache
def code_version() -> str:
    """The package's version with the git revision where the code is a work tree.

    An image has no work tree; its build says the revision in `KONTINUAL_REVISION`.
    Examples: `0.1.0+g5dadb7a`, `0.1.0+g5dadb7a.dirty`, `0.1.0`.
    """
    try:
        base = version("kontinual")
    except PackageNotFoundError:
        base = "0"
    revision = os.environ.get("KONTINUAL_REVISION") or _git_revision()
    return f"{base}+g{revision}" if revision else base


def _git_revision() -> str:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(
            [*command, "--dirty=.dirty"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
