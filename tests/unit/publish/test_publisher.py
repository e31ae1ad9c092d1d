import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kontinual.errors import ClusterError, SpecError
from kontinual.publish import Publisher, Verb
from tests.kfp.server import PARAMETERS_LIMIT, Fault, KfpServer
from tests.unit.publish.conftest import PIPELINE, Publish

WEEKLY = '{cron: "0 3 * * 1"}'
HOURLY = "{every: 1h}"


def verbs(publisher: Publisher, *, dry_run: bool = False) -> dict[str, str]:
    return {c.thing: c.verb.value for c in publisher.publish(dry_run=dry_run)}


def test_the_first_time_everything_is_made(
    publisher: Publish, server: KfpServer, lake: Path
) -> None:
    changes = publisher(WEEKLY).publish()
    assert {c.verb for c in changes} == {Verb.CREATED}
    stored = lake / "toy" / "loop.yaml"
    assert changes[0].name == str(stored)
    assert 'cron: "0 3 * * 1"' in stored.read_text()
    assert server.uploads == [PIPELINE.read_bytes()]
    (recurring,) = server.kept["recurringruns"]
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert (recurring["no_catchup"], recurring["max_concurrency"]) == (True, "1")
    assert recurring["mode"] == "ENABLE"
    parameters = recurring["runtime_config"]["parameters"]
    assert parameters == {"loop": str(stored), "run_id": "", "trigger": "schedule"}
    assert len(json.dumps(parameters)) < PARAMETERS_LIMIT / 10


def test_the_second_time_nothing_is_touched(publisher: Publish, server: KfpServer) -> None:
    publisher(WEEKLY).publish()
    before = len(server.writes())
    assert set(verbs(publisher(WEEKLY)).values()) == {"unchanged"}
    assert len(server.writes()) == before


def test_a_dry_run_says_the_same_and_does_nothing(
    publisher: Publish, server: KfpServer, lake: Path
) -> None:
    told = verbs(publisher(WEEKLY), dry_run=True)
    assert set(told.values()) == {"created"}
    assert not server.writes()
    assert not (lake / "toy" / "loop.yaml").exists()
    assert verbs(publisher(WEEKLY)) == told


def test_a_changed_pipeline_becomes_a_version_and_the_schedule_follows_it(
    publisher: Publish, server: KfpServer, tmp_path: Path
) -> None:
    publisher(WEEKLY).publish()
    changed = tmp_path / "changed.yaml"
    changed.write_text(PIPELINE.read_text().replace("Retrain a model", "Retrain the model"))
    assert verbs(publisher(WEEKLY, pipeline=changed)) == {
        "declaration": "unchanged",
        "pipeline": "unchanged",
        "pipeline version": "created",
        "recurring run": "updated",
    }
    (recurring,) = server.kept["recurringruns"]
    newest = server.kept["versions"][-1]["pipeline_version_id"]
    assert recurring["pipeline_version_reference"]["pipeline_version_id"] == newest


def test_a_pause_switches_and_replaces_nothing(publisher: Publish, server: KfpServer) -> None:
    publisher(WEEKLY).publish()
    (before,) = server.kept["recurringruns"]
    paused = '{cron: "0 3 * * 1", paused: true}'
    assert verbs(publisher(paused))["recurring run"] == "updated"
    (after,) = server.kept["recurringruns"]
    assert after["recurring_run_id"] == before["recurring_run_id"]
    assert after["mode"] == "DISABLE"
    assert verbs(publisher(WEEKLY))["recurring run"] == "updated"
    assert server.kept["recurringruns"][0]["mode"] == "ENABLE"


def test_no_schedule_means_no_recurring_run(publisher: Publish, server: KfpServer) -> None:
    assert verbs(publisher())["recurring run"] == "unchanged"
    assert not server.kept["experiments"], "nothing is made for a schedule that is none"
    publisher(HOURLY).publish()
    assert server.kept["recurringruns"][0]["trigger"] == {
        "periodic_schedule": {"interval_second": "3600"}
    }
    assert verbs(publisher(), dry_run=True)["recurring run"] == "removed"
    assert len(server.kept["recurringruns"]) == 1
    assert verbs(publisher())["recurring run"] == "removed"
    assert not server.kept["recurringruns"]


