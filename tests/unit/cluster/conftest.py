"""A Kubernetes API server in this process."""

from collections.abc import Iterator

import pytest

from tests.kube.server import KubeServer


@pytest.fixture
def kube() -> Iterator[KubeServer]:
    with KubeServer() as server:
        yield server
