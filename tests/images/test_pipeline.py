"""The whole loop's pipeline, each step in the image that a cluster would run it in."""

from typing import Any

from kontinual.spec import Outcome, RunRecord
from tests.images.conftest import World
from tests.images.containers import ignore_open_sockets

pytestmark = ignore_open_sockets


def test_first_model_is_trained_judged_and_promoted(promoted: RunRecord):
    assert promoted.outcome is Outcome.PROMOTED, promoted.reason
    assert promoted.champion == promoted.version == "1"


def test_the_cluster_is_told_to_serve_the_package_that_was_trained(
    world: World, inference_service: dict[str, Any]
):
    assert inference_service["metadata"]["name"] == "flights"
    model = inference_service["spec"]["predictor"]["model"]
    assert {p.name for p in world.package(model["storageUri"]).iterdir()} == {
        "model.onnx",
        "package.json",
    }
