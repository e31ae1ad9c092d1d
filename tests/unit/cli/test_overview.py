"""`kontinual status` tells how the loop fares, and of each part that is silent that it is."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from kontinual.cli.overview import overview
from kontinual.errors import GatewayError
from kontinual.settings import Settings
from kontinual.spec import Loop, load_loop

EXAMPLE = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
ANA = {"by": "ana", "reason": "a release", "at": "2026-05-04T09:00:00Z"}
STATUS = {
    "loop": "flights",
    "champion": "3",
    "run_in_progress": None,
    "last_run": None,
    "open_triggers": [],
    "paused": None,
    "paused_everywhere": None,
    "failures": 0,
    "circuit_open_until": None,
}


@pytest.fixture
def answers() -> dict[str, Any]:
    """What the services say, by path."""
    return {
        "/api/v1/status": STATUS,
        "/api/v1/alerts": {"data": {"alerts": []}},
        "/api/v1/store": {"matured": 3210, "taken": 1200, "ripening": 40},
    }


@pytest.fixture
def settings(answers: dict[str, Any]) -> Iterator[Settings]:
    """Trigger, Prometheus and collector at one address."""

    class Services(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in answers
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path, {})).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Services) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield Settings(trigger=url, prometheus=url, collector=url)
        server.shutdown()


@pytest.fixture
def loop() -> Loop:
    return load_loop(str(EXAMPLE))


def test_a_quiet_loop_is_told_in_a_few_words(loop: Loop, settings: Settings) -> None:
    assert overview(loop, settings, weights=lambda: {"3": 100}) == [
        ("champion", "version 3"),
        ("run", "none"),
        ("paused", "no"),
        ("held triggers", "none"),
        ("traffic", "version 3: 100 %"),
        ("alerts", "none fires"),
        ("labelled rows", "2,010 not in a span yet; 40 more when their label's delay is over"),
    ]


def test_a_busy_loop_tells_who_and_why(
    loop: Loop, settings: Settings, answers: dict[str, Any]
) -> None:
    answers["/api/v1/status"] = STATUS | {
        "champion": None,
        "run_in_progress": "flights-7",
        "last_run": "flights-6",
        "open_triggers": [7, 8],
        "paused": ANA,
        "paused_everywhere": ANA | {"by": "bo"},
        "failures": 3,
        "circuit_open_until": "2026-05-04T10:00:00Z",
    }
    answers["/api/v1/runs/flights-7"] = {
        "id": "flights-7",
        "accepted_at": "2026-05-04T08:00:00Z",
        "launched_at": None,
        "stop": ANA,
    }
    answers["/api/v1/runs/flights-6"] = {
        "id": "flights-6",
        "ended_at": "2026-05-03T21:04:05Z",
        "outcome": "rejected_data",
        "reason": "`temp` is in other units",
    }
    for n in (7, 8):
        answers[f"/api/v1/triggers/{n}"] = {
            "id": n,
            "alert": "quality_decay" if n == 7 else None,
            "source": "manual",
            "reason": "a run goes on",
        }
    firing = {"state": "firing", "activeAt": "2026-05-04T07:30:00.5Z"}
    answers["/api/v1/alerts"]["data"]["alerts"] = [
        firing | {"labels": {"alertname": f"a{i}"}, "annotations": {"summary": "it hurts"}}
        for i in range(7)
    ] + [{"state": "pending"}]

    told = dict(overview(loop, settings, weights=lambda: {"3": 75, "4": 25}))

    assert told["champion"] == "none yet; `kontinual run` makes the first"
    assert told["run"] == (
        "flights-7 since 2026-05-04 08:00 UTC, "
        "asked to end by ana at 2026-05-04 09:00 UTC: a release"
    )
    assert told["last run"] == (
        "flights-6 rejected data at 2026-05-03 21:04 UTC: `temp` is in other units"
    )
    assert told["paused"] == (
        "yes, by ana at 2026-05-04 09:00 UTC: a release; "
        "all loops, by bo at 2026-05-04 09:00 UTC: a release"
    )
    assert told["circuit"].startswith(
        "3 runs failed in a row: none is started before 2026-05-04 10:00 UTC"
    )
    assert told["held triggers"] == "7 (quality_decay): a run goes on\n8 (manual): a run goes on"
    assert told["traffic"] == "version 3: 75 %, version 4: 25 %"
    assert told["alerts"].splitlines()[0] == "a0 since 2026-05-04 07:30 UTC: it hurts"
    assert told["alerts"].splitlines()[-1] == "and 2 more"


def test_each_part_that_can_not_be_reached_says_so(loop: Loop) -> None:
    nobody = "http://127.0.0.1:1"
    settings = Settings(trigger=nobody, prometheus=nobody, collector=nobody)

    def weights() -> dict[str, int]:
        raise GatewayError("Envoy does not answer")

    told = dict(overview(loop, settings, weights=weights))

    assert set(told) == {
        "champion, run, pause, triggers",
        "traffic",
        "alerts",
        "labelled rows",
    }
    for name, words in told.items():
        assert words.startswith("not known: "), name


def test_what_is_not_up_is_not_asked_for_another_stack_may_answer_there(
    loop: Loop, settings: Settings
) -> None:
    down = {"trigger", "envoy", "prometheus", "collector"}
    told = overview(loop, settings, weights=lambda: {"9": 100}, down=down)
    assert {words for _, words in told} == {"not known: the service is not up"}


def test_what_answers_nonsense_is_not_known_either(
    loop: Loop, settings: Settings, answers: dict[str, Any]
) -> None:
    answers["/api/v1/alerts"] = []
    del answers["/api/v1/store"]
    told = dict(overview(loop, settings, weights=dict))
    assert told["alerts"].startswith("not known: Prometheus at ")
    assert told["labelled rows"].startswith("not known: the collector at ")
    assert told["traffic"] == "none is served: there is no version yet"
