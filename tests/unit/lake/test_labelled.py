"""Labelled rows reach a span exactly once, whatever dies in between."""

import io
import json

import httpx
import pandas as pd
import pytest

from kontinual.errors import LakeError
from kontinual.lake import ingest_labelled
from kontinual.lake.manifest import Cursor


class FakeCollector:
    """The collector's answers, over rows kept in memory; it can be made to fail."""

    def __init__(self, rows: pd.DataFrame, store: str = "first") -> None:
        self.store, self.loop = store, "shop"
        self.rows = rows.assign(_version="1", _score=0.5, _seq=range(1, len(rows) + 1))
        self.taken: list[int] = []
        self.failures: list[tuple[str, int | Exception]] = []
        self.asked: list[str] = []

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(str(request.url.raw_path, "ascii"))
        if self.failures and self.failures[0][0] in request.url.path:
            _, failure = self.failures.pop(0)
            if isinstance(failure, Exception):
                raise failure
            return httpx.Response(failure, text="no room")
        if request.url.path.endswith("/store"):
            return httpx.Response(200, json={"loop": self.loop, "store": self.store})
        told = json.loads(request.content or "{}") or request.url.params
        if told["store"] != self.store:
            return httpx.Response(409, text="another store")
        if request.url.path.endswith("/taken"):
            cursor = told["cursor"]
            self.taken.append(cursor)
            self.rows = self.rows[self.rows["_seq"] > cursor]  # it may forget them now
            return httpx.Response(204)
        after, limit = int(request.url.params["after"]), int(request.url.params["limit"])
        found = self.rows[self.rows["_seq"] > after].head(limit)
        buffer = io.BytesIO()
        found.to_parquet(buffer, coerce_timestamps="us")
        return httpx.Response(200, content=buffer.getvalue())


@pytest.fixture
def collector(rows):
    return FakeCollector(rows(250))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


@pytest.fixture
def fetch(loop, lake, collector):
    def call(**options):
        return ingest_labelled(
            loop, lake, collector="http://c", client=collector.client(), page_rows=100, **options
        )

    return call


def test_all_new_rows_become_one_span(fetch, lake, collector, rows):
    span = fetch()

    assert (span.number, span.rows, span.source) == (1, 250, "collector")
    assert span.cursor == Cursor(store="first", reached=250)
    frame = lake.read(1)
    pd.testing.assert_frame_equal(frame[rows(1).columns], rows(250), check_dtype=False)
    assert {"_version", "_score"} < set(frame.columns)
    assert collector.taken == [250]


def test_without_new_rows_there_is_no_span(fetch, lake):
    fetch()

    assert fetch() is None
    assert len(lake.spans()) == 1


def test_only_rows_after_the_last_span_are_asked_for(fetch, lake, collector, rows):
    fetch()
    collector.rows = rows(30, first=250).assign(_version="2", _score=0.1, _seq=range(251, 281))

    span = fetch()

    assert (span.rows, span.cursor.reached) == (30, 280)
    assert "/api/v1/examples?store=first&after=250&limit=100" in collector.asked


def test_a_collector_with_another_store_is_read_from_its_first_row(
    loop, lake, collector, rows, caplog
):
    """Its numbers start anew; to go on from the old ones would pass over its rows for ever."""
    ingest_labelled(loop, lake, collector="http://c", client=collector.client())
    other = FakeCollector(rows(300, first=250), store="second")

    span = ingest_labelled(loop, lake, collector="http://c", client=other.client())

    assert (span.rows, span.cursor) == (300, Cursor(store="second", reached=300))
    assert "another store than before, second instead of first" in caplog.text
    assert "after row 250 is in no span" in caplog.text
    assert other.taken == [300]


def test_the_former_store_goes_on_where_it_was_when_it_is_back(loop, lake, collector, rows):
    other = FakeCollector(rows(20, first=250), store="second")
    for source in (collector, other, collector):
        ingest_labelled(loop, lake, collector="http://c", client=source.client())

    assert [s.rows for s in lake.spans()] == [250, 20]


