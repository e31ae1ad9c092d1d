"""Kubeflow in small: its pipelines' API, a cluster with Katib and KServe, and pods at work.

The servers are the imitations of tests/kfp and tests/kube, the controllers those of tests/cluster.
What a run does in them is Kontinual's own: it searches by Katib and rolls out by KServe.
"""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "rollout"))

from kontinual.lake import Lake
from kontinual.rollout import rollout
from kontinual.settings import Settings
from kontinual.spec import Loop, RunRecord
from kontinual.tuning.katib import Clock, KatibApi, tune_on_katib
from tests.cluster.imitation.katib import KatibController, admit
from tests.cluster.imitation.kserve.controller import Cluster
from tests.integration.rollout.kserve_world import TEAM, KServeWorld
from tests.integration.tuning.conftest import MemoryTracker, scripted, task
from tests.kfp.server import KfpServer
from tests.kube.jobs import LocalJobs
from tests.repeating import repeating

__all__ = ["TEAM", "KubeflowWorld"]

LOOK_SECONDS = 0.3
"""Real time that passes at each look, so that who follows a run sees it on its way."""


class KubeflowWorld(KServeWorld):
    """A cluster whose pods carry out the runs that Kubeflow Pipelines is given."""

    def __init__(self, folder: Path, loop: Loop, kfp: KfpServer, *, trial: Any) -> None:
        super().__init__(folder, loop, Cluster())
        self.now = datetime.now(UTC)
        self._kfp, self._trial = kfp, trial
        self._tracker = MemoryTracker()
        self._begun: set[str] = set()

    def __enter__(self) -> Self:
        super().__enter__()
        self._stack.enter_context(self.server.admitting(admit))
        client = self._stack.enter_context(self.server.client())
        jobs = LocalJobs(self.server, TEAM, start=scripted(self.loop, self._trial))
        self._stack.enter_context(jobs.running(pause_seconds=LOOK_SECONDS))
        self._stack.enter_context(KatibController(client, TEAM).running(pause_seconds=0.05))
        self._stack.enter_context(repeating(self._work, pause=LOOK_SECONDS, name="pods"))
        return self

    def sleep(self, seconds: float) -> None:
        time.sleep(LOOK_SECONDS)
        super().sleep(seconds)

    def _work(self) -> None:
        for run in self._kfp.runs():
            if run["run_id"] not in self._begun:
                self._begun.add(run["run_id"])
                try:
                    self._carry_out(run)
                except BaseException as exc:  # a step that fails ends its run, and no other
                    self._kfp.finish(run["run_id"], "FAILED", repr(exc))
                    raise

    def _carry_out(self, run: dict[str, Any]) -> None:
        """What the steps of a run do on the cluster, and the record that they leave."""
        given = run["runtime_config"]["parameters"]
        began, name = datetime.now(UTC), given["run_id"]
        run["state"] = "RUNNING"
        champion, version = self.registry.champion(), str(len(self._begun))
        with self.server.client() as client:
            tune_on_katib(
                self.loop,
                task(name),
                api=KatibApi(client, TEAM, sleep=lambda _: time.sleep(0.1)),
                tracker=self._tracker,
                clock=Clock(now=lambda: datetime.now(UTC), sleep=lambda _: time.sleep(0.1)),
            )
        self.package(version)
        self.now = datetime.now(UTC)
        result = rollout(self.loop, champion=champion, challenger=version, **self.process())
        record = RunRecord(
            id=name,
            loop=self.loop.name,
            trigger=given["trigger"],
            outcome=result.outcome,
            reason=result.reason,
            started_at=began,
            ended_at=datetime.now(UTC),
            version=version,
            champion=result.champion,
            steps=result.steps,
        )
        Lake(Settings().lake_url, self.loop).journal(name).finish(record)
        self._kfp.finish(run["run_id"], "SUCCEEDED")
