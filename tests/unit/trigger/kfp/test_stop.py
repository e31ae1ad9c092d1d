from collections.abc import Callable
from datetime import datetime

import pytest

from kontinual.errors import ClusterError
from kontinual.spec import Outcome
from kontinual.trigger.contracts import Act, Run
from kontinual.trigger.kfp_launcher import DOUBT, KfpLauncher
from tests.kfp.server import Fault, KfpServer
from tests.unit.trigger.kfp.conftest import NOW, RUN, Clock, launched


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
