from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontinual.cluster.kfp import Connection, Pipelines, Runs
from kontinual.cluster.kfp.connection import TIMEOUT_SECONDS
from kontinual.errors import ClusterError, ServiceError
from kontinual.spec import Loop, Outcome, RunRecord
from kontinual.trigger.contracts import Act, Run, Wish
from kontinual.trigger.kfp_launcher import CALL_SECONDS, DOUBT, RETREAT_SECONDS, KfpLauncher
from kontinual.trigger.worker import LEASE
from tests.kfp.server import Fault, KfpServer, kfp_server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(id="toy-1", trigger=7, accepted_at=NOW, wish=Wish(seed=3))


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with kfp_server() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def published(server: KfpServer, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text("a: pipeline")
    pipelines = Pipelines(Connection(server.url))
    pipeline = pipelines.create("continual-learning", "")
    for version in ("older", "newer"):
        pipelines.upload(pipeline, version, file)


@pytest.fixture
def make(server: KfpServer, loop: Loop, clock: Clock) -> Callable[[], KfpLauncher]:
    records: dict[str, RunRecord] = {}

    def create(**more: Any) -> KfpLauncher:
        return KfpLauncher(
            Connection(server.url, ui="https://kubeflow.example/_/pipeline"),
            loop=loop,
            loop_url="s3://lake/toy/loop.yaml",
            pipeline="continual-learning",
            records=records.get,
            clock=clock,
            **more,
        )

    create.records = records  # type: ignore[attr-defined]
    return create


def launched(launcher: KfpLauncher, run: Run = RUN) -> Run:
    return run.model_copy(update={"process": launcher.launch(run), "launched_at": NOW})


def a_record(outcome: Outcome = Outcome.PROMOTED) -> RunRecord:
    return RunRecord(
        id="toy-1",
        loop="toy",
        trigger="7",
        outcome=outcome,
        reason="better",
        started_at=NOW,
        ended_at=NOW,
    )


@pytest.mark.usefixtures("published")
def test_a_run_has_the_name_of_the_ledgers_and_small_parameters(
    make: Callable[[], KfpLauncher], server: KfpServer
) -> None:
    process = make().launch(RUN)
    (run,) = server.runs()
    assert run["display_name"] == "toy-1"
    assert run["runtime_config"]["parameters"] == {
        "loop": "s3://lake/toy/loop.yaml",
        "run_id": "toy-1",
        "trigger": "7",
        "seed": 3,
    }
    newest = server.kept["versions"][-1]
    assert newest["display_name"] == "newer"
    assert run["pipeline_version_reference"]["pipeline_version_id"] == newest["pipeline_version_id"]
    (experiment,) = server.kept["experiments"]
    assert (experiment["display_name"], experiment["experiment_id"]) == (
        "toy",
        run["experiment_id"],
    )
    assert process == {
        "kfp_run": run["run_id"],
        "url": f"https://kubeflow.example/_/pipeline/#/runs/details/{run['run_id']}",
    }


@pytest.mark.usefixtures("published")
def test_launching_again_finds_the_run(make: Callable[[], KfpLauncher], server: KfpServer) -> None:
    process = make().launch(RUN)
    assert make().launch(RUN) == process, "by a service that was started anew"
    assert len(server.runs()) == 1


@pytest.mark.usefixtures("published")
@given(
    st.lists(
        st.builds(
            Fault,
            method=st.sampled_from(["GET", "POST"]),
            path=st.sampled_from(["/runs$", "/experiments$", "/pipelines$", "/versions$"]),
            status=st.sampled_from([500, 502, 503, 504, 429, None]),
            done=st.booleans(),
            times=st.integers(1, 2),
        ),
        max_size=4,
    ),
    st.booleans(),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_trouble_makes_a_second_run(
    make: Callable[[], KfpLauncher],
    server: KfpServer,
    clock: Clock,
    faults: list[Fault],
    restarts: bool,
) -> None:
    server.kept["runs"].clear()
    server.faults[:] = faults
    launcher = make()
    for _ in range(30):
        try:
            process = launcher.launch(RUN)
            break
        except ClusterError:
            clock.now += DOUBT / 3
            launcher = make() if restarts else launcher
    (run,) = server.runs("toy-1")
    assert process["kfp_run"] == run["run_id"]


@pytest.mark.usefixtures("published")
def test_a_run_that_appears_late_is_taken_and_not_made_again(
    make: Callable[[], KfpLauncher], server: KfpServer, clock: Clock
) -> None:
    launcher = make()
    server.faults.append(Fault("POST", "/runs$", status=None))
    with pytest.raises(ClusterError, match="gave no answer"):
        launcher.launch(RUN)
    clock.now += DOUBT / 2
    with pytest.raises(ClusterError, match=r"may have been made .* looked for until 00:02:00"):
        launcher.launch(RUN)
    late = make().launch(RUN)  # what the server was still at
    clock.now += DOUBT
    assert launcher.launch(RUN) == late
    assert len(server.runs()) == 1


@pytest.mark.usefixtures("published")
def test_what_was_not_made_is_made_once_the_doubt_is_over(
    make: Callable[[], KfpLauncher], server: KfpServer, clock: Clock
) -> None:
    launcher = make()
    server.faults.append(Fault("POST", "/runs$", status=504))
    with pytest.raises(ClusterError, match="answered 504"):
        launcher.launch(RUN)
    clock.now += DOUBT
    assert launcher.launch(RUN)["kfp_run"] == server.runs()[0]["run_id"]


@pytest.mark.usefixtures("published")
def test_of_two_runs_the_older_stays_and_the_other_is_stopped(
    make: Callable[[], KfpLauncher], server: KfpServer, loop: Loop
) -> None:
    launcher = make()
    first = launcher.launch(RUN)
    runs = Runs(Connection(server.url), loop.name)
    version = launcher._version()
    runs.start("toy-1", version=version, parameters={})
    assert launcher.launch(RUN) == first
    assert [r["state"] for r in server.runs()] == ["PENDING", "CANCELING"]


def test_without_a_published_pipeline_the_command_to_publish_it_is_told(
    make: Callable[[], KfpLauncher], server: KfpServer
) -> None:
    with pytest.raises(ClusterError, match=r"no pipeline 'continual-learning'.*kontinual publish"):
        make().launch(RUN)
    assert not server.runs()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "PAUSED", "CANCELING", "SOMETHING_NEW"])
