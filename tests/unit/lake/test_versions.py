"""Spans written by the oldest pandas and pyarrow in use are read the same by this one."""

import hashlib
from pathlib import Path

import pandas as pd

SPAN = Path(__file__).parent / "data" / "span-pandas-1.5-pyarrow-10.parquet"


def test_a_span_of_old_libraries_reads_as_one_of_these(lake, rows):
    manifest = lake.write(rows(20), source="table")
    content = SPAN.read_bytes()
    old = manifest.model_copy(update={"number": 2, "digest": hashlib.sha256(content).hexdigest()})
    lake.store.write(f"spans/000002/{old.data_file}", content)
    lake.store.write("spans/000002/manifest.json", old.model_dump_json().encode())

    pd.testing.assert_frame_equal(lake.read(2), lake.read(1))


def test_the_fingerprint_is_the_same_by_every_version(lake, rows):
    assert (
        lake.write(rows(20), source="table").schema_fingerprint
        == "4cece8ba51f2e462549a92e3a18168c9b9ea6e2d25522ebc23130ca5125f3cec"
    )