def test_recurring_runs_of_other_names_are_left_alone(
    publisher: Publish, server: KfpServer
) -> None:
    publisher(WEEKLY).publish()
    (ours,) = server.kept["recurringruns"]
    others = {**ours, "recurring_run_id": "x", "display_name": "by-hand"}
    server.kept["recurringruns"].append(others)
    publisher().publish()
    assert server.kept["recurringruns"] == [others]


@given(
    st.lists(st.sampled_from(["", WEEKLY, HOURLY, "{every: 1h, paused: true}"]), max_size=3),
    st.lists(
        st.builds(
            Fault,
            method=st.sampled_from(["POST", "DELETE"]),
            path=st.just("."),
            status=st.sampled_from([500, 503, None]),
            done=st.booleans(),
            times=st.integers(1, 3),
        ),
        max_size=3,
    ),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_interrupts_it_the_next_call_completes_it(
    publisher: Publish, server: KfpServer, earlier: list[str], faults: list[Fault]
) -> None:
    for kept in server.kept.values():
        kept.clear()
    server.faults.clear()
    for schedule in earlier:
        publisher(schedule).publish()
    server.faults[:] = faults
    for _ in range(30):
        enabled = [r for r in server.kept["recurringruns"] if r["mode"] == "ENABLE"]
        assert len(enabled) <= 1, "two schedules would start two runs"
        try:
            publisher(WEEKLY).publish()
            break
        except ClusterError:
            continue
    (recurring,) = server.kept["recurringruns"]
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert recurring["mode"] == "ENABLE"
    assert len(server.kept["pipelines"]) == len(server.kept["versions"]) == 1


def test_several_users_need_a_namespace_and_a_token(publisher: Publish, server: KfpServer) -> None:
    server.multi_user, server.tokens = True, {"secret": {"team"}}
    with pytest.raises(ClusterError, match=r"answered 401.*set KONTINUAL_KFP_TOKEN"):
        publisher(WEEKLY).publish()
    with pytest.raises(ClusterError, match=r"answered 403.*kubeflow-pipelines-edit"):
        publisher(WEEKLY, kfp_token="secret", kfp_namespace="other").publish()
    assert not server.kept["pipelines"]
    publisher(WEEKLY, kfp_token="secret", kfp_namespace="team").publish()
    assert server.kept["pipelines"][0]["namespace"] == "team"
    assert server.kept["experiments"][0]["namespace"] == "team"


def test_a_server_that_is_not_there_is_named(publisher: Publish) -> None:
    with pytest.raises(ClusterError, match=r"http://127.0.0.1:9 gave no answer.*KONTINUAL_KFP"):
        publisher(kfp="http://127.0.0.1:9").publish()


def test_pods_must_be_able_to_read_the_history(publisher: Publish, lake: Path) -> None:
    (lake / "toy" / "history.parquet").unlink()
    with pytest.raises(SpecError, match=r"data.history.table: 'history.parquet' counts from .*toy"):
        publisher().publish()
    assert not (lake / "toy" / "loop.yaml").exists()


def test_a_lake_of_this_machine_is_refused(
    publisher: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SpecError, match="KONTINUAL_LAKE is not set, and pods can not read"):
        publisher(lake=None).publish()  # type: ignore[arg-type]


def test_a_name_that_kserve_would_refuse_after_the_training_is_refused_before(
    publisher: Publish,
) -> None:
    namespace = "n" * 50
    with pytest.raises(SpecError, match=r"namespace n+ may have 2 letters at most.*toy has 3"):
        publisher(kfp_namespace=namespace)
    publisher(kfp_namespace=namespace, kserve_mode="knative")
