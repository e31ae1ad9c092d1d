"""The gateway of the unit tests keeps the contract of real ones."""

from pathlib import Path

import pytest
from gateway_contract import GatewayContract
from rollout_world import FileGateway


class TestFileGateway(GatewayContract):
    @pytest.fixture
    def gateway(self, tmp_path: Path) -> FileGateway:
        return FileGateway(tmp_path)

    @pytest.fixture
    def package(self, tmp_path: Path) -> Path:
        return tmp_path
