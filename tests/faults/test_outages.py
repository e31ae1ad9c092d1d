"""What the service needs fails: it says so with 503, and goes on when it is mended."""

import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.faults.siege import Life, Siege, wait_until

pytestmark = pytest.mark.parametrize("siege", ["sqlite"], indirect=True)


@contextmanager
def full_disk(siege: Siege, pid: int) -> Iterator[None]:
    """No file of the process can grow; soft limits can be lifted again by anybody."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked_database(siege: Siege, pid: int) -> Iterator[None]:
    """Somebody else writes, and does not end."""
    path = Path(siege.place.ledger.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("outage", [full_disk, locked_database])
def test_what_can_not_be_written_is_refused_counted_and_accepted_when_it_can(
    siege: Callable[[], Siege], outage: Callable[..., AbstractContextManager[None]]
) -> None:
    begun = siege()
    life = Life(begun.place, begun.ports[0], None, float("inf"))
    try:
        begun.fire()
        wait_until(lambda: begun.fire() or not begun.waiting, "the first alert is accepted")
        assert life.process.pid is not None
        with outage(begun, life.process.pid):
            begun.fire()
            begun.fire()
            assert begun.waiting, "what is not written is not acknowledged"
            assert errors(begun) > 0
        begun.settle()
    finally:
        life.kill()
    begun.check()


def errors(siege: Siege) -> float:
    """How many failures of the ledger the service has counted."""
    text = httpx.get(f"http://127.0.0.1:{siege.ports[0]}/metrics", timeout=30).text
    found = [x for x in text.splitlines() if "kontinual_trigger_errors_total" in x]
    return sum(float(x.split()[-1]) for x in found if 'kind="ledger"' in x)
