"""The KServe predictor: its checks, its counters, its request log."""

from kontinual.serving.eventlog import EventLog, LogLimits, NoEventLog, RequestLog
from kontinual.serving.export import JournalCollector
from kontinual.serving.front import Front
from kontinual.serving.journal import Journal, NoJournal, Noting
from kontinual.serving.main import application, build
from kontinual.serving.predictor import Predictor
from kontinual.serving.rows import BadRequest, RowReader, Rows
from kontinual.serving.server import VERSION_HEADER, PredictorServer, export
from kontinual.serving.tally import Tally

__all__ = [
    "VERSION_HEADER",
    "BadRequest",
    "EventLog",
    "Front",
    "Journal",
    "JournalCollector",
    "LogLimits",
    "NoEventLog",
    "NoJournal",
    "Noting",
    "Predictor",
    "PredictorServer",
    "RequestLog",
    "RowReader",
    "Rows",
    "Tally",
    "application",
    "build",
    "export",
]
