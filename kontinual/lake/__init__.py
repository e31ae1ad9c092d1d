"""The lake: spans of labelled rows, the verdicts on them, and the journals of runs."""

from kontinual.lake.history import ingest_history, ingest_table
from kontinual.lake.holdout import is_holdout
from kontinual.lake.journal import RunJournal
from kontinual.lake.labelled import ingest_labelled
from kontinual.lake.lake import Lake
from kontinual.lake.manifest import SpanManifest, Verdict
from kontinual.lake.spanfile import repeated
from kontinual.lake.store import LocalStore, RemoteStore, Store, open_store

__all__ = [
    "Lake",
    "LocalStore",
    "RemoteStore",
    "RunJournal",
    "SpanManifest",
    "Store",
    "Verdict",
    "ingest_history",
    "ingest_labelled",
    "ingest_table",
    "is_holdout",
    "open_store",
    "repeated",
]
