import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kontinual.spec import load_loop
from kontinual.trigger.page import PrometheusFigures

LOOP = load_loop(str(Path(__file__).parents[4] / "examples" / "flights" / "loop.yaml"))


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that gives one answer to everything."""
    status, body = request.param

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("answering", "says"),
    [
        ((200, b"<html>"), "but not as Prometheus does"),
        ((200, b"[]"), "but not as Prometheus does"),
        ((200, b'{"data": {"result": [{"metric": {}}]}}'), "but not as Prometheus does"),
        ((500, b"overloaded"), "refuses"),
    ],
    indirect=["answering"],
)
def test_what_prometheus_does_not_say_is_told_and_no_figure_is_made_up(
    answering: str, says: str
) -> None:
    found = PrometheusFigures(LOOP, answering)("week")
    assert found.trouble is not None
    assert answering in found.trouble
    assert says in found.trouble
    assert (found.quality, found.traffic, found.drift) == ([], {}, [])


@pytest.mark.parametrize("answering", [(200, b'{"data": {"result": []}}')], indirect=True)
def test_no_data_is_no_trouble(answering: str) -> None:
    found = PrometheusFigures(LOOP, answering)("week")
    assert found.trouble is None
    assert (found.quality, found.traffic, found.drift) == ([], {}, [])


@pytest.mark.parametrize("answering", [(200, b'{"data": {"result": []}}')], indirect=True)
def test_a_period_passes_faster_at_a_higher_speed(answering: str) -> None:
    found = PrometheusFigures(LOOP, answering, speedup=1000)("week")
    assert found.end - found.start == pytest.approx(604.8, abs=8)
