"""Putting the trigger service together and running it."""

import logging
import shlex
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import uvicorn
from fastapi import FastAPI
from prometheus_client import disable_created_metrics
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from kontinual.browsers import LOOPBACK
from kontinual.errors import ServiceError, SpecError
from kontinual.settings import Settings
from kontinual.spec import Loop, Schedule
from kontinual.trigger.app import build_app
from kontinual.trigger.auth import Credential, Doorkeeper, Scope, load_credentials
from kontinual.trigger.champion import ChampionSource, ChampionWatch
from kontinual.trigger.contracts import LedgerDown
from kontinual.trigger.evidence import (
    EvidenceSource,
    PrometheusEvidence,
    PrometheusSource,
    RollbackEvidence,
)
from kontinual.trigger.launcher import Launcher
from kontinual.trigger.ledger import Ledger, utc_now
from kontinual.trigger.metrics import TriggerMetrics
from kontinual.trigger.page import (
    Notes,
    PrometheusFigures,
    Sessions,
    add_page,
    no_notes,
    session_key,
)
from kontinual.trigger.peer import PeerProtocol
from kontinual.trigger.policy import Policy
from kontinual.trigger.service import TriggerService
from kontinual.trigger.worker import Worker

__all__ = ["open_door", "open_patiently", "serve", "split_command"]

log = logging.getLogger(__name__)
OPEN_SECONDS = 300.0  # a start waits so long for the ledger's database


def open_door(settings: Settings, *, host: str, insecure: bool) -> Doorkeeper:
    """Who may ask, by the settings: named credentials, one shared token, client certificates.

    On a loopback address everybody may read who calls the service by it, and so is on this
    machine; elsewhere, and by another name, reading needs a credential too.

    Raises:
        SpecError: nobody could ask, and leaving credentials out was not asked for or not safe.
    """
    credentials = load_credentials(settings.credentials) if settings.credentials else []
    token = settings.token.get_secret_value()
    if token:
        credentials.append(Credential.of_token(token, name="token", scopes=Scope))
    local = host in LOOPBACK
    if not credentials and settings.tls_client_ca is None and not (insecure and local):
        raise SpecError(
            f"KONTINUAL_TOKEN is empty, and the service on {host} would let anybody start runs: "
            "set it, or KONTINUAL_CREDENTIALS, or KONTINUAL_TLS_CLIENT_CA; on 127.0.0.1 "
            "`--insecure` allows to do without"
        )
    anybody = tuple(Scope) if insecure and local else (Scope.READ,) if local else ()
    # Whom a credential names has its scopes; without any the authority's word is enough.
    certified = tuple(Scope) if not settings.credentials else ()
    return Doorkeeper(
        credentials,
        for_anybody=anybody,
        for_any_certificate=certified,
        hosts=LOOPBACK if local else (),
    )


def open_patiently(
    open_ledger: Callable[[], Ledger], *, sleep: Callable[[float], None] = time.sleep
) -> Ledger:
    """The ledger, once its database answers: a process that ended would only be started anew.

    Raises:
        LedgerDown: it did not for `OPEN_SECONDS`.
        LedgerError: it answers, but can not be used.
    """
    retrying = Retrying(
        retry=retry_if_exception_type(LedgerDown),
        stop=stop_after_delay(OPEN_SECONDS),
        wait=wait_exponential(min=1, max=10),
        before_sleep=lambda state: log.warning(
            "waiting for the ledger, for %.0f s so far: %s",
            state.seconds_since_start or 0,
            state.outcome and state.outcome.exception(),
        ),
        sleep=sleep,
        reraise=True,
    )
    return retrying(open_ledger)


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
    notes: Notes = no_notes,
    evidence: EvidenceSource | None = None,
    schedule: Schedule | None = None,
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
        notes: what the steps of a run wrote down, for the page.
        evidence: what is true now, besides whom the champion took over from; Prometheus when
            left out.
        schedule: the calendar to keep; None where another keeps it.
        insecure: allow to do without a credential on a loopback address.

    Raises:
        SpecError: no credential, or a certificate that can not be read.
        LedgerError: the ledger can not be opened; a database that is away is waited for.
        ServiceError: the port can not be had.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]
    doorkeeper = open_door(settings, host=host, insecure=insecure)
    figures = evidence or PrometheusEvidence(loop, PrometheusSource(settings.prometheus))
    ledger = open_patiently(lambda: Ledger(settings.ledger_url, loop.name))
    metrics = TriggerMetrics(loop.name)
    worker = Worker(
        ledger,
        Policy(loop, speedup=settings.speedup),
        evidence=RollbackEvidence(loop, figures, champion),
        launcher=launcher,
        metrics=metrics,
        schedule=schedule,
    )
    watch = ChampionWatch(champion, metrics)
    service = TriggerService(
        loop, ledger, worker, metrics=metrics, champion=watch, speedup=settings.speedup
    )
    metrics.watch(ledger, leads=lambda: worker.leads, clock=utc_now)
    app = build_app(service, doorkeeper=doorkeeper)
    key = session_key(settings.token.get_secret_value())
    add_page(
        app,
        service,
        Sessions(doorkeeper, key, clock=utc_now),
        figures=PrometheusFigures(loop, settings.prometheus, speedup=settings.speedup),
        notes=notes,
    )
    server = uvicorn.Server(_http(app, settings))
    with ExitStack() as stack:
        stack.callback(ledger.close)
        # Before any thread starts: who can not serve must not decide either.
        listener = stack.enter_context(_listen(host, port))
        _in_threads(stack, [worker, watch])
        log.info("the trigger service is on %s:%d", host, port)
        _run(server, listener)
    log.info("the trigger service has ended; runs in progress go on")


def _http(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Uvicorn's configuration; client certificates are asked for, and checked where given.

    A probe or a scrape needs none; what does is told 401 by the guard.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SpecError("KONTINUAL_TLS_CERT and KONTINUAL_TLS_KEY are both needed, or none")
    if settings.tls_client_ca is not None and settings.tls_cert is None:
        raise SpecError("KONTINUAL_TLS_CLIENT_CA needs KONTINUAL_TLS_CERT and KONTINUAL_TLS_KEY")
    config = uvicorn.Config(
        app,
        http="auto" if settings.tls_client_ca is None else PeerProtocol,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
        ssl_ca_certs=None if settings.tls_client_ca is None else str(settings.tls_client_ca),
        ssl_cert_reqs=ssl.CERT_NONE if settings.tls_client_ca is None else ssl.CERT_OPTIONAL,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as exc:
        raise SpecError(f"the certificates of KONTINUAL_TLS_* can not be used: {exc}") from exc
    return config


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