def test_a_store_that_changes_between_two_pages_writes_nothing(fetch, lake, collector):
    def changes(_fetched):
        collector.store = "second"

    with pytest.raises(LakeError, match="answered 409: another store"):
        fetch(progress=changes)
    assert lake.spans() == []


def test_the_collector_of_another_loop_is_refused(fetch, lake, collector):
    collector.loop = "flights"

    with pytest.raises(
        LakeError, match="collector of loop 'flights', not of 'shop'; set KONTINUAL"
    ):
        fetch()
    assert lake.spans() == []


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'{"loop": "shop"}'])
def test_a_collector_that_does_not_say_its_store_is_refused(fetch, collector, answer):
    collector._answer = lambda request: httpx.Response(200, content=answer)

    with pytest.raises(LakeError, match="api/v1/store: the answer names no store"):
        fetch()


def test_a_crash_before_the_span_loses_nothing(fetch, lake, collector, monkeypatch):
    def dies(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(lake, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            fetch()

    assert collector.taken == []
    assert fetch().rows == 250


def test_a_crash_between_span_and_receipt_duplicates_nothing(fetch, lake, collector):
    collector.failures = [("/taken", 503)] * 4

    with pytest.raises(LakeError, match=r"taken: the collector answered 503: no room"):
        fetch()
    assert [s.rows for s in lake.spans()] == [250]

    assert fetch() is None
    assert collector.taken == [250]  # said after all, so that the collector may forget
    assert len(lake.spans()) == 1


def test_two_ingestions_at_once_do_not_both_take_the_rows(loop, lake, collector, rows):
    other = FakeCollector(rows(250))

    def overtaken(fetched):
        if fetched == 250:
            ingest_labelled(loop, lake, collector="http://c", client=other.client())

    with pytest.raises(LakeError, match="span 1 is there already"):
        ingest_labelled(
            loop, lake, collector="http://c", client=collector.client(), progress=overtaken
        )
    assert [s.rows for s in lake.spans()] == [250]


def test_a_short_absence_is_waited_out(fetch, collector):
    collector.failures = [
        ("/examples", httpx.ConnectError("refused")),
        ("/examples", 503),
        ("/taken", 502),
    ]

    assert fetch().rows == 250


def test_a_long_absence_is_a_clear_error_and_writes_nothing(fetch, lake, collector):
    collector.failures = [("/examples", httpx.ConnectError("refused"))] * 4

    with pytest.raises(
        LakeError, match=r"GET http://c/api/v1/examples\?store=first&after=0&limit=100: .*refused"
    ):
        fetch()
    assert lake.spans() == []


def test_a_refusal_is_not_repeated(fetch, collector):
    collector.failures = [("/examples", 403)] * 2

    with pytest.raises(LakeError, match="answered 403: no room"):
        fetch()
    assert [path.partition("?")[0] for path in collector.asked] == [
        "/api/v1/store",
        "/api/v1/examples",
    ]


def test_a_failure_on_a_later_page_writes_no_half_span(fetch, lake, collector):
    real, pages = collector._answer, iter([True, True, True, False])

    def fails_on_the_third(request):
        return real(request) if next(pages) else httpx.Response(400, text="gone")

    collector._answer = fails_on_the_third
    with pytest.raises(LakeError, match="answered 400: gone"):
        fetch()
    assert lake.spans() == []


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda frame: b"<html>", "the answer is no parquet"),
        (lambda frame: _parquet(frame.drop(columns="_seq")), "has no column '_seq'"),
        (lambda frame: _parquet(frame.assign(_seq=0)), "holds rows up to 0 again"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_refused(fetch, lake, collector, spoil, message):
    real, content = collector._answer, spoil(collector.rows)

    def spoilt(request):
        is_page = request.url.path.endswith("/examples")
        return httpx.Response(200, content=content) if is_page else real(request)

    collector._answer = spoilt

    with pytest.raises(LakeError, match=message):
        fetch()
    assert lake.spans() == []


def _parquet(frame):
    buffer = io.BytesIO()
    frame.to_parquet(buffer, coerce_timestamps="us")
    return buffer.getvalue()
