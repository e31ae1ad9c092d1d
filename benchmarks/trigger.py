"""Webhooks per second of the trigger service against a handler that stores one row, durably.

* trigger: the service as it is in production, in a process of its own: its credentials,
  checks, ledger, log, metrics, and the worker that decides about each alert meanwhile. Each webhook
  brings one alert that was never there before, and a real Prometheus confirms it.
* bare: FastAPI on the same server with the same settings; it parses the body and commits
  one row with it.

Both answer when what they keep is on the disk: SQLite in WAL mode with synchronous=FULL, or a
PostgreSQL of their own with fsync. wrk posts over kept connections, in turn, each time to a new
process on a new database; medians are told, and ratios are taken within a round. What was
acknowledged is counted in the database afterwards.

Then a burst: so many different alerts fire at once in a real Alertmanager, which is configured as
`kontinual render` does, and delivers them in groups. All have to be in the ledger, decided, and
one run started.
"""

import json
import signal
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

# Run as a file, from any folder: the PostgreSQL of the tests lies beside this one's folder.
sys.path.insert(1, str(Path(__file__).resolve().parent.parent))

import typer
from harness.wrk import need_wrk
from rich.console import Console
from rich.progress import track
from rich.table import Table
from webhooks.bare import serve
from webhooks.burst import burst
from webhooks.rate import Databases, Load, load
from webhooks.world import prometheus

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
KINDS = ("sqlite", "postgresql")
VARIANTS = ("bare", "trigger")
Figures = dict[str, dict[str, float]]


@app.command()
def bare(database: str, port: int) -> None:
    """Serve the bare handler (used by `run`)."""
    serve(database, port)


@app.command()
def run(
    seconds: Annotated[float, typer.Option(min=1, max=60, help="Load per variant, round.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, max=30, help="Turns of both variants.")] = 5,
    connections: Annotated[int, typer.Option(min=1, max=256, help="Kept open by wrk.")] = 32,
    alerts: Annotated[int, typer.Option(min=1, max=50_000, help="In the burst.")] = 10_000,
    out: Annotated[Path, typer.Option(help="Where the figures go.")] = Path(
        "build/bench/trigger.json"
    ),
) -> None:
    """Measure on both databases, print tables and write the figures."""
    need_wrk()
    # Ended from outside, it ends its servers too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    console, much = Console(), Load(seconds, connections)
    report: dict[str, Any] = {"setting": {"seconds": seconds, "connections": connections}}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(prometheus(home))
        for kind in KINDS:
            databases = Databases(stack, kind)
            samples = [
                _round(databases, home / f"{kind}-{number}", url, much, turn=number)
                for number in track(range(rounds), f"load, {kind}", console=console)
            ]
            report[kind] = {**summary(samples), "rounds": samples}
            console.print(f"a burst of {alerts:,} alerts, {kind} …")
            folder = home / f"{kind}-burst"
            folder.mkdir()
            report[kind]["burst"] = burst(databases.new(folder), folder, url, alerts=alerts)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n")
    show(console, report)
    console.print(f"written to {out}")


def _round(databases: Databases, home: Path, url: str, much: Load, *, turn: int) -> Figures:
    """Both variants, each first every other time."""
    figures = {}
    for variant in VARIANTS[:: -1 if turn % 2 else 1]:
        folder = home / variant
        folder.mkdir(parents=True)
        figures[variant] = load(variant, databases, folder, url, much)
    return figures


def summary(samples: list[Figures]) -> dict[str, Any]:
    """Medians per variant, and the medians of the ratios within rounds."""
    figures = {
        variant: {k: statistics.median(s[variant][k] for s in samples) for k in samples[0][variant]}
        for variant in VARIANTS
    }

    def ratio(key: str) -> float:
        return statistics.median(s["trigger"][key] / s["bare"][key] for s in samples)

    return {"variants": figures, "of_bare": ratio("per_second"), "p99_of_bare": ratio("p99_ms")}


def show(console: Console, report: dict[str, Any]) -> None:
    """Print the tables."""
    table = Table("database", "variant", "webhooks/s", "p50 ms", "p99 ms")
    for kind in KINDS:
        for variant, figures in report[kind]["variants"].items():
            rate, p50, p99 = (figures[k] for k in ("per_second", "p50_ms", "p99_ms"))
            table.add_row(kind, variant, f"{rate:,.0f}", f"{p50:.1f}", f"{p99:.1f}")
    console.print(table)
    for kind in KINDS:
        told, burst_told = report[kind], report[kind]["burst"]
        console.print(
            f"{kind}: {told['of_bare']:.2f} of the bare handler's webhooks (aim: 0.7), p99"
            f" {told['p99_of_bare']:.2f} of its\n  the burst: {burst_told['in_ledger']:,} alerts in"
            f" the ledger after {burst_told['recorded_seconds']:.1f} s, {burst_told['decided']:,}"
            f" decided after {burst_told['decided_seconds']:.1f} s, {burst_told['runs']} run"
        )


if __name__ == "__main__":
    if len(sys.argv) == 1 or (sys.argv[1].startswith("--") and sys.argv[1] != "--help"):
        sys.argv.insert(1, "run")
    app()
