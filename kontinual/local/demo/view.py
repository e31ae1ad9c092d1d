"""What the terminal shows while the demo goes on."""

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kontinual.local.demo.score import Scoreboard
from kontinual.local.demo.watch import Watch
from kontinual.terminal import plain_console

__all__ = ["View"]


class View:
    """A live table and a progress bar; on something that is no terminal, a line per event."""

    def __init__(self, scores: Scoreboard, watch: Watch, *, rows: int) -> None:
        self._scores, self._watch = scores, watch
        self.console = plain_console()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
        )
        self._bar = self._progress.add_task("replaying rows", total=rows)
        self._live = Live(console=self.console, refresh_per_second=2, transient=False)
        self._said: set[str] = set()

    def __enter__(self) -> "View":
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.console.is_terminal:
            self._live.update(self._render())
            self._live.stop()

    def show(self) -> None:
        """Bring the screen up to date."""
        self._progress.update(self._bar, completed=self._scores.rows())
        if self.console.is_terminal:
            self._live.update(self._render())
        self._say_news()

    def finish(self) -> None:
        self._progress.update(self._bar, total=self._scores.rows(), completed=self._scores.rows())
        self._say_months(self._scores.months)

    def _render(self) -> Group:
        now = self._watch.run_in_progress
        state = f"run in progress: {now}" if now else "no run in progress"
        firing = ", ".join(self._watch.firing) or "none"
        line = (
            f"champion version {self._watch.champion or '?'} · {state} · alerts firing: {firing} · "
            f"triggers {len(self._watch.triggers)} · runs {len(self._watch.runs)}"
        )
        return Group(self.table(), line, self._progress)

    def table(self) -> Table:
        """Months so far: champion against the frozen first model."""
        table = Table(title="served champion against the frozen first model")
        for name in (
            "month",
            "rows",
            "version",
            "champion AUC",
            "frozen AUC",
            "log loss",
            "frozen",
        ):
            table.add_column(name, justify="right")
        for month in self._scores.months:
            champion, frozen = self._scores.champion(month), self._scores.frozen(month)
            if champion is None or frozen is None:
                continue
            table.add_row(
                str(month),
                str(champion.rows),
                self._scores.version(month),
                f"{champion.roc_auc:.3f}",
                f"{frozen.roc_auc:.3f}",
                f"{champion.log_loss:.3f}",
                f"{frozen.log_loss:.3f}",
            )
        return table

    def _say_news(self) -> None:
        if not self.console.is_terminal:
            self._say_months(self._scores.months[:-1])
        for trigger in self._watch.triggers:
            if trigger["decision"] == "accept":
                self._say_once(
                    f"trigger {trigger['id']} ({trigger['alert'] or trigger['source']}): "
                    f"{trigger['decision']}: {trigger['reason']}"
                )
        for run in self._watch.runs:
            if run.get("outcome"):
                self._say_once(f"run {run['id']}: {run['outcome']}: {run['reason']}")

    def _say_months(self, months: list[int]) -> None:
        if self.console.is_terminal:
            return
        for month in months:
            champion, frozen = self._scores.champion(month), self._scores.frozen(month)
            if champion and frozen and f"month {month}" not in self._said:
                self._said.add(f"month {month}")
                self._print(
                    f"month {month}: {champion.rows} rows, version {self._scores.version(month)}, "
                    f"AUC {champion.roc_auc:.3f} against the frozen model's {frozen.roc_auc:.3f}"
                )

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._print(line)

    def _print(self, line: str) -> None:
        """A whole line, however long: a log is searched, not looked at."""
        self.console.print(line, soft_wrap=True, highlight=False)
