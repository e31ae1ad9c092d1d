import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kontinual.errors import LakeError
from kontinual.lake import Lake
from kontinual.lake.manifest import Cursor


def test_a_span_is_read_back_as_it_was_written(lake, rows):
    frame = rows(50)

    manifest = lake.write(frame, source="table")

    pd.testing.assert_frame_equal(lake.read(1), frame, check_dtype=False)
    assert (manifest.number, manifest.rows, manifest.source) == (1, 50, "table")
    assert (manifest.start, manifest.end) == (frame["at"].min(), frame["at"].max())
    assert lake.spans() == [manifest] == [lake.span(1)]


def test_numbers_rise_by_one_and_the_order_is_theirs(lake, rows):
    for i in range(12):
        lake.write(rows(3, first=3 * i), source="table")

    assert [s.number for s in lake.spans()] == list(range(1, 13))
    assert lake.exists("spans", "000012", "manifest.json")


def test_rows_are_ordered_by_time(lake, rows):
    lake.write(rows(30).sample(frac=1, random_state=1), source="table")

    assert lake.read(1)["at"].is_monotonic_increasing


def test_only_the_asked_columns_are_read(lake, rows):
    lake.write(rows(5), source="table")

    assert list(lake.read(1, ["order", "price"]).columns) == ["order", "price"]
    with pytest.raises(LakeError, match=r"span 1 has no column 'weight'; its columns are order"):
        lake.read(1, ["weight"])


def test_a_span_that_is_not_there_is_named_with_those_that_are(lake, rows):
    lake.write(rows(5), source="table")

    with pytest.raises(LakeError, match="loop shop has no span 7; there are: 1"):
        lake.read(7)


def test_a_span_is_never_written_over(lake, rows):
    kept = lake.write(rows(5), source="table")

    with pytest.raises(LakeError, match="span 1 is there already and never changes"):
        lake.write(rows(9, first=5), source="table", number=1)
    assert lake.spans() == [kept]
    assert len(lake.read(1)) == 5


def test_a_writer_that_is_overtaken_takes_the_next_number(loop, disk, rows, monkeypatch):
    late = Lake(disk.store.url("..").removesuffix("/shop/.."), loop)
    seen = iter([1, 2])
    monkeypatch.setattr(late, "next_number", lambda: next(seen))
    disk.write(rows(5), source="table")

    assert late.write(rows(6, first=5), source="table").number == 2
    assert [s.rows for s in disk.spans()] == [5, 6]


def test_the_manifest_counts_and_never_the_data_file_alone(lake, rows):
    lake.store.write("spans/000001/data-00000000.parquet", b"half")

    assert lake.spans() == []
    assert lake.write(rows(4), source="table").number == 1
    assert len(lake.read(1)) == 4


def test_a_damaged_manifest_is_named(disk, rows):
    disk.write(rows(4), source="table")
    Path(disk.path("spans", "000001", "manifest.json")).write_text('{"number": 1}')

    with pytest.raises(LakeError, match=r"spans/000001/manifest\.json: no span manifest"):
        disk.spans()


@settings(max_examples=40, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_detected(tmp_path_factory, loop, place, bit):
    lake = Lake(str(tmp_path_factory.mktemp("lake")), loop)
    frame = pd.DataFrame(
        {"order": ["a", "b"], "at": ["2026-01-01", "2026-01-02"], "returned": [0, 1], "price": 1.5}
    )
    manifest = lake.write(frame, source="table")
    file = Path(lake.path("spans", "000001", manifest.data_file))
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    file.write_bytes(content)

    with pytest.raises(LakeError, match=r"damaged, sha256 .* is not the manifest's"):
        lake.read(1)


def test_the_digest_is_that_of_the_file(disk, rows):
    manifest = disk.write(rows(8), source="table")

    content = Path(disk.path("spans", "000001", manifest.data_file)).read_bytes()
    assert hashlib.sha256(content).hexdigest() == manifest.digest
    assert disk.write(rows(8), source="table", once=True) == manifest


def test_a_manifest_is_plain_json_that_tells_its_format(disk, rows):
    disk.write(rows(8), source="collector", cursor=Cursor(store="first", reached=41))

    manifest = json.loads(disk.open("spans", "000001", "manifest.json").read())
    assert manifest["format"] == "kontinual.span/v1"
    assert manifest["cursor"] == {"store": "first", "reached": 41}
    assert manifest["created_at"] == "2026-06-01T12:00:00Z"


def test_two_loops_share_a_lake_and_nothing_else(url, loop, rows):
    other = loop.model_copy(update={"name": "other"})
    one, two = Lake(url, loop), Lake(url, other)
    one.write(rows(3), source="table")

    assert [len(one.spans()), len(two.spans())] == [1, 0]
    assert one.path("x").endswith("/shop/x")


def test_an_unknown_scheme_is_a_clear_error(loop):
    with pytest.raises(LakeError, match=r"nope://x/shop: no store can be opened there"):
        Lake("nope://x", loop)


def test_float_features_keep_every_bit(lake, rows):
    frame = rows(200).assign(price=np.random.default_rng(1).standard_normal(200) * 1e-9)
    lake.write(frame, source="table")

    assert (lake.read(1)["price"].to_numpy() == frame["price"].to_numpy()).all()
