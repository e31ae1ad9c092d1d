from collections.abc import Callable

import pytest

from kontinual.errors import ClusterError
from kontinual.spec import Outcome
from kontinual.trigger.kfp_launcher import KfpLauncher
from tests.kfp.server import Fault, KfpServer
from tests.unit.trigger.kfp.conftest import a_record, launched


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
