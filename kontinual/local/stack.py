"""The laptop stack: every service a real process, started together and ended together."""

from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx
from filelock import FileLock
from pydantic import BaseModel

from kontinual.errors import ServiceError
from kontinual.home import claim
from kontinual.interpreters import data_interpreter
from kontinual.local.leash import Leash
from kontinual.local.ports import address_of, require_free
from kontinual.local.predictors import SupervisedPredictors
from kontinual.local.readiness import answers, wait_ready
from kontinual.local.rendering import keep_token, render_files
from kontinual.local.services import Files, Service, services
from kontinual.local.supervisor import Supervisor
from kontinual.monitoring import Timing
from kontinual.settings import Settings
from kontinual.spec import load_loop

__all__ = ["ServiceStatus", "Stack"]

READY_SECONDS = 120
Report = Callable[[str], None]


class ServiceStatus(BaseModel):
    """One line of `kontinual status`."""

    name: str
    state: str  # ready | starting | down | failed
    pid: int | None = None
    uptime_seconds: float = 0
    url: str
    log: Path


class Stack:
    """Prometheus, Alertmanager, Envoy, collector, trigger and the predictors of one loop.

    An owned stack lives no longer than this process, even if that is killed; one
    that is not owned is detached and stays until `down`. As a context manager it
    is up within the block.
    """

    def __init__(self, settings: Settings, loop: str | Path, *, owned: bool = False) -> None:
        """Nothing is started yet.

        Args:
            settings: addresses and homes.
            loop: path or fsspec URL of the declaration.
            owned: end the stack when this process ends, however it ends.
        """
        self.settings = settings
        self.loop = str(loop) if "://" in str(loop) else str(Path(loop).resolve())
        self.files = Files(settings.home)
        self.supervisor = Supervisor(self.files.stack)
        self.predictors = SupervisedPredictors(settings, self.supervisor)
        self._lock = FileLock(self.files.stack / "stack.lock")
        self._owned = owned
        self._leash: Leash | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self, *, report: Report = lambda _: None) -> None:
        """Start what does not run, with the present settings, and wait until all is ready.

        Args:
            report: told the name of each service when it is ready.

        Raises:
            SpecError: the declaration is wrong.
            ServiceError: a tool or the data environment is missing, a port is taken, or a
                service did not come up. What this call started is ended again.
        """
        loop = load_loop(self.loop)
        if self.settings.launcher == "local":
            data_interpreter(self.settings)  # a run needs it; now is the time to say so
        claim(self.files.home, loop.name, self.loop)
        with self._lock:
            token = keep_token(self.files, self.settings.token.get_secret_value())
            timing = Timing(loop, self.settings.speedup)
            wanted = self._services(token, kept=timing.text(timing.kept))
            changed = render_files(
                loop, self.settings, self.files, predictors=self.predictors.targets_file
            )
            was_running = self.supervisor.is_running()
            try:
                self._start(wanted, reload=changed and was_running)
                self._wait(wanted, report)
            except BaseException:
                if not was_running:
                    self._end()
                raise

    def down(self) -> None:
        """End everything, runs first; returns when no process is left."""
        if not self.files.stack.is_dir():
            return
        with self._lock:
            self._end()

    def status(self) -> list[ServiceStatus]:
        """Every service and predictor, as they are now."""
        lines = [(s.name, s.url, s.health_url) for s in self._services()]
        lines += [
            (f"predictor-{version}", f"http://{self.settings.host}:{port}", "")
            for version, port in self.predictors.running().items()
        ]
        return [self._status(*line) for line in lines]

    def _services(self, token: str = "", *, kept: str = "") -> list[Service]:
        """The services; left out is what only those need that are to be started."""
        return services(self.settings, self.files, loop=self.loop, token=token, kept=kept)

    def _start(self, wanted: list[Service], *, reload: bool) -> None:
        if not self.supervisor.is_running():
            self.supervisor.shutdown()  # orphans of a supervisord that was killed hold the ports
        self._require_ports(wanted)
        if self._owned and self._leash is None:
            self._leash = Leash(self.files.stack)
        self.supervisor.put(*(s.program for s in wanted))
        self.predictors.refresh()
        self.supervisor.start()
        self.supervisor.revive()
        if reload:
            self._reload()

    def _end(self) -> None:
        self.supervisor.shutdown()
        if self._leash is not None:
            self._leash.release()
            self._leash = None

    def _require_ports(self, wanted: list[Service]) -> None:
        """Refuse to start a service whose port another process holds."""
        up = {name for name, state in self.supervisor.states().items() if state.is_up}
        needed = [(s.name, *s.address, s.setting) for s in wanted]
        gateway = address_of(self.settings.gateway_url, setting="KONTINUAL_GATEWAY_URL")
        needed.append(("envoy", *gateway, "KONTINUAL_GATEWAY_URL"))
        for name, host, port, setting in needed:
            if name not in up:
                remedy = (
                    f"end that process, set {setting} to http://{host}:<another port>, or let "
                    "`kontinual up --free-ports` choose for all services"
                )
                require_free(host, port, service=name, remedy=remedy)

    def _wait(self, wanted: list[Service], report: Report) -> None:
        for service in wanted:
            wait_ready(
                service.name,
                service.health_url,
                log=self.supervisor.log_of(service.name),
                failure=self.supervisor.failure_of(service.name),
                seconds=READY_SECONDS,
            )
            report(service.name)
        for version in self.predictors.running():
            self.predictors.wait_ready(version)
            report(f"predictor-{version}")

    def _reload(self) -> None:
        """Let Prometheus and Alertmanager read their changed configuration."""
        for url in (self.settings.prometheus, self.settings.alertmanager):
            if not answers(f"{url}/-/ready"):
                continue  # just started: it reads the new files anyway
            answer = httpx.post(f"{url}/-/reload", timeout=30, trust_env=False)
            if answer.is_error:
                raise ServiceError(f"{url} refused its new configuration: {answer.text.strip()}")

    def _status(self, name: str, url: str, health_url: str) -> ServiceStatus:
        state = self.supervisor.states().get(name)
        log = self.supervisor.log_of(name)
        if state is None:
            return ServiceStatus(name=name, state="down", url=url, log=log)
        ready = state.is_up and answers(health_url or f"{url}/v2/health/ready")
        word = "ready" if ready else "failed" if state.is_given_up else "starting"
        return ServiceStatus(
            name=name,
            state=word,
            pid=state.pid,
            uptime_seconds=state.uptime_seconds,
            url=url,
            log=log,
        )
