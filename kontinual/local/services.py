"""The services of the laptop stack: how each is started, and where it says that it is ready."""

import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from kontinual.local.environment import settings_environment
from kontinual.local.ports import address_of
from kontinual.local.programs import Program
from kontinual.local.tools import find_tool
from kontinual.rollout.envoy_config import envoy_arguments
from kontinual.settings import Settings

__all__ = ["Files", "Service", "services", "token_of"]


class Files:
    """Where the stack keeps what it renders and what its services store."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.stack = self.home / "stack"
        self.rules = self.stack / "rules.yml"
        self.prometheus = self.stack / "prometheus.yml"
        self.alertmanager = self.stack / "alertmanager.yml"
        self.token = self.stack / "token"
        self.envoy = self.home / "envoy"
        self.envoy_bootstrap = self.envoy / "envoy.json"
        self.prometheus_data = self.home / "prometheus"
        self.alertmanager_data = self.home / "alertmanager"
        self.collector_store = self.home / "collector.sqlite"


def token_of(settings: Settings) -> str:
    """The token in force: the given one, or that of the stack in the same home."""
    given, kept = settings.token.get_secret_value(), Files(settings.home).token
    return kept.read_text("ascii").strip() if not given and kept.is_file() else given


class Service(BaseModel):
    """A program of the stack, with its address."""

    model_config = ConfigDict(frozen=True)

    program: Program
    url: str
    health: str  # path below `url` that answers 200 when the service is ready
    setting: str  # environment variable that moves it to another port

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def health_url(self) -> str:
        return self.url.rstrip("/") + self.health

    @property
    def address(self) -> tuple[str, int]:
        return address_of(self.url, setting=self.setting)


def services(
    settings: Settings, files: Files, *, loop: str, token: str, kept: str
) -> list[Service]:
    """Every service but the predictors, in the order of their start.

    Args:
        settings: addresses and homes.
        files: what was rendered for them.
        loop: path or URL of the declaration.
        token: shared by Alertmanager (through its file) and trigger.
        kept: how long Prometheus keeps what it has seen, as it writes a duration.

    Raises:
        ServiceError: a tool is not installed, or an address is no address.
    """
    return [
        _prometheus(settings, files, kept),
        _alertmanager(settings, files),
        _envoy(settings, files),
        _collector(settings, files, loop),
        _trigger(settings, loop, token),
    ]


def _prometheus(settings: Settings, files: Files, kept: str) -> Service:
    command = [
        str(find_tool("prometheus")),
        f"--config.file={files.prometheus}",
        f"--storage.tsdb.path={files.prometheus_data}",
        f"--storage.tsdb.retention.time={kept}",
        f"--web.listen-address={_listen(settings.prometheus, 'KONTINUAL_PROMETHEUS')}",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]
    program = Program(name="prometheus", command=command, directory=files.stack, priority=200)
    return Service(
        program=program, url=settings.prometheus, health="/-/ready", setting="KONTINUAL_PROMETHEUS"
    )


def _alertmanager(settings: Settings, files: Files) -> Service:
    command = [
        str(find_tool("alertmanager")),
        f"--config.file={files.alertmanager}",
        f"--storage.path={files.alertmanager_data}",
        f"--web.listen-address={_listen(settings.alertmanager, 'KONTINUAL_ALERTMANAGER')}",
        "--cluster.listen-address=",  # alone: no gossip port
        "--log.level=warn",
    ]
    program = Program(name="alertmanager", command=command, directory=files.stack, priority=300)
    return Service(
        program=program,
        url=settings.alertmanager,
        health="/-/ready",
        setting="KONTINUAL_ALERTMANAGER",
    )


def _envoy(settings: Settings, files: Files) -> Service:
    command = [str(find_tool("envoy")), *envoy_arguments(files.envoy_bootstrap)]
    return Service(
        program=Program(name="envoy", command=command, directory=files.stack, priority=450),
        url=settings.gateway_admin,
        health="/ready",
        setting="KONTINUAL_GATEWAY_ADMIN",
    )


def _collector(settings: Settings, files: Files, loop: str) -> Service:
    host, port = address_of(settings.collector, setting="KONTINUAL_COLLECTOR")
    command = [
        *(sys.executable, "-m", "kontinual.collector", "--loop", loop),
        *("--host", host, "--port", str(port), "--store", str(files.collector_store)),
    ]
    program = Program(
        name="collector",
        command=command,
        environment=settings_environment(settings),
        directory=Path.cwd(),
        priority=100,
    )
    return Service(
        program=program, url=settings.collector, health="/healthz", setting="KONTINUAL_COLLECTOR"
    )


def _trigger(settings: Settings, loop: str, token: str) -> Service:
    host, port = address_of(settings.trigger, setting="KONTINUAL_TRIGGER")
    command = [
        *(sys.executable, "-m", "kontinual.trigger", "--loop", loop),
        *("--host", host, "--port", str(port)),
    ]
    program = Program(
        name="trigger",
        command=command,
        environment=settings_environment(settings, token=token),
        directory=Path.cwd(),
        priority=900,
    )
    return Service(
        program=program, url=settings.trigger, health="/healthz", setting="KONTINUAL_TRIGGER"
    )


def _listen(url: str, setting: str) -> str:
    host, port = address_of(url, setting=setting)
    return f"{host}:{port}"
