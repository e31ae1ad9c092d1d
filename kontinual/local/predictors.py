"""Predictors, one process per model version, kept by supervisord and known to Prometheus."""

import json
import re
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from kontinual.errors import ServiceError
from kontinual.local.environment import settings_environment
from kontinual.local.ports import address_of, first_free_port
from kontinual.local.programs import Program, write_private
from kontinual.local.readiness import wait_ready
from kontinual.local.supervisor import Supervisor
from kontinual.settings import Settings

__all__ = ["SupervisedPredictors"]

READY_SECONDS = 120
# Predictors listen above the gateway's port: outside the range from which the
# system takes the ports of clients, so a port is still free after a restart.
FIRST_PORT, LAST_PORT = 100, 999


class _Predictor(BaseModel):
    """What is kept of a predictor: `predictors/<version>.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    package: Path
    port: int


class SupervisedPredictors:
    """Starts and stops predictors.

    All state is in files, so predictors survive a restart of supervisord, and
    any process with the same settings may stop what another one started.
    """

    def __init__(self, settings: Settings, supervisor: Supervisor | None = None) -> None:
        self._settings = settings
        self._supervisor = supervisor or Supervisor(settings.home / "stack")
        self._folder = self._supervisor.folder / "predictors"
        self.targets_file = self._supervisor.folder / "predictors.json"

    def start(self, version: str, package: Path) -> int:
        """Start the predictor of a version and wait until it is ready; returns its port.

        A version that runs already, with the same package, is left as it is.

        Raises:
            ServiceError: the stack is not up, or the predictor did not come up. Then
                nothing of it is left.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", version):
            raise ServiceError(f"a version is a short name like 7, but got {version!r}")
        if not self._supervisor.is_running():
            raise ServiceError("the stack is not up; start it with `kontinual up`")
        predictor = self._known(version, package.resolve())
        try:
            self._keep(predictor)
            self.wait_ready(version)
            self._write_targets()  # not sooner: one that starts is not down
        except BaseException:
            self.stop(version)
            raise
        return predictor.port

    def stop(self, version: str) -> None:
        """Take a predictor out of Prometheus' targets and end it; nothing if there is none."""
        (self._folder / f"{version}.json").unlink(missing_ok=True)
        self._write_targets()
        self._supervisor.remove(_program_name(version))

    def running(self) -> dict[str, int]:
        """The port of each version that is kept running."""
        return {p.version: p.port for p in self._records()}

    def wait_ready(self, version: str) -> None:
        """Wait until a predictor that was started answers.

        Raises:
            ServiceError: it does not; quotes the end of its log.
        """
        name = _program_name(version)
        wait_ready(
            name,
            self.health_url(version),
            log=self._supervisor.log_of(name),
            failure=self._supervisor.failure_of(name),
            seconds=READY_SECONDS,
        )

    def health_url(self, version: str) -> str:
        """Answers 200 when the predictor of a version is ready."""
        return f"http://{self._settings.host}:{self.running()[version]}/v2/health/ready"

    def refresh(self) -> None:
        """Write programs and targets of all known predictors anew, by the present settings."""
        records = self._records()
        self._write_targets()
        self._supervisor.put(*(self._program(p) for p in records))

    def _known(self, version: str, package: Path) -> _Predictor:
        for predictor in self._records():
            if predictor.version == version and predictor.package == package:
                return predictor
        _, gateway = address_of(self._settings.gateway_url, setting="KONTINUAL_GATEWAY_URL")
        port = first_free_port(
            self._settings.host,
            range(gateway + FIRST_PORT, gateway + LAST_PORT),
            taken=self.running().values(),
        )
        return _Predictor(version=version, package=package, port=port)

    def _keep(self, predictor: _Predictor) -> None:
        record = self._folder / f"{predictor.version}.json"
        write_private(record, predictor.model_dump_json())
        self._supervisor.put(self._program(predictor))

    def _program(self, predictor: _Predictor) -> Program:
        settings = self._settings
        return Program(
            name=_program_name(predictor.version),
            command=[
                *(sys.executable, "-m", settings.predictor_module),
                *("--package", str(predictor.package), "--version", predictor.version),
                *("--host", settings.host, "--port", str(predictor.port)),
                *("--collector", settings.collector),
            ],
            environment=settings_environment(settings),
            directory=self._supervisor.folder,
            priority=400,
        )

    def _records(self) -> list[_Predictor]:
        paths = sorted(self._folder.glob("*.json"))
        return [_Predictor.model_validate_json(path.read_bytes()) for path in paths]

    def _write_targets(self) -> None:
        """Prometheus' file_sd: replaced at once, so it is never read half-written."""
        targets = [
            {"targets": [f"{self._settings.host}:{p.port}"], "labels": {"job": "predictor"}}
            for p in self._records()
        ]
        write_private(self.targets_file, json.dumps(targets, indent=2))


def _program_name(version: str) -> str:
    return f"predictor-{version}"
