"""What every gateway promises. Subclass it, with a fixture `gateway` and one `package`."""

from pathlib import Path

import pytest

from kontinual.errors import GatewayError
from kontinual.rollout import Gateway


class GatewayContract:
    def test_in_the_beginning_nobody_has_traffic(self, gateway: Gateway) -> None:
        assert gateway.weights() == {}

    def test_a_deployed_version_has_no_traffic_until_it_is_given_some(
        self, gateway: Gateway, package: Path
    ) -> None:
        gateway.deploy("1", package)
        assert gateway.weights() == {}
        gateway.shift({"1": 100})
        assert gateway.weights() == {"1": 100}
        gateway.deploy("2", package)
        assert gateway.weights() == {"1": 100}

    def test_weights_are_in_force_when_shift_returns(self, gateway: Gateway, package: Path) -> None:
        for version in ("1", "2"):
            gateway.deploy(version, package)
        for share in (5, 25, 50):
            gateway.shift({"1": 100 - share, "2": share})
            assert gateway.weights() == {"1": 100 - share, "2": share}
        gateway.shift({"1": 0, "2": 100})
        assert gateway.weights() == {"2": 100}

    def test_everything_may_be_asked_for_twice(self, gateway: Gateway, package: Path) -> None:
        for _ in range(2):
            gateway.deploy("1", package)
            gateway.deploy("2", package)
        for _ in range(2):
            gateway.shift({"1": 100})
        for _ in range(2):
            gateway.retire("2")
        gateway.retire("never seen")
        assert gateway.weights() == {"1": 100}

    @pytest.mark.parametrize("weights", [{"1": 99}, {"1": 101}, {"1": 60, "2": 60}, {"1": -1}])
    def test_weights_of_another_sum_are_refused_and_change_nothing(
        self, gateway: Gateway, package: Path, weights: dict[str, int]
    ) -> None:
        gateway.deploy("1", package)
        gateway.deploy("2", package)
        gateway.shift({"1": 100})
        with pytest.raises(GatewayError, match="weights are percents of sum 100"):
            gateway.shift(weights)
        assert gateway.weights() == {"1": 100}

    def test_a_version_that_is_not_deployed_gets_no_traffic(
        self, gateway: Gateway, package: Path
    ) -> None:
        gateway.deploy("1", package)
        gateway.shift({"1": 100})
        with pytest.raises(GatewayError, match=r"\['9'\] should get some"):
            gateway.shift({"1": 50, "9": 50})
        assert gateway.weights() == {"1": 100}

    def test_a_version_with_traffic_can_not_be_retired(
        self, gateway: Gateway, package: Path
    ) -> None:
        gateway.deploy("1", package)
        gateway.shift({"1": 100})
        with pytest.raises(GatewayError, match="still has"):
            gateway.retire("1")
        assert gateway.weights() == {"1": 100}

    def test_a_retired_version_can_come_back(self, gateway: Gateway, package: Path) -> None:
        gateway.deploy("1", package)
        gateway.deploy("2", package)
        gateway.shift({"1": 100})
        gateway.retire("2")
        gateway.deploy("2", package)
        gateway.shift({"2": 100})
        assert gateway.weights() == {"2": 100}

    def test_all_traffic_can_be_refused(self, gateway: Gateway, package: Path) -> None:
        gateway.deploy("1", package)
        gateway.shift({"1": 100})
        gateway.shift({})
        assert gateway.weights() == {}
        gateway.retire("1")
