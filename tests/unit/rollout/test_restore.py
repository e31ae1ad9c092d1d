"""An earlier version becomes champion again: traffic and registry agree, whatever fails."""

import os
import signal
from pathlib import Path

import pytest
from rollout_world import FileGateway, FileRegistry

from kontinual.errors import GatewayError, PromotionConflict, TrackingError
from kontinual.interrupt import Interrupted
from kontinual.rollout import FolderStore, RolloutBusy
from kontinual.steps import rollback
from kontinual.steps.rollback import restore


class Registry(FileRegistry):
    """Version 4 is champion; of those before, 2 and 3 were."""

    def former_champion(self) -> str | None:
        return {"4": "3", "3": "2"}.get(str(self.champion()))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    made = Registry(tmp_path)
    made.crown("4")
    return made


@pytest.fixture
def gateway(tmp_path: Path) -> FileGateway:
    made = FileGateway(tmp_path)
    made.deploy("4", tmp_path)
    made.shift({"4": 100})
    return made


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


@pytest.mark.parametrize(("version", "now"), [("2", "2"), (None, "3")])
def test_the_version_asked_for_or_the_one_before_takes_over(
    gateway: FileGateway, registry: Registry, store: FolderStore, version: str | None, now: str
) -> None:
    assert restore(gateway, registry, store, version=version) == ("4", now)
    assert (gateway.weights(), gateway.deployed()) == ({now: 100}, {now})
    assert registry.champion() == now


def test_asked_again_it_goes_further_back_and_then_says_that_there_is_none(
    gateway: FileGateway, registry: Registry, store: FolderStore
) -> None:
    restore(gateway, registry, store, version=None)
    assert restore(gateway, registry, store, version=None) == ("3", "2")
    with pytest.raises(TrackingError, match="no version was champion before 2: name one"):
        restore(gateway, registry, store, version=None)
    assert gateway.weights() == {"2": 100}


def test_before_a_first_champion_there_is_nothing_to_go_back_from(
    gateway: FileGateway, store: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(TrackingError, match="no champion yet"):
        restore(gateway, Registry(tmp_path / "empty"), store, version="1")


@pytest.mark.parametrize("broken", ["deploy", "shift"])
def test_a_gateway_that_fails_leaves_the_champion(
    gateway: FileGateway, registry: Registry, store: FolderStore, broken: str
) -> None:
    gateway.broken = {broken}
    with pytest.raises(GatewayError, match=f"{broken} fails"):
        restore(gateway, registry, store, version="3")
    gateway.broken = set()
    assert (registry.champion(), gateway.weights()) == ("4", {"4": 100})


def test_who_became_champion_meanwhile_gets_the_traffic_back(
    gateway: FileGateway, registry: Registry, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def conflict(version: str, *, expected: str | None) -> None:
        raise PromotionConflict("another one")

    monkeypatch.setattr(registry, "set_champion", conflict)
    with pytest.raises(PromotionConflict):
        restore(gateway, registry, store, version="3")
    assert gateway.weights() == {"4": 100}


@pytest.mark.parametrize(("after_the_swap", "serves"), [(False, "4"), (True, "3")])
def test_asked_to_end_in_the_middle_traffic_is_with_the_champion(
    gateway: FileGateway,
    registry: Registry,
    store: FolderStore,
    monkeypatch: pytest.MonkeyPatch,
    *,
    after_the_swap: bool,
    serves: str,
) -> None:
    swap = registry.set_champion

    def interrupted(version: str, *, expected: str | None) -> None:
        if after_the_swap:
            swap(version, expected=expected)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(registry, "set_champion", interrupted)
    with pytest.raises(Interrupted):
        restore(gateway, registry, store, version="3")
    assert (registry.champion(), gateway.weights()) == (serves, {serves: 100})


def test_a_rollout_at_work_is_not_disturbed(
    gateway: FileGateway,
    registry: Registry,
    store: FolderStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollback, "BUSY_SECONDS", 0.0)
    with store.lock(), pytest.raises(RolloutBusy):
        restore(gateway, registry, store, version="3")
    assert gateway.weights() == {"4": 100}


def test_what_can_not_be_stopped_does_not_undo_the_return(
    gateway: FileGateway, registry: Registry, store: FolderStore
) -> None:
    gateway.broken = {"retire"}
    assert restore(gateway, registry, store, version="3") == ("4", "3")
    assert registry.champion() == "3"
