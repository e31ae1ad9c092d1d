"""No password of a URL is shown or kept, whoever tells of it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kontinual.errors import ClusterError, KontinualError, MetricsUnavailable
from kontinual.masking import masked
from kontinual.spec import Outcome, RunRecord, parse_loop
from kontinual.trigger import PrometheusSource
from kontinual.trigger.page import PrometheusFigures

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights" / "loop.yaml"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("http://ana:s3cr3t@host:9090", "http://ana:***@host:9090"),
        ("http://:s3cr3t@host", "http://:***@host"),
        ("https://s3cr3t@host/x", "https://***@host/x"),
        ("postgresql+psycopg://me:s3/cr@3t@db:5432/x", "postgresql+psycopg://me:***@db:5432/x"),
        ("postgresql+psycopg://me@db/x?sslmode=require&password=s3cr3t&a=b",
         "postgresql+psycopg://me@db/x?sslmode=require&password=***&a=b"),
        ("postgresql//me:s3cr3t@db/x", "postgresql//me:***@db/x"),
        ("postgresql:me:s3cr3t@db/x", "postgresql:***@db/x"),
        ("GET http://a:b@h or 'http://c:d@h'", "GET http://a:***@h or 'http://c:***@h'"),
    ],
)  # fmt: skip
def test_a_password_is_masked_and_the_rest_stays(told: str, shown: str) -> None:
    assert masked(told) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://127.0.0.1:9090/api/v1/query?query=up can not be reached",
        "s3://bucket/lake/flights",
        "sqlite:////var/lib/kontinual/ledger.db",
        "asked for at 10:30 by ana@example.org: see http://host:80/x",
        'kontinual_champion_info{model="flights", version="3"} is empty',
    ],
)
def test_what_holds_no_password_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize("kind", [KontinualError, MetricsUnavailable, ClusterError])
def test_no_error_tells_a_password(kind: type[KontinualError]) -> None:
    assert str(kind("http://a:s3cr3t@h: no answer")) == "http://a:***@h: no answer"


def test_no_record_of_a_run_holds_one() -> None:
    record = RunRecord(
        id="x-1", loop="x", trigger="1", outcome=Outcome.FAILED, started_at=NOW, ended_at=NOW,
        reason="its last lines: InvalidURL: http://a:s3cr3t@h",
    )  # fmt: skip
    assert "s3cr3t" not in record.model_dump_json()


def test_prometheus_with_a_password_is_told_without_it() -> None:
    url = "http://kontinual:s3cr3t@127.0.0.1:9"
    source = PrometheusSource(url)
    with pytest.raises(MetricsUnavailable, match=r"http://kontinual:\*\*\*@127\.0\.0\.1:9 can not"):
        source.vector("up")
    source.close()
    figures = PrometheusFigures(parse_loop(EXAMPLE.read_text()), url)
    assert "kontinual:***@127.0.0.1:9 can not" in str(figures("day").trouble)
