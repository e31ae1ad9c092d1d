"""A run is over only when its rollout has put the champion back."""

from collections.abc import Callable

import pytest

from kontinual.errors import ServiceError
from kontinual.spec import Outcome
from kontinual.trigger.contracts import Act, Run
from kontinual.trigger.kfp_launcher import RETREAT_SECONDS, KfpLauncher
from tests.kfp.server import KfpServer
from tests.unit.trigger.kfp.conftest import NOW, a_record, launched


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
