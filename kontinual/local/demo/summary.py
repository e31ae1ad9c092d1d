"""The end of a demo, in the terminal."""

from rich.console import Console
from rich.table import Table

from kontinual.local.demo.options import DemoOptions
from kontinual.local.demo.report import DemoReport, Score, TriggerReport
from kontinual.terminal import plain_console

__all__ = ["summarise"]


def summarise(report: DemoReport, options: DemoOptions, *, console: Console | None = None) -> None:
    """Print months, triggers and runs, and where the page is."""
    console = console or plain_console()
    console.print(_months(report))
    console.print(_triggers(report))
    console.print(_runs(report))
    console.print(
        f"took {report.seconds:.0f} s; the same with plots: {options.out / 'report.html'}, "
        f"for programs: {options.out / 'report.json'}"
    )


def _months(report: DemoReport) -> Table:
    table = Table(title="months: what was served against the frozen first model")
    for name in ("month", "rows", "version", "AUC", "frozen", "log loss", "frozen"):
        table.add_column(name, justify="right")
    for month in report.months:
        table.add_row(
            str(month.month),
            str(month.rows),
            month.champion.version,
            *_pair(month.champion, month.frozen),
        )
    rows = sum(month.rows for month in report.months)
    overall = report.overall
    table.add_section()
    table.add_row("all", str(rows), "", *_pair(overall.champion, overall.frozen))
    return table


def _pair(champion: Score, frozen: Score) -> list[str]:
    values = (champion.auc, frozen.auc, champion.log_loss, frozen.log_loss)
    return ["" if value is None else f"{value:.3f}" for value in values]


def _triggers(report: DemoReport) -> Table:
    """Accepted triggers one by one, the others by alert with their last reason."""
    table = Table("triggers", "alert", "decision", "reason (the last)", title="triggers")
    groups: dict[tuple[str, str, str], list[TriggerReport]] = {}
    for trigger in report.triggers:
        key = (trigger.alert or trigger.source, trigger.decision, trigger.run or "")
        groups.setdefault(key, []).append(trigger)
    for (alert, decision, _), several in groups.items():
        numbers = f"{several[0].id}" if len(several) == 1 else f"{len(several)} times"
        table.add_row(numbers, alert, decision, several[-1].reason)
    return table


def _runs(report: DemoReport) -> Table:
    table = Table("run", "outcome", "seconds", "version", "steps", "reason", title="runs")
    for run in report.runs:
        steps = " → ".join(f"{step.weight} %" for step in run.steps)
        table.add_row(
            run.id, run.outcome.value, f"{run.seconds:.0f}", run.version or "", steps, run.reason
        )
    return table