def test_a_run_goes_on_until_its_state_says_otherwise(
    make: Callable[[], KfpLauncher], server: KfpServer, state: str
) -> None:
    launcher = make()
    run = launched(launcher)
    make.records["toy-1"] = a_record()  # type: ignore[attr-defined]
    server.finish(run.process["kfp_run"], state)  # type: ignore[index]
    assert launcher.outcome(run) is None


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"])
def test_an_ended_run_has_its_own_record_or_failed(
    make: Callable[[], KfpLauncher], server: KfpServer, state: str
) -> None:
    launcher = make()
    run = launched(launcher)
    server.finish(run.process["kfp_run"], state, error="the pod was evicted")  # type: ignore[index]
    record = launcher.outcome(run)
    assert record is not None
    assert record.outcome is Outcome.FAILED
    assert record.reason == (
        f"the run in Kubeflow Pipelines ended as {state} and left no record: the pod was evicted"
    )
    make.records["toy-1"] = a_record(Outcome.REJECTED_DATA)  # type: ignore[attr-defined]
    assert launcher.outcome(run) == a_record(Outcome.REJECTED_DATA)


@pytest.mark.usefixtures("published")
def test_a_run_that_a_person_deleted_has_failed(
    make: Callable[[], KfpLauncher], server: KfpServer
) -> None:
    launcher = make()
    run = launched(launcher)
    server.kept["runs"].clear()
    record = launcher.outcome(run)
    assert record is not None
    assert record.reason == "the run in Kubeflow Pipelines was deleted and left no record"


