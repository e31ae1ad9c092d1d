"""Logs of the service: one JSON object a line, with trigger, run and version where they apply."""

import json
import logging
from datetime import UTC, datetime

from kontinual.spec import utc_text

__all__ = ["JsonFormatter", "log_as_json"]

CONTEXT = ("trigger", "run", "version", "by")


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "at": utc_text(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        told |= {k: v for k in CONTEXT if (v := getattr(record, k, None)) is not None}
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def log_as_json(level: int = logging.INFO) -> None:
    """Send everything that is logged to standard error as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # What can not be reached is told once, by the decision or the warning that follows.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
