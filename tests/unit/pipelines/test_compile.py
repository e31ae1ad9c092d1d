"""The committed YAML is what the code says, and what Kubeflow can take."""

from pathlib import Path

import pytest
import yaml

from kontinual.rollout.kserve.packages import PackagePlace
from kontinual.settings import Settings
from pipelines.compile import COMPONENTS, ROOT, compile_all, stale
from pipelines.resources import STEPS
from pipelines.settings import SETTINGS

PIPELINE = ROOT / "pipelines" / "continual_learning.yaml"


def test_the_committed_yaml_is_what_the_code_compiles_to():
    assert stale(ROOT) == []


def test_a_changed_file_is_found_to_be_stale(tmp_path: Path):
    compile_all(tmp_path)
    touched = tmp_path / "components/tune/component.yaml"
    touched.write_text(touched.read_text() + "# by hand\n")
    assert stale(tmp_path) == [Path("components/tune/component.yaml")]


def test_no_task_may_be_answered_from_a_cache():
    """A cached ingest or rollout would be a run that did not happen."""
    spec = next(yaml.safe_load_all(PIPELINE.read_text()))
    dags = [spec["root"], *spec["components"].values()]
    tasks = [t for d in dags for t in d.get("dag", {}).get("tasks", {}).items()]
    steps = {name: task for name, task in tasks if name in COMPONENTS}
    assert sorted(steps) == sorted(COMPONENTS)
    assert not [n for n, t in steps.items() if t["cachingOptions"].get("enableCache")]


def test_no_image_installs_anything_when_a_task_starts():
    assert "pip install" not in PIPELINE.read_text()


def test_every_task_has_the_settings_of_the_namespace_and_admit_alone_the_triggers_token():
    _, platforms = yaml.safe_load_all(PIPELINE.read_text())
    executors = platforms["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {name.removeprefix("exec-") for name in executors} == set(COMPONENTS)
    for name, executor in executors.items():
        (settings,) = executor["configMapAsEnv"]
        assert settings["configMapName"] == "kontinual-settings"
        assert {k["configMapKey"] for k in settings["keyToEnv"]} == set(SETTINGS)
        secrets = {secret["secretName"] for secret in executor["secretAsEnv"]}
        own = {"kontinual-trigger"} if name == "exec-admit" else set()
        assert secrets == {"kontinual-object-store"} | own
        assert all(s["optional"] for s in [settings, *executor["secretAsEnv"]])


def test_every_step_has_requests_and_limits_of_the_one_table():
    """A ResourceQuota refuses pods without them, and where there is none a step fills a node."""
    spec = next(yaml.safe_load_all(PIPELINE.read_text()))
    executors = spec["deploymentSpec"]["executors"]
    assert STEPS.keys() == set(COMPONENTS)
    for step, wanted in STEPS.items():
        found = executors[f"exec-{step}"]["container"]["resources"]
        assert found["resourceCpuRequest"] == wanted.cpu
        assert found["resourceMemoryRequest"] == wanted.memory
        assert found["resourceCpuLimit"] == wanted.cpu_limit
        assert found["resourceMemoryLimit"] == wanted.memory_limit


def _settings_env(overlay: str) -> dict[str, str]:
    text = (ROOT / "manifests" / "overlays" / overlay / "settings.env").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


OVERLAYS = pytest.mark.parametrize("overlay", ["kubeflow/profile", "standalone/namespace"])


@OVERLAYS
def test_the_tasks_are_given_every_setting_of_the_manifests_that_is_not_the_services_own(
    overlay: str,
):
    own = {"KONTINUAL_LOOP", "KONTINUAL_ALERTMANAGER", "KONTINUAL_KFP_NAMESPACE"}
    assert _settings_env(overlay).keys() - own <= set(SETTINGS)


@OVERLAYS
def test_a_backend_that_takes_every_key_for_required_finds_each_in_the_manifests(overlay: str):
    """Kubeflow Pipelines before 2.15 does: a step without one never starts."""
    assert set(SETTINGS) - _settings_env(overlay).keys() == set()


def test_a_setting_that_is_left_empty_is_as_if_it_were_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = _settings_env("kubeflow/profile")
    assert {key for key, value in given.items() if not value} == {"KONTINUAL_PACKAGES_URI"}
    monkeypatch.setenv("KONTINUAL_PACKAGES_URI", "")
    package = tmp_path / "model"
    package.mkdir()
    (package / "model.onnx").write_text("a model")
    place = PackagePlace.of(Settings(packages=f"file://{tmp_path}/packages"), "flights")
    assert place.put("7", package).startswith(f"file://{tmp_path}/packages/flights/7-")
