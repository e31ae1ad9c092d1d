"""The KServe predictor: its checks, its counters, its request log."""

from kontinual.serving.eventlog import EventLog, LogLimits, NoEventLog, RequestLog
from kontinual.serving.export import TallyCollector
from kontinual.serving.front import Front
from kontinual.serving.main import application, build
from kontinual.serving.predictor import Predictor
from kontinual.serving.rows import BadRequest, RowReader, Rows
from kontinual.serving.server import VERSION_HEADER, PredictorServer, export
from kontinual.serving.tally import Counting, NoTally, Tally

__all__ = [
    "VERSION_HEADER",
    "BadRequest",
    "Counting",
    "EventLog",
    "Front",
    "LogLimits",
    "NoEventLog",
    "NoTally",
    "Predictor",
    "PredictorServer",
    "RequestLog",
    "RowReader",
    "Rows",
    "Tally",
    "TallyCollector",
    "application",
    "build",
    "export",
]
