"""A start while the ledger's database is away."""

import logging

import pytest

from kontinual.errors import LedgerError
from kontinual.trigger import LedgerDown
from kontinual.trigger.database import PATIENCE, _patience, make_url
from kontinual.trigger.ledger import Ledger
from kontinual.trigger.server import OPEN_SECONDS, open_patiently

NOBODY = "postgresql+psycopg://kontinual:secret@127.0.0.1:1/kontinual"


def test_a_database_that_is_away_is_waited_for_and_each_try_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    waited: list[float] = []

    def away_twice() -> Ledger:
        return Ledger(NOBODY if len(waited) < 2 else "sqlite://", "flights")

    with caplog.at_level(logging.WARNING):
        open_patiently(away_twice, sleep=waited.append).close()
    assert waited == [1, 2]
    told = [r.getMessage() for r in caplog.records]
    assert len(told) == 2
    assert all("waiting for the ledger" in text and "127.0.0.1" in text for text in told)
    assert "secret" not in "".join(told)


def test_one_that_stays_away_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kontinual.trigger.server.OPEN_SECONDS", 0.0)
    with pytest.raises(LedgerDown, match=r"can not be opened.*onnection refused"):
        open_patiently(lambda: Ledger(NOBODY, "flights"), sleep=lambda _: None)
    assert OPEN_SECONDS > 60, "a failover takes that long"


def test_what_waiting_does_not_mend_ends_it_at_once() -> None:
    def opened() -> Ledger:
        return Ledger("sqlite:////proc/none/ledger.db", "flights")

    with pytest.raises(LedgerError) as refused:
        open_patiently(opened, sleep=lambda _: pytest.fail("it waits"))
    assert not isinstance(refused.value, LedgerDown)


def test_a_silent_server_is_given_up_before_the_worker_counts_as_dead() -> None:
    assert _patience(make_url(NOBODY)) == PATIENCE
    assert PATIENCE["connect_timeout"] + PATIENCE["tcp_user_timeout"] / 1000 < 60
    assert "connect_timeout" not in _patience(make_url(f"{NOBODY}?connect_timeout=3"))
    assert _patience(make_url("sqlite://")) == {}
