"""`kontinual demo`: the whole loop on this machine, on real flights."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False)


@app.command()
def demo(
    months: Annotated[str, typer.Option(help="months to replay, within 3-12")] = "3-12",
    rows: Annotated[int, typer.Option(help="rows a month while the loop is not busy")] = 8000,
    batch: Annotated[
        int, typer.Option(help="rows that one request asks for; one while the loop is busy")
    ] = 10,
    rate: Annotated[float, typer.Option(help="requests a second")] = 70.0,
    seed: Annotated[int, typer.Option(help="of the sample and of every run")] = 0,
    poison: Annotated[
        int | None, typer.Option(help="a month whose units an upstream release changes")
    ] = None,
    bad_challenger: Annotated[
        bool,
        typer.Option("--bad-challenger", help="challengers answer wrongly once they are online"),
    ] = False,
    loop: Annotated[Path, typer.Option(help="the declaration")] = Path(
        "examples/flights/loop.yaml"
    ),
    out: Annotated[Path, typer.Option(help="where report and state go")] = Path("build/demo"),
) -> None:
    """Serve a model, let the world change, and watch the loop keep the model good.

    January and February 2013 train the first model; the following months are
    replayed as predictions, and their labels come late. Real Prometheus,
    Alertmanager, Envoy, KServe and TFDV do the rest. About 9 minutes.
    """
    from kontinual.local.demo import DemoOptions, parse_months, summarise
    from kontinual.local.demo import demo as run

    options = DemoOptions(
        loop=loop,
        out=out,
        months=parse_months(months),
        rows_per_month=rows,
        rows_per_request=batch,
        rate=rate,
        seed=seed,
        poison=poison,
        bad_challenger=bad_challenger,
    )
    try:
        report = run(options)
    except KeyboardInterrupt:
        print("\nkontinual: stopped by Ctrl-C; the stack is down, nothing is left running")
        raise typer.Exit(130) from None
    summarise(report, options)
