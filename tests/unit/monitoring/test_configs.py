from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from kontinual.errors import SpecError
from kontinual.monitoring import render_alertmanager, render_prometheus
from kontinual.spec import Loop

URLS = {
    "collector": "http://10.0.0.1:81",
    "trigger": "10.0.0.2:82",
    "envoy": "https://10.0.0.3:83/",
    "alertmanager": "http://10.0.0.4:84",
}


def load(text: str) -> Any:
    return YAML(typ="safe").load(text)


def test_prometheus_scrapes_every_service_where_it_is(loop: Loop) -> None:
    tree = load(render_prometheus(loop, **URLS))
    jobs = {job["job_name"]: job for job in tree["scrape_configs"]}
    assert jobs.keys() == {"predictor", "collector", "trigger", "envoy", "alertmanager"}
    assert jobs["collector"]["static_configs"] == [{"targets": ["10.0.0.1:81"]}]
    assert jobs["trigger"]["scheme"] == "http"
    assert (jobs["envoy"]["scheme"], jobs["envoy"]["metrics_path"]) == (
        "https",
        "/stats/prometheus",
    )
    (alerting,) = tree["alerting"]["alertmanagers"]
    assert alerting["static_configs"] == [{"targets": ["10.0.0.4:84"]}]


def test_predictors_are_discovered_from_the_gateways_list(loop: Loop) -> None:
    text = render_prometheus(
        loop, **URLS, predictors_file=Path("/x/predictors.json"), rules_file=Path("/x/rules.yml")
    )
    (found,) = load(text)["scrape_configs"][0]["file_sd_configs"]
    assert found["files"] == ["/x/predictors.json"]
    (labelled,) = load(text)["scrape_configs"][0]["relabel_configs"]
    assert labelled == {"target_label": "loop", "replacement": "flights"}
    assert load(text)["rule_files"] == ["/x/rules.yml"]


@pytest.mark.parametrize(("speedup", "scrape", "rules"), [(1, "30s", "1m"), (86400, "1s", "1s")])
def test_the_pace_follows_the_speed(loop: Loop, speedup: float, scrape: str, rules: str) -> None:
    tree = load(render_prometheus(loop, **URLS, speedup=speedup))["global"]
    assert (tree["scrape_interval"], tree["evaluation_interval"]) == (scrape, rules)


@pytest.mark.parametrize("address", ["ftp://a:1", "http://", "http://a:1/path"])
def test_an_address_that_is_none_is_refused(loop: Loop, address: str) -> None:
    with pytest.raises(SpecError, match=r"an address is http\(s\)://host:port"):
        render_prometheus(loop, **{**URLS, "trigger": address})


def test_alertmanager_posts_to_the_trigger_with_its_token(loop: Loop) -> None:
    tree = load(render_alertmanager(loop, trigger_url="http://t:1/", token_file=Path("/x/token")))
    (receiver,) = tree["receivers"]
    (webhook,) = receiver["webhook_configs"]
    assert webhook["url"] == "http://t:1/api/v1/alerts"
    assert webhook["send_resolved"] is True
    assert webhook["http_config"]["authorization"] == {
        "type": "Bearer",
        "credentials_file": "/x/token",
    }
    assert tree["route"]["group_by"] == ["model", "kind"]


@pytest.mark.parametrize(
    ("cooldown", "speedup", "again"),
    [("10d", 1, "1d"), ("8h", 1, "2h"), ("0s", 1, "5m"), ("8h", 100, "1m12s"), ("8h", 1e9, "1s")],
)
def test_an_alert_comes_again_a_few_times_per_cooldown(
    changed: Callable[..., Loop], cooldown: str, speedup: float, again: str
) -> None:
    loop = changed(trigger={"cooldown": cooldown})
    text = render_alertmanager(loop, trigger_url="http://t:1", token_file="t", speedup=speedup)
    assert load(text)["route"]["repeat_interval"] == again
