"""The lake: spans of labelled rows, the verdicts on them, and the journals of runs."""

from kontinual.lake.draft import Draft, draft_loop
from kontinual.lake.example import example_row
from kontinual.lake.history import history_columns, ingest_history, ingest_table
from kontinual.lake.holdout import blocks_of, holdout_order, is_holdout, spread
from kontinual.lake.journal import RunJournal
from kontinual.lake.labelled import ingest_labelled
from kontinual.lake.lake import Lake
from kontinual.lake.manifest import SpanManifest, Verdict
from kontinual.lake.picked import PickedRows
from kontinual.lake.source import read_table
from kontinual.lake.spanfile import repeated
from kontinual.lake.store import LocalStore, RemoteStore, Store, open_store

__all__ = [
    "Draft",
    "Lake",
    "LocalStore",
    "PickedRows",
    "RemoteStore",
    "RunJournal",
    "SpanManifest",
    "Store",
    "Verdict",
    "blocks_of",
    "draft_loop",
    "example_row",
    "history_columns",
    "holdout_order",
    "ingest_history",
    "ingest_labelled",
    "ingest_table",
    "is_holdout",
    "open_store",
    "read_table",
    "repeated",
    "spread",
]
