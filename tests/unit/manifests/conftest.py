import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

MANIFESTS = Path(__file__).parents[3] / "manifests"
OVERLAYS = ["kubeflow", "standalone"]


@dataclass(frozen=True)
class Overlay:
    """What `kubectl apply -k` would send."""

    name: str
    resources: list[dict[str, Any]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [r for r in self.resources if r["kind"] == kind]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = [r for r in self.of(kind) if r["metadata"]["name"] == name]
        return found

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Whatever becomes pods: a name for messages, and the pod's spec."""
        for deployment in self.of("Deployment"):
            yield deployment["metadata"]["name"], deployment["spec"]["template"]["spec"]
        for runtime in self.of("ClusterServingRuntime"):
            yield f"runtime {runtime['metadata']['name']}", runtime["spec"]


def kubectl() -> str:
    """Of this environment; a test without it fails, it does not skip."""
    found = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    assert found, "kubectl is missing: make setup"
    return found


@cache
def build(folder: Path) -> Overlay:
    built = subprocess.run(
        [kubectl(), "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return Overlay(folder.name, list(YAML(typ="safe").load_all(built.stdout)))


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Overlay:
    return build(MANIFESTS / "overlays" / request.param)


@pytest.fixture
def kubeflow() -> Overlay:
    return build(MANIFESTS / "overlays" / "kubeflow")