@pytest.mark.usefixtures("published")
def test_a_server_that_does_not_answer_says_nothing_about_a_run(
    make: Callable[[], KfpLauncher], server: KfpServer
) -> None:
    launcher = make()
    run = launched(launcher)
    server.faults.append(Fault("GET", "/runs/", status=503))
    with pytest.raises(ClusterError, match="answered 503"):
        launcher.outcome(run)
    assert launcher.outcome(run) is None


@pytest.mark.usefixtures("published")
def test_stopping_asks_once_and_leaves_the_ended_alone(
    make: Callable[[], KfpLauncher], server: KfpServer
) -> None:
    launcher = make()
    run = launched(launcher)
    for _ in range(3):
        launcher.stop(run)
    assert launcher.outcome(run) is None
    server.finish(run.process["kfp_run"], "CANCELED")  # type: ignore[index]
    launcher.stop(run)
    assert sum(r.endswith(":terminate") for r in server.requests) == 1
    assert launcher.outcome(run).outcome is Outcome.FAILED  # type: ignore[union-attr]


def stopped(at: datetime) -> Run:
    """A run that was accepted, of whose start no answer told, and that was then asked to end."""
    return RUN.model_copy(update={"stop": Act(by="ana", reason="give it up", at=at)})


def test_a_run_that_could_not_be_started_ends_once_it_can_not_appear_any_more(
    make: Callable[[], KfpLauncher], clock: Clock
) -> None:
    launcher = make()
    launcher.stop(stopped(NOW))
    assert launcher.outcome(stopped(NOW)) is None, "the server may be at an earlier request"
    clock.now += DOUBT
    record = launcher.outcome(stopped(NOW))
    assert record is not None
    assert record.outcome is Outcome.FAILED
    assert record.reason.startswith("the run in Kubeflow Pipelines was never started")


def test_whether_a_run_was_started_is_not_guessed_while_the_server_gives_no_answer(
    make: Callable[[], KfpLauncher], server: KfpServer, clock: Clock
) -> None:
    launcher = make()
    clock.now += DOUBT
    for method in (launcher.stop, launcher.outcome):
        server.faults.append(Fault("GET", "/(runs|experiments)", status=503))
        with pytest.raises(ClusterError, match="answered 503"):
            method(stopped(NOW))


@pytest.mark.usefixtures("published")
def test_a_run_whose_start_was_not_answered_is_found_by_its_name_and_stopped(
    make: Callable[[], KfpLauncher], server: KfpServer, clock: Clock
) -> None:
    launcher = make()
    server.faults.append(Fault("POST", "/runs$", status=None, done=True))
    with pytest.raises(ClusterError, match="gave no answer"):
        launcher.launch(RUN)
    launcher.stop(stopped(NOW))
    (run,) = server.runs()
    assert run["state"] == "CANCELING"
    clock.now += DOUBT
    assert launcher.outcome(stopped(NOW)) is None, "it goes on"
    server.finish(run["run_id"], "CANCELED")
    assert "ended as CANCELED" in launcher.outcome(stopped(NOW)).reason  # type: ignore[union-attr]


@pytest.mark.usefixtures("published")
def test_a_doubt_does_not_wait_for_a_clock_that_was_ahead(
    make: Callable[[], KfpLauncher], server: KfpServer, clock: Clock
) -> None:
    launcher = make()
    clock.now += timedelta(days=365)
    server.faults.append(Fault("POST", "/runs$", status=504))
    with pytest.raises(ClusterError, match="answered 504"):
        launcher.launch(RUN)
    clock.now = NOW
    assert launcher.launch(RUN)["kfp_run"] == server.runs()[0]["run_id"]


