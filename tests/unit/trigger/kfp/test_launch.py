from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontinual.cluster.kfp import Connection, Runs
from kontinual.cluster.kfp.connection import TIMEOUT_SECONDS
from kontinual.errors import ClusterError
from kontinual.spec import Loop
from kontinual.trigger.kfp_launcher import CALL_SECONDS, DOUBT, KfpLauncher
from kontinual.trigger.worker import LEASE
from tests.kfp.server import Fault, KfpServer
from tests.unit.trigger.kfp.conftest import NOW, RUN, Clock


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


def test_a_call_ends_before_the_lease_that_it_began_under() -> None:
    longest = CALL_SECONDS + TIMEOUT_SECONDS[0]
    assert longest < 20, "as the contract of a Launcher says"
    assert timedelta(seconds=longest) < LEASE * 2 / 3, "of which so much is left at least"
    assert timedelta(seconds=longest) < DOUBT
