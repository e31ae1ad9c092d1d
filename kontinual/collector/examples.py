"""Labelled rows as parquet, typed by the declaration."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kontinual.collector.records import Example
from kontinual.spec import Loop

__all__ = ["EXAMPLES_LIMIT", "examples_parquet", "examples_schema", "examples_table"]

EXAMPLES_LIMIT = 100_000
_TYPES = {"number": pa.float64(), "integer": pa.int64(), "category": pa.string()}
_PIECE = 1 << 20


def examples_schema(loop: Loop) -> pa.Schema:
    """Id, time (UTC), features, label, then `_version`, `_score` and `_seq`."""
    data = loop.data
    return pa.schema(
        [
            (data.id, pa.string()),
            (data.time, pa.timestamp("us", tz="UTC")),
            *((f.name, _TYPES[f.type]) for f in data.features),
            (data.label.name, pa.int64()),
            ("_version", pa.string()),
            ("_score", pa.float64()),
            ("_seq", pa.int64()),
        ]
    )


def examples_table(loop: Loop, examples: Sequence[Example]) -> pa.Table:
    """The rows as a table; a feature that a row does not have is null."""
    data = loop.data
    columns: dict[str, list[Any]] = {
        data.id: [e.id for e in examples],
        data.time: [e.time for e in examples],
        **{name: [e.features.get(name) for e in examples] for name in data.feature_names},
        data.label.name: [e.label for e in examples],
        "_version": [e.version for e in examples],
        "_score": [e.score for e in examples],
        "_seq": [e.seq for e in examples],
    }
    return pa.table(columns, schema=examples_schema(loop))


def examples_parquet(loop: Loop, examples: Sequence[Example]) -> Iterator[bytes]:
    """The rows as a parquet file, in pieces of 1 MiB."""
    sink = pa.BufferOutputStream()
    pq.write_table(examples_table(loop, examples), sink, compression="zstd")
    buffer = sink.getvalue()
    for start in range(0, buffer.size, _PIECE):
        yield buffer.slice(start, min(_PIECE, buffer.size - start)).to_pybytes()
