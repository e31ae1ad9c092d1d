"""What is rendered for KServe is what KServe knows, and a version changes only its own."""

from pathlib import Path
from typing import Any

import kserve.models
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kserve.models import V1beta1InferenceService
from kubernetes.client import models as kubernetes_models

from kontinual.errors import GatewayError, SpecError
from kontinual.rollout import open_rollout
from kontinual.rollout.kserve.manifest import (
    SCALING,
    inference_service,
    next_predictor,
    predictor,
    version_of,
)
from kontinual.rollout.kserve.packages import PackagePlace
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
NUMBERS = st.integers(1, 99_999).map(str)


def loop_with(**serving: Any) -> Loop:
    tree = load_loop(str(EXAMPLE)).model_dump(by_alias=True)
    return Loop.model_validate({**tree, "serving": serving})


FULL = {
    "replicas": 2,
    "max_replicas": 5,
    "requests": {"cpu": 1, "nvidia.com/gpu": 1},
    "service_account": "models",
}


FIRST = predictor(loop_with(**FULL), "1", "s3://m/1", collector="http://c:8081")


def unknown_fields(body: dict[str, Any], model: Any, path: str = "") -> list[str]:
    """Fields that the SDK's model of a resource does not have, at any depth."""
    names = {json_name: attribute for attribute, json_name in model.attribute_map.items()}
    found = []
    for field, value in body.items():
        if field not in names:
            found.append(f"{path}.{field}")
            continue
        kind = model.openapi_types[names[field]].removeprefix("list[").removesuffix("]")
        inner = getattr(kserve.models, kind, None) or getattr(kubernetes_models, kind, None)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(inner, type) and isinstance(item, dict):
                found += unknown_fields(item, inner, f"{path}.{field}")
    return found


@pytest.mark.parametrize("serving", [{}, FULL])
def test_an_inference_service_has_only_fields_that_kserve_knows(serving: dict[str, Any]) -> None:
    made = inference_service(loop_with(**serving), "1", "s3://m/1", collector="http://c:8081")
    assert unknown_fields(made, V1beta1InferenceService) == []
    canary = next_predictor(made["spec"]["predictor"], "2", "s3://m/2") | {"name": "v2"}
    made["spec"]["canary"] = [{"trafficPercent": 5, "predictor": canary}]
    assert unknown_fields(made, V1beta1InferenceService) == []
    assert unknown_fields({"spec": {"canaries": []}}, V1beta1InferenceService) == [".spec.canaries"]


def test_the_declaration_says_how_a_version_runs() -> None:
    made = predictor(loop_with(**FULL), "7", "s3://m/7", collector="http://c:8081")
    assert (made["minReplicas"], made["maxReplicas"]) == (2, 5)
    assert made["serviceAccountName"] == "models"
    assert made["model"]["resources"]["requests"] == {"cpu": "1", "nvidia.com/gpu": "1"}
    assert made["model"]["args"] == ["--version=7", "--collector=http://c:8081"]
    assert made["model"]["storageUri"] == "s3://m/7"


@given(numbers=st.lists(NUMBERS, min_size=1, max_size=4))
def test_after_any_number_of_versions_only_the_version_has_changed(numbers: list[str]) -> None:
    first = {**FIRST, "nodeSelector": {"disk": "fast"}}
    now = first
    for number in numbers:
        now = next_predictor(now, number, f"s3://m/{number}")
        assert version_of(now) == number
    back = next_predictor(now, "1", "s3://m/1")
    assert back == {k: v for k, v in first.items() if k not in SCALING}


def test_a_predictor_without_a_version_is_not_ours() -> None:
    with pytest.raises(GatewayError, match=r"has no label kontinual\.dev/version"):
        version_of({"sklearn": {"storageUri": "s3://elsewhere"}})


def test_more_replicas_at_least_than_at_most_are_refused() -> None:
    with pytest.raises(ValueError, match=r"replicas <= max_replicas.*replicas=3, max_replicas=2"):
        loop_with(replicas=3, max_replicas=2)


def test_a_package_is_copied_whole_to_a_place_that_its_content_names(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "deep").mkdir(parents=True)
    (package / "model.onnx").write_bytes(b"model")
    (package / "deep" / "notes").write_text("n")
    place = PackagePlace((tmp_path / "bucket").as_uri(), uri="pvc://models/flights/")
    uri = place.put("3", package)
    assert uri == place.put("3", package)
    folder = tmp_path / "bucket" / uri.removeprefix("pvc://models/flights/")
    assert (folder / "model.onnx").read_bytes() == b"model"
    assert (folder / "deep" / "notes").read_text() == "n"
    (package / "model.onnx").write_bytes(b"other")
    assert place.put("3", package) != uri
    assert (folder / "model.onnx").read_bytes() == b"model"


def test_a_copy_that_was_left_half_done_is_completed(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "model.onnx").write_bytes(b"model")
    place = PackagePlace((tmp_path / "bucket").as_uri())
    folder = Path(place.put("3", package).removeprefix("file://"))
    (folder / "model.onnx").write_bytes(b"mo")
    place.put("3", package)
    assert (folder / "model.onnx").read_bytes() == b"model"


@pytest.mark.parametrize("url", ["nosuch://bucket", "file:///proc/nowhere"])
def test_a_place_that_can_not_be_written_is_named(tmp_path: Path, url: str) -> None:
    (tmp_path / "model.onnx").write_bytes(b"model")
    with pytest.raises(GatewayError, match=f"{url}: the package of version 3 can not be copied"):
        PackagePlace(url).put("3", tmp_path)


def test_on_a_cluster_the_settings_have_to_say_where_packages_go() -> None:
    settings = Settings(gateway="kserve")
    with pytest.raises(SpecError, match="KONTINUAL_PACKAGES is not set"):
        open_rollout(loop_with(), settings, predictors=None)  # type: ignore[arg-type]
