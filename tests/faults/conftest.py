import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kontinual.spec import Loop, load_loop
from kontinual.trigger import migrate
from tests.faults.siege import Siege
from tests.integration.trigger.postgres import PostgresServer

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights" / "loop.yaml"


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]


@pytest.fixture(scope="session")
def loop() -> Loop:
    return load_loop(str(EXAMPLE))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def rounds() -> int:
    """How often each siege is repeated, with other kills: KONTINUAL_FAULT_ROUNDS."""
    return int(os.environ.get("KONTINUAL_FAULT_ROUNDS", "1"))


@pytest.fixture(params=["sqlite", "postgresql"])
def siege(
    request: pytest.FixtureRequest, loop: Loop, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], Siege]]:
    """Makes a new ledger with its services: one on SQLite, two replicas on PostgreSQL."""
    with ExitStack() as stack:

        def begin() -> Siege:
            folder = tmp_path_factory.mktemp("siege")
            url, replicas = f"sqlite:///{folder}/ledger.db", 1
            if request.param == "postgresql":
                url, replicas = request.getfixturevalue("postgres").new_database(), 2
                migrate(url)
            begun = Siege(loop, folder, url, free_ports(replicas))
            stack.callback(begun.close)
            return begun

        yield begin
