"""What every store of a rollout's state promises, whether a folder's or a cluster's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kserve_world import TEAM, KServeWorld

from kontinual.errors import KontinualError
from kontinual.rollout import FolderStore, Phase, RolloutBusy, RolloutState, RolloutStore
from kontinual.spec import load_loop
from tests.cluster.imitation.kserve.controller import Cluster
from tests.repeating import repeating

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Opens = Callable[[], RolloutStore]


def state(**changes: object) -> RolloutState:
    times = {"started_at": NOW, "updated_at": NOW}
    versions = {"champion": "1", "owner": "1", "challenger": "2"}
    fields = {"loop": "flights", **versions, "packages": {}, **times}
    return RolloutState.model_validate({**fields, **changes})


class StoreContract:
    def test_before_the_first_rollout_there_is_none(self, opens: Opens) -> None:
        assert opens().load() is None
        assert opens().asked_to_abort() is None
        assert not opens().busy()

    def test_what_was_saved_is_there_for_others_and_replaced_as_a_whole(self, opens: Opens) -> None:
        store = opens()
        with store.lock():
            store.save(state(reason="first"))
            store.save(state(phase=Phase.OBSERVING))
        assert opens().load() == state(phase=Phase.OBSERVING)

    def test_one_at_a_time_is_at_work(self, opens: Opens) -> None:
        store = opens()
        with store.lock():
            assert opens().busy()
            with pytest.raises(RolloutBusy, match="another process is at work"), opens().lock():
                pass
        assert not opens().busy()
        with opens().lock():
            pass

    def test_a_wish_to_abort_reaches_who_is_at_work_and_hinders_no_save(self, opens: Opens) -> None:
        store = opens()
        with store.lock():
            store.save(state())
            opens().ask_to_abort("Ada")
            store.save(state(reason="goes on"))
            asked = store.asked_to_abort()
            assert asked is not None
            assert asked.startswith("Ada at ")
            store.forget_abort()
            store.forget_abort()
            assert store.asked_to_abort() is None
            assert opens().load() == state(reason="goes on")

    def test_a_wish_may_come_before_the_first_rollout(self, opens: Opens) -> None:
        opens().ask_to_abort("Ada")
        assert opens().asked_to_abort() is not None
        assert opens().load() is None


class TestFolderStore(StoreContract):
    @pytest.fixture
    def opens(self, tmp_path: Path) -> Opens:
        return lambda: FolderStore(tmp_path)

    def test_who_only_looks_keeps_nobody_from_work(self, opens: Opens) -> None:
        looking = opens()
        with repeating(lambda: looking.busy(), pause=0.0):
            for _ in range(200):
                with opens().lock():
                    pass


class TestClusterStore(StoreContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> Iterator[KServeWorld]:
        with KServeWorld(tmp_path, load_loop(str(EXAMPLE)), Cluster(), direct=True) as world:
            yield world

    @pytest.fixture
    def opens(self, world: KServeWorld) -> Opens:
        return lambda: world.process()["store"]

    def test_a_damaged_state_is_named(self, world: KServeWorld, opens: Opens) -> None:
        body = {"metadata": {"name": "kontinual-rollout-flights"}, "data": {"rollout.json": "{}"}}
        world.objects.create(("/api/v1", "configmaps"), body)
        title = f"ConfigMap {TEAM}/kontinual-rollout-flights: not the state of a rollout"
        with pytest.raises(KontinualError, match=title):
            opens().load()


del StoreContract
