"""A rollout on KServe, told by what the cluster does; in both of KServe's modes."""

import json
from pathlib import Path
from typing import Any

from kserve_world import KServeWorld
from rollout_world import Behaviour

from kontinual.spec import Outcome
from tests.cluster.imitation.kserve.objects import INFERENCE_SERVICES


def test_a_good_challenger_is_promoted_step_by_step(world: KServeWorld) -> None:
    result = world.rollout()
    assert result.outcome is Outcome.PROMOTED
    assert [(s.weight, s.verdict) for s in result.steps] == [(20, "passed"), (100, "passed")]
    assert world.registry.champion() == "2"
    world.assert_one_champion()


def test_one_rollout_follows_another(world: KServeWorld) -> None:
    for champion, challenger in (("1", "2"), ("2", "3"), ("3", "4")):
        world.package(challenger)
        assert world.rollout(challenger, champion).outcome is Outcome.PROMOTED
        world.assert_one_champion()


def test_an_earlier_version_can_be_rolled_out_again(world: KServeWorld) -> None:
    world.rollout()
    assert world.rollout("1", "2").outcome is Outcome.PROMOTED
    world.assert_one_champion()


def test_promotion_starts_no_pod_anew(world: KServeWorld) -> None:
    before: set[str] = set()
    sleep = world.sleep

    def remember(seconds: float) -> None:
        nonlocal before
        sleep(seconds)
        if world.registry.champion() == "1":
            before = world.pods("2")

    world.sleep = remember  # type: ignore[method-assign]
    assert world.rollout().outcome is Outcome.PROMOTED
    world.assert_one_champion()
    assert before
    assert before <= world.pods("2")
    assert len(world.pods("2")) == len(before)


def test_what_an_operator_changed_at_the_stable_predictor_stays(world: KServeWorld) -> None:
    found = world.service
    found["spec"]["predictor"]["nodeSelector"] = {"disk": "fast"}
    found["spec"]["predictor"]["model"]["resources"]["limits"]["memory"] = "3Gi"
    world.objects.apply(INFERENCE_SERVICES, found)
    world.settle()
    assert world.rollout().outcome is Outcome.PROMOTED
    predictor = world.service["spec"]["predictor"]
    assert predictor["nodeSelector"] == {"disk": "fast"}
    assert predictor["model"]["resources"]["limits"]["memory"] == "3Gi"
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (3, 6)


def test_a_bad_challenger_is_rolled_back_and_leaves_nothing(world: KServeWorld) -> None:
    world.traffic.versions["2"] = Behaviour(score=0.8)
    before = world.service["spec"]
    result = world.rollout()
    assert result.outcome is Outcome.ROLLED_BACK
    assert "mean score" in result.reason
    world.assert_one_champion()
    assert world.service["spec"] == before


def test_a_challenger_that_fails_with_all_traffic_is_rolled_back_too(world: KServeWorld) -> None:
    read = world.traffic.read

    def fail_at_the_end(versions: Any) -> Any:
        if world.observer.weights() == {"2": 100}:
            world.traffic.versions["2"] = Behaviour(errors=0.5)
        return read(versions)

    world.traffic.read = fail_at_the_end  # type: ignore[method-assign]
    result = world.rollout()
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason.startswith("at 100 %")
    world.assert_one_champion()


def test_a_challenger_that_can_not_be_loaded_is_told_by_its_own_words(world: KServeWorld) -> None:
    world.fates["2"] = "crash"
    result = world.rollout()
    assert result.outcome is Outcome.ROLLED_BACK
    assert result.reason.startswith("version 2 can not be loaded: ")
    assert "model.onnx: damaged" in result.reason
    world.assert_one_champion()


def test_a_challenger_that_never_gets_ready_is_given_up_with_the_reason(
    world: KServeWorld,
) -> None:
    world.fates["2"] = "pending"
    began = world.now
    result = world.rollout()
    assert result.outcome is Outcome.ROLLED_BACK
    assert "version 2 is not deployed after 300 s" in result.reason
    assert "insufficient memory" in result.reason
    assert (world.now - began).total_seconds() >= 300
    world.assert_one_champion()


def test_the_first_version_makes_the_service(world: KServeWorld, tmp_path: Path) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.registry._path.unlink()
    world.settle()
    result = world.rollout("2", None)
    assert result.outcome is Outcome.PROMOTED
    world.assert_one_champion()
    uri = world.service["spec"]["predictor"]["model"]["storageUri"]
    copy = tmp_path / "models" / uri.removeprefix("s3://models/") / "package.json"
    assert json.loads(copy.read_text()) == {"version": "2"}


def test_a_first_version_that_can_not_be_loaded_leaves_no_service(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.registry._path.unlink()
    world.settle()
    world.fates["2"] = "crash"
    result = world.rollout("2", None)
    assert result.outcome is Outcome.ROLLED_BACK
    assert "model.onnx: damaged" in result.reason
    assert world.objects.get(INFERENCE_SERVICES, "flights") is None


def test_a_service_that_was_lost_comes_back_with_the_champion(world: KServeWorld) -> None:
    world.objects.delete(INFERENCE_SERVICES, "flights")
    world.settle()
    assert world.rollout().outcome is Outcome.PROMOTED
    world.assert_one_champion()