@pytest.mark.usefixtures("published")
def test_a_launch_whose_answers_are_all_slow_ends_in_time(
    make: Callable[[], KfpLauncher], server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = make()
    server.faults.append(Fault("GET", "/experiments", status=503))
    with pytest.raises(ClusterError):  # the client is there, so that the time is the server's
        launcher.launch(RUN)
    monkeypatch.setattr("kontinual.trigger.kfp_launcher.CALL_SECONDS", 0.5)
    server.delay_seconds = 0.3
    with pytest.raises(ClusterError, match="gave no answer"):
        launcher.launch(RUN)
    assert not server.runs()


class Retreating:
    """A rollout that takes its time to put the champion back."""

    def __init__(self, *answers: bool | ServiceError) -> None:
        self.answers, self.asked = list(answers), 0

    def is_over(self, run: Run) -> bool:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ServiceError):
            raise answer
        return answer


def to_end(run: Run) -> Run:
    return run.model_copy(update={"stop": Act(by="ana", reason="it harms", at=NOW)})


@pytest.mark.usefixtures("published")
def test_a_run_is_terminated_only_when_its_rollout_has_put_the_champion_back(
    make: Callable[..., KfpLauncher], server: KfpServer
) -> None:
    launcher = make(retreat=Retreating(False, ServiceError("no answer"), False, True))
    run = to_end(launched(launcher))
    for _ in range(3):
        launcher.stop(run)
        assert server.runs()[0]["state"] == "PENDING"
    launcher.stop(run)
    assert server.runs()[0]["state"] == "CANCELING"


@pytest.mark.usefixtures("published")
def test_a_rollout_that_does_not_come_to_its_end_holds_up_no_stop(
    make: Callable[..., KfpLauncher], server: KfpServer
) -> None:
    now = [0.0]
    launcher = make(retreat=Retreating(False), monotonic=lambda: now[0])
    run = to_end(launched(launcher))
    launcher.stop(run)
    now[0] += RETREAT_SECONDS
    launcher.stop(run)
    assert server.runs()[0]["state"] == "PENDING"
    now[0] += 1
    launcher.stop(run)
    assert server.runs()[0]["state"] == "CANCELING"


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("how", ["CANCELED", "FAILED", "deleted"])
def test_a_failed_run_is_over_when_nothing_is_left_of_its_rollout(
    make: Callable[..., KfpLauncher], server: KfpServer, how: str
) -> None:
    """Its step may have been killed while the canary had traffic."""
    launcher = make(retreat=Retreating(False, ServiceError("the cluster is away"), True))
    run = launched(launcher)
    if how == "deleted":
        server.kept["runs"].clear()
    else:
        server.finish(run.process["kfp_run"], how)  # type: ignore[index]
    assert launcher.outcome(run) is None
    with pytest.raises(ServiceError, match="the cluster is away"):
        launcher.outcome(run)
    assert launcher.outcome(run).outcome is Outcome.FAILED  # type: ignore[union-attr]


@pytest.mark.usefixtures("published")
def test_a_run_whose_rollout_has_told_how_it_ended_needs_no_look(
    make: Callable[..., KfpLauncher], server: KfpServer
) -> None:
    retreat = Retreating(False)
    launcher = make(retreat=retreat)
    run = launched(launcher)
    make.records["toy-1"] = a_record()  # type: ignore[attr-defined]
    server.finish(run.process["kfp_run"], "SUCCEEDED")  # type: ignore[index]
    assert launcher.outcome(run) == a_record()
    assert retreat.asked == 0


def test_a_call_ends_before_the_lease_that_it_began_under() -> None:
    longest = CALL_SECONDS + TIMEOUT_SECONDS[0]
    assert longest < 20, "as the contract of a Launcher says"
    assert timedelta(seconds=longest) < LEASE * 2 / 3, "of which so much is left at least"
    assert timedelta(seconds=longest) < DOUBT
