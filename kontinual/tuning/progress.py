"""A search as a progress bar in the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from kontinual.spec import Metric
from kontinual.terminal import plain_console
from kontinual.tracking import TrialRecord
from kontinual.tuning.result import is_better
from kontinual.tuning.tune import Progress

__all__ = ["tuning_bar"]


@contextmanager
def tuning_bar(metric: Metric, *, console: Console | None = None) -> Iterator[Progress]:
    """A bar that shows trials done and the best so far, while the context lasts.

    Args:
        metric: what the best is known by.
        console: where to draw; default standard error, so that output stays clean.
    """
    columns = (
        TextColumn("tuning"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[best]}"),
    )
    best: float | None = None
    with Bar(*columns, console=console or plain_console(stderr=True)) as bar:
        task = bar.add_task("tuning", total=None, best="")

        def update(done: int, total: int, trial: TrialRecord) -> None:
            nonlocal best
            value = trial.metrics.get(metric)
            if value is not None and (best is None or is_better(metric, value, best)):
                best = value
                bar.update(task, best=f"best {metric} {value:.4f}, {trial.algorithm}")
            bar.update(task, completed=done, total=total)

        yield update
