"""What a notebook needs beside the library: a home of its own, and reports shown in place."""

import os
import shutil
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from kontinual.errors import ServiceError, SpecError
from kontinual.local.addresses import chosen_addresses
from kontinual.local.environment import settings_environment
from kontinual.proxies import ask_own_machine_directly
from kontinual.settings import Settings

__all__ = ["PLOT_STYLE", "Report", "fresh_home"]

PLOT_STYLE: dict[str, Any] = {
    "figure.figsize": (8, 3.4),
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": "cycler('color', ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00'])",
    "legend.frameon": False,
    "font.size": 11,
}
"""For `plt.rcParams.update`; colours that the colour-blind tell apart (Okabe and Ito 2008)."""

_MARK = ".kontinual-notebook"


def fresh_home(folder: Path, **settings: Any) -> Settings:
    """An empty folder for a stack of its own, at addresses that are free.

    The settings are exported to the environment, so that every process that the
    notebook starts reads the same, and asks this machine past any proxy.

    Args:
        folder: of this notebook alone; what an earlier execution left there is removed.
        settings: over the defaults, such as `speedup`.

    Raises:
        SpecError: the folder holds something that no notebook has put there.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).is_file():
        raise SpecError(f"{folder} holds other things; name a folder for this notebook alone")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    chosen = Settings.model_validate({"home": folder, **chosen_addresses(), **settings})
    os.environ.update(settings_environment(chosen))
    ask_own_machine_directly()
    return Settings()


@dataclass(frozen=True)
class Report:
    """An HTML report, shown in a frame of its own, where its styles reach nothing else."""

    page: str
    height: int = 600  # of the frame in pixels; it scrolls

    @classmethod
    def of_step(cls, settings: Settings, run_id: str, step: str, *, height: int = 600) -> "Report":
        """The report that a step of a run on this machine has left.

        Raises:
            ServiceError: the run has no such step, or it left none.
        """
        folder = settings.home / "runs" / run_id / "artifacts"
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.parent.name.startswith(step):
                text = path.read_text(encoding="utf-8", errors="replace")
                if "<html" in text[:500].lower():
                    return cls(text, height)
        raise ServiceError(f"step {step!r} of run {run_id!r} left no HTML report below {folder}")

    def _repr_html_(self) -> str:
        """For Jupyter."""
        return (
            f'<iframe srcdoc="{escape(self.page)}" title="report" sandbox="" style="width: 100%; '
            f'height: {self.height}px; border: 1px solid #bbb; background: white"></iframe>'
        )
