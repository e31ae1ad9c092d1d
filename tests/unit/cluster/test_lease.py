"""At most one process acts at a time, and one that is not sure stops."""

from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from kubernetes.client import ApiClient, CustomObjectsApi

from kontinual.cluster import Lease, LeaseBusy, LeaseLost
from tests.kube.server import KubeServer

LEASES = ("coordination.k8s.io", "v1", "team", "leases")


class Time:
    """A clock that moves only while someone sleeps; others may act meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: list[Lease] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for lease in self.meanwhile:
            lease.renew()


@pytest.fixture
def client(kube: KubeServer) -> Iterator[ApiClient]:
    with kube.client() as client:
        yield client


@pytest.fixture
def time() -> Time:
    return Time()


def lease(client: ApiClient, time: Time) -> Lease:
    # So long that the background's own renewals, in real time, never come.
    return Lease(client, "team", "rollout", seconds=600, clock=time.clock, sleep=time.sleep)


def stored(client: ApiClient) -> dict[str, Any]:
    return CustomObjectsApi(client).get_namespaced_custom_object(*LEASES, "rollout")


def test_who_holds_it_may_write_and_gives_it_back(client: ApiClient, time: Time) -> None:
    first, second = lease(client, time), lease(client, time)
    assert first.holder() is None
    with first.hold():
        first.check()
        assert second.holder() == first.identity
        with pytest.raises(LeaseLost, match="is not held by this process"):
            second.check()
    with pytest.raises(LeaseLost):
        first.check()
    assert second.holder() is None
    with second.hold():
        second.check()
    assert stored(client)["spec"]["leaseTransitions"] == 1


def test_a_holder_that_lives_is_left_alone(client: ApiClient, time: Time) -> None:
    first, second = lease(client, time), lease(client, time)
    with first.hold():
        time.meanwhile = [first]
        with pytest.raises(LeaseBusy, match=f"is held by {first.identity}"), second.hold():
            pass
        first.check()
        assert time.now < 10


def test_a_holder_that_lives_is_waited_for_as_long_as_asked(client: ApiClient, time: Time) -> None:
    first, second = lease(client, time), lease(client, time)
    with first.hold():
        time.meanwhile = [first]
        with pytest.raises(LeaseBusy), second.hold(timeout=1000):
            pass
        assert 1000 <= time.now < 1010


def test_a_holder_that_was_killed_is_followed_after_the_whole_duration(
    client: ApiClient, time: Time
) -> None:
    dead, next_one = lease(client, time), lease(client, time)
    dead._acquire(0)
    with next_one.hold():
        assert time.now > 600
        next_one.check()
        dead.renew()
        with pytest.raises(LeaseLost):
            dead.check()


def test_who_can_not_renew_stops_before_anybody_may_follow(
    kube: KubeServer, client: ApiClient, time: Time
) -> None:
    mine = lease(client, time)
    with mine.hold():
        kube.fail("PUT", "leases", status=500, times=100)
        time.now = 399
        mine.renew()
        mine.check()
        time.now = 401
        mine.renew()
        with pytest.raises(LeaseLost, match="could not be renewed for 401 s"):
            mine.check()


def test_a_renewal_whose_answer_was_lost_is_still_ours(
    kube: KubeServer, client: ApiClient, time: Time
) -> None:
    mine = lease(client, time)
    with mine.hold():
        kube.fail("PUT", "leases", status=0, after=True)
        for _ in range(3):
            time.now += 300
            mine.renew()
            mine.renew()
            mine.check()


def test_a_lease_that_was_taken_or_removed_by_force_is_lost_at_the_next_renewal(
    client: ApiClient, time: Time
) -> None:
    api = CustomObjectsApi(client)
    for by_force in (
        lambda: api.patch_namespaced_custom_object(
            *LEASES, "rollout", {"spec": {"holderIdentity": "someone else"}}
        ),
        lambda: api.delete_namespaced_custom_object(*LEASES, "rollout"),
    ):
        mine = lease(client, time)
        mine._acquire(0)
        by_force()
        mine.renew()
        with pytest.raises(LeaseLost):
            mine.check()
        time.now += 1000


def test_of_two_who_want_a_free_lease_one_gets_it(
    kube: KubeServer, client: ApiClient, time: Time
) -> None:
    first, second = lease(client, time), lease(client, time)
    found = first._read()
    assert found is None
    assert second._take(None)
    assert not first._take(None)
    second._release()
    free = first._read()
    assert second._take(free)
    assert not first._take(free)


def test_the_background_renews(client: ApiClient) -> None:
    mine = Lease(client, "team", "rollout", seconds=1)
    with mine.hold():
        before = stored(client)["metadata"]["resourceVersion"]
        end = monotonic() + 60
        while stored(client)["metadata"]["resourceVersion"] == before:
            assert monotonic() < end, "never renewed"
