"""Putting the trigger service together and running it."""

import logging
import shlex
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import ExitStack

import uvicorn
from fastapi import FastAPI
from prometheus_client import disable_created_metrics

from kontinual.errors import ServiceError, SpecError
from kontinual.settings import Settings
from kontinual.spec import Loop
from kontinual.trigger.app import TriggerService, build_app
from kontinual.trigger.champion import ChampionSource, ChampionWatch
from kontinual.trigger.evidence import EvidenceSource, PrometheusEvidence, PrometheusSource
from kontinual.trigger.launcher import Launcher
from kontinual.trigger.ledger import Ledger, utc_now
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.policy import Policy
from kontinual.trigger.worker import Worker

__all__ = ["check_token", "serve", "split_command"]

log = logging.getLogger(__name__)
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def check_token(token: str, *, host: str, insecure: bool) -> str | None:
    """The token to ask for; None when everybody may write.

    Raises:
        SpecError: there is none, and leaving it out was not asked for or is not safe.
    """
    if token:
        return token
    if insecure and host in LOOPBACK:
        return None
    raise SpecError(
        f"KONTINUAL_TOKEN is empty, and the service on {host} would let anybody start runs: "
        "set a token; on 127.0.0.1 `--insecure` allows to do without"
    )


def split_command(text: str) -> list[str]:
    """A command line as words; SpecError when there are none or a quote is open."""
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise SpecError(f"--run-command {text!r} is not a command line: {exc}") from exc
    if not words:
        raise SpecError("--run-command is empty; give the command that runs the pipeline")
    return words


def serve(
    loop: Loop,
    settings: Settings,
    *,
    host: str,
    port: int,
    launcher: Launcher,
    champion: ChampionSource,
    evidence: EvidenceSource | None = None,
    insecure: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT. Runs go on without the service; the next one adopts them.

    Args:
        loop: the loop.
        settings: where things are.
        host: address to serve on.
        port: of HTTP.
        launcher: where runs run.
        champion: who is champion.
        evidence: what is true now; Prometheus when left out.
        insecure: allow to do without a token on a loopback address.

    Raises:
        SpecError: no token.
        LedgerError: the ledger can not be opened.
        ServiceError: the port can not be had.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    token = check_token(settings.token.get_secret_value(), host=host, insecure=insecure)
    ledger, metrics = Ledger(settings.ledger_url, loop.name), TriggerMetrics(loop.name)
    worker = Worker(
        ledger,
        Policy(loop, speedup=settings.speedup),
        evidence=evidence or PrometheusEvidence(loop, PrometheusSource(settings.prometheus)),
        launcher=launcher,
        metrics=metrics,
    )
    watch = ChampionWatch(champion, metrics)
    service = TriggerService(
        loop, ledger, worker, metrics=metrics, champion=watch, speedup=settings.speedup
    )
    metrics.watch(
        lambda: ledger.triggers(only_open=True), lambda: ledger.runs(only_open=True), utc_now
    )
    server = uvicorn.Server(_http(build_app(service, token=token)))
    with ExitStack() as stack:
        stack.callback(ledger.close)
        # Before any thread starts: who can not serve must not decide either.
        listener = stack.enter_context(_listen(host, port))
        _in_threads(stack, [worker, watch])
        log.info("the trigger service is on %s:%d", host, port)
        _run(server, listener)
    log.info("the trigger service has ended; runs in progress go on")


def _http(app: FastAPI) -> uvicorn.Config:
    return uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as exc:
        raise ServiceError(f"nothing can be served on {host}:{port}: {exc}") from exc


def _in_threads(stack: ExitStack, services: Sequence[Worker | ChampionWatch]) -> None:
    """Run each in a thread for as long as the stack is open."""
    for service in services:
        thread = threading.Thread(
            target=service.run_forever, name=type(service).__name__, daemon=True
        )
        thread.start()
        stack.callback(thread.join, service.stop_seconds)
        stack.callback(service.stop)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Serve until a signal. uvicorn raises it again when it is done: it has been obeyed then."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
