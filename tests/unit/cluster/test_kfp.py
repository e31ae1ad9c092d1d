import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kontinual.cluster.kfp import Connection, Pipelines, Runs, Version
from kontinual.errors import ClusterError
from tests.kfp.server import Fault, KfpServer, kfp_server


@pytest.fixture
def server() -> Iterator[KfpServer]:
    with kfp_server(multi_user=True, tokens={"fresh": {"team"}}, page_size=2) as running:
        yield running


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("fresh\n")
    return file


@pytest.fixture
def connection(server: KfpServer, token_file: Path) -> Connection:
    return Connection(server.url, namespace="team", token_file=token_file)


@pytest.fixture
def version(connection: Connection, tmp_path: Path) -> Version:
    (tmp_path / "p.yaml").write_text("a: pipeline")
    pipelines = Pipelines(connection)
    return pipelines.upload(pipelines.create("p", ""), "v", tmp_path / "p.yaml")


def test_a_projected_token_is_read_anew_for_every_request(
    connection: Connection, server: KfpServer, token_file: Path
) -> None:
    assert Pipelines(connection).find("p") is None
    server.tokens = {"renewed": {"team"}}
    with pytest.raises(ClusterError, match="answered 401"):
        Pipelines(connection).find("p")
    token_file.write_text("renewed\n")
    assert Pipelines(connection).find("p") is None


def test_runs_are_found_over_all_pages_the_oldest_first(
    connection: Connection, version: Version
) -> None:
    runs = Runs(connection, "toy")
    made = [runs.start("same", version=version, parameters={}).id for _ in range(5)]
    runs.start("other", version=version, parameters={})
    assert [run.id for run in runs.named("same")] == made


def test_what_another_made_at_the_same_time_is_as_good(
    connection: Connection, server: KfpServer
) -> None:
    server.faults.append(Fault("POST", "/experiments$", status=500, done=True))
    server.faults.append(Fault("POST", "/pipelines$", status=None, done=True))
    assert Runs(connection, "toy").experiment_id() == "experiments-1"
    assert Pipelines(connection).create("p", "") == "pipelines-3"


def test_a_run_that_is_not_there_is_none_and_a_refusal_is_told(
    connection: Connection, server: KfpServer
) -> None:
    runs = Runs(connection, "toy")
    assert runs.get("gone") is None
    server.faults.append(Fault("GET", "/runs/", status=429))
    with pytest.raises(ClusterError, match=r"asking for run gone: .* answered 429") as caught:
        runs.get("gone")
    assert caught.value.status == 429


@pytest.fixture
def silent() -> Iterator[tuple[str, list[socket.socket]]]:
    """A server that takes connections and never answers: its address, and what came."""
    came: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with suppress(OSError):
                while True:
                    came.append(server.accept()[0])

        taking = threading.Thread(target=take)
        taking.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", came
        server.shutdown(socket.SHUT_RDWR)
        taking.join()
    for one in came:
        one.close()


def test_a_server_that_never_answers_is_asked_once_and_waited_for_once(
    silent: tuple[str, list[socket.socket]],
) -> None:
    url, came = silent
    connection = Connection(url, timeout_seconds=(0.2, 0.4))
    began = time.monotonic()
    with pytest.raises(ClusterError, match="gave no answer"):
        Runs(connection, "toy").get("x")
    assert time.monotonic() - began < 0.8
    assert len(came) == 1


def test_calls_that_have_to_be_done_within_a_time_share_it(
    silent: tuple[str, list[socket.socket]],
) -> None:
    url, came = silent
    connection = Connection(url, timeout_seconds=(0.2, 30))
    began = time.monotonic()
    with connection.within(0.5):
        for reason in ("gave no answer", "the calls before it took all of the time"):
            with pytest.raises(ClusterError, match=reason):
                Runs(connection, "toy").get("x")
    assert time.monotonic() - began < 1.5
    assert len(came) == 1
