"""What is rendered for Envoy; the real one reads it in the integration tests."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kontinual.rollout.envoy_config import (
    CLUSTERS_FILE,
    ROUTES_FILE,
    cluster_name,
    envoy_arguments,
    prepare_envoy,
    render_clusters,
    render_routes,
    version_of,
    write_moved,
)


def test_the_first_start_refuses_traffic_and_a_restart_keeps_the_weights(tmp_path: Path) -> None:
    where = {"admin_port": 1, "listen_port": 2, "host": "127.0.0.1", "folder": tmp_path}
    bootstrap = prepare_envoy(**where)  # type: ignore[arg-type]
    assert '"status": 503' in (tmp_path / ROUTES_FILE).read_text()
    write_moved(tmp_path / ROUTES_FILE, render_routes({"1": 100}))
    prepare_envoy(**where)  # type: ignore[arg-type]
    assert "predictor-1" in (tmp_path / ROUTES_FILE).read_text()
    tree = json.loads(bootstrap.read_text())
    watched = tree["dynamic_resources"]["cds_config"]["path_config_source"]["path"]
    assert watched == str(tmp_path / CLUSTERS_FILE)
    assert str(bootstrap) in envoy_arguments(bootstrap)


def test_a_file_is_moved_into_place_and_no_draft_is_left(tmp_path: Path) -> None:
    before = tmp_path / "new" / "file"
    write_moved(before, "one")
    inode = before.stat().st_ino
    write_moved(before, "two")
    assert before.read_text() == "two"
    assert before.stat().st_ino != inode
    assert [p.name for p in before.parent.iterdir()] == ["file"]


@given(st.dictionaries(st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True), st.integers(1, 99)))
def test_routes_hold_each_weight_once_in_a_fixed_order(weights: dict[str, int]) -> None:
    tree = json.loads(render_routes(weights, update="u"))
    (route,) = tree["resources"][0]["virtual_hosts"][0]["routes"]
    if not weights:
        assert route["direct_response"]["status"] == 503
        return
    clusters = route["route"]["weighted_clusters"]["clusters"]
    assert {version_of(c["name"]): c["weight"] for c in clusters} == weights
    assert [c["name"] for c in clusters] == sorted(cluster_name(v) for v in weights)
    assert tree["version_info"] == "u"
    assert render_routes(dict(reversed(weights.items())), update="u") == render_routes(
        weights, update="u"
    )


def test_a_predictor_on_a_named_host_is_looked_up_and_one_on_an_address_is_not() -> None:
    tree = json.loads(render_clusters({"1": ("127.0.0.1", 7), "2": ("models.local", 8)}))
    assert [c["type"] for c in tree["resources"]] == ["STATIC", "STRICT_DNS"]
