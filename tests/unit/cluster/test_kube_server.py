"""The API server of the tests keeps to the rules that clients lean on."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import ApiClient, CustomObjectsApi
from kubernetes.client.exceptions import ApiException
from kubernetes.watch import Watch

from tests.kube.clients import Killed
from tests.kube.server import KubeServer

WIDGETS = ("example.com", "v1", "team", "widgets")


@pytest.fixture
def client(kube: KubeServer) -> Iterator[ApiClient]:
    with kube.client() as client:
        yield client


@pytest.fixture
def api(client: ApiClient) -> CustomObjectsApi:
    return CustomObjectsApi(client)


def make(api: CustomObjectsApi, name: str = "w", **spec: Any) -> dict[str, Any]:
    body = {"metadata": {"name": name, "labels": {"size": spec.get("size", "s")}}, "spec": spec}
    return api.create_namespaced_custom_object(*WIDGETS, body)


def test_of_two_writers_who_read_the_same_the_second_is_refused(api: CustomObjectsApi) -> None:
    made = make(api, a=1)
    first = {**made, "spec": {"a": 2}}
    api.replace_namespaced_custom_object(*WIDGETS, "w", first)
    with pytest.raises(ApiException) as caught:
        api.replace_namespaced_custom_object(*WIDGETS, "w", {**made, "spec": {"a": 3}})
    assert caught.value.status == 409
    assert api.get_namespaced_custom_object(*WIDGETS, "w")["spec"] == {"a": 2}


def test_generation_rises_with_the_spec_alone(api: CustomObjectsApi) -> None:
    made = make(api, a=1)
    assert made["metadata"]["generation"] == 1
    patch = {"metadata": {"annotations": {"x": "y"}}}
    api.patch_namespaced_custom_object(*WIDGETS, "w", patch)
    api.patch_namespaced_custom_object_status(*WIDGETS, "w", {"status": {"ready": True}})
    found = api.get_namespaced_custom_object(*WIDGETS, "w")
    assert found["metadata"]["generation"] == 1
    api.patch_namespaced_custom_object(*WIDGETS, "w", {"spec": {"a": None, "b": 1}})
    found = api.get_namespaced_custom_object(*WIDGETS, "w")
    assert (found["metadata"]["generation"], found["spec"]) == (2, {"b": 1})


def test_status_is_written_by_its_own_way_only(api: CustomObjectsApi) -> None:
    made = make(api, a=1)
    api.replace_namespaced_custom_object(*WIDGETS, "w", {**made, "status": {"ready": True}})
    found = api.get_namespaced_custom_object(*WIDGETS, "w")
    assert "status" not in found
    body = {**found, "spec": {}, "status": {"ready": True}}
    api.replace_namespaced_custom_object_status(*WIDGETS, "w", body)
    found = api.get_namespaced_custom_object(*WIDGETS, "w")
    assert (found["spec"], found["status"]) == ({"a": 1}, {"ready": True})


def test_a_dry_run_changes_nothing(api: CustomObjectsApi) -> None:
    body = {"metadata": {"name": "w"}}
    assert api.create_namespaced_custom_object(*WIDGETS, body, dry_run="All")
    with pytest.raises(ApiException, match="NotFound"):
        api.get_namespaced_custom_object(*WIDGETS, "w")


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("size=s", ["a"]),
        ("size!=s", ["b", "c"]),
        ("size in (s, m)", ["a", "b"]),
        ("size notin (s),size", ["b", "c"]),
        ("!size", []),
        ("", ["a", "b", "c"]),
    ],
)
def test_lists_follow_selectors(api: CustomObjectsApi, selector: str, names: list[str]) -> None:
    for name, size in (("a", "s"), ("b", "m"), ("c", "l")):
        make(api, name, size=size)
    listed = api.list_namespaced_custom_object(*WIDGETS, label_selector=selector)
    assert [i["metadata"]["name"] for i in listed["items"]] == names


def test_what_an_object_owns_goes_with_it(api: CustomObjectsApi) -> None:
    owner = make(api, "owner")["metadata"]
    reference = {"apiVersion": "v1", "kind": "W", "name": "owner", "uid": owner["uid"]}
    body = {"metadata": {"name": "owned", "ownerReferences": [reference]}}
    api.create_namespaced_custom_object(*WIDGETS, body)
    api.delete_namespaced_custom_object(*WIDGETS, "owner")
    assert api.list_namespaced_custom_object(*WIDGETS)["items"] == []


def test_a_watch_tells_what_changes(kube: KubeServer, api: CustomObjectsApi) -> None:
    make(api, "a")
    listed = api.list_namespaced_custom_object(*WIDGETS)
    told: list[tuple[str, str]] = []

    def listen() -> None:
        with kube.client() as other:
            watch = Watch()
            for event in watch.stream(
                CustomObjectsApi(other).list_namespaced_custom_object,
                *WIDGETS,
                resource_version=listed["metadata"]["resourceVersion"],
            ):
                told.append((event["type"], event["object"]["metadata"]["name"]))
                if len(told) == 3:
                    watch.stop()

    listener = threading.Thread(target=listen)
    listener.start()
    make(api, "b")
    api.patch_namespaced_custom_object(*WIDGETS, "b", {"spec": {"x": 1}})
    api.delete_namespaced_custom_object(*WIDGETS, "b")
    listener.join()
    assert told == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b")]


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_answer_tells_nothing_of_what_was_done(
    kube: KubeServer, api: CustomObjectsApi, after: bool
) -> None:
    kube.fail("POST", "widgets", status=0, after=after)
    with pytest.raises(Exception, match=r"Connection aborted|Remote end closed"):
        make(api)
    assert len(api.list_namespaced_custom_object(*WIDGETS)["items"]) == after


@pytest.mark.parametrize("fuse", [1, 2])
def test_a_process_may_die_before_or_after_its_request(
    kube: KubeServer, api: CustomObjectsApi, fuse: int
) -> None:
    with kube.client(fuse=fuse) as mortal, pytest.raises(Killed):
        make(CustomObjectsApi(mortal))
    assert len(api.list_namespaced_custom_object(*WIDGETS)["items"]) == fuse - 1
