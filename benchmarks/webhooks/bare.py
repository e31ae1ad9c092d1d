"""What the trigger is measured against: a handler that stores a webhook's body, and no more.

One row for each request, committed before it is answered, with the ledger's own pragmas; of
several ways to write such a handler the fastest on each database.
"""

import json
import sqlite3
import threading
import time
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI
from sqlalchemy.engine import make_url

__all__ = ["serve"]

TABLE = "CREATE TABLE IF NOT EXISTS webhooks (at DOUBLE PRECISION NOT NULL, body TEXT NOT NULL)"
Body = dict[str, Any]


def serve(url: str, port: int) -> None:
    """Serve the handler on a database until ended, with the settings of the trigger's server."""
    app = FastAPI()
    app.get("/healthz")(lambda: {"status": "ok"})
    if url.startswith("sqlite"):
        _add_sqlite(app, str(make_url(url).database))
    else:
        _add_postgresql(app, url.replace("+psycopg", ""))
    uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, access_log=False)).run()


def _add_sqlite(app: FastAPI, path: str) -> None:
    """In the event loop: threads would only wait for each other's commits."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(TABLE)

    @app.post("/api/v1/alerts", status_code=202)
    async def alerts(body: Body) -> dict[str, int]:
        connection.execute("INSERT INTO webhooks VALUES (?, ?)", (time.time(), json.dumps(body)))
        return {"recorded": 1}


def _add_postgresql(app: FastAPI, url: str) -> None:
    """A connection for each of FastAPI's threads, whose commits the server groups."""
    with psycopg.connect(url) as first:
        first.execute(TABLE)
    mine = threading.local()

    @app.post("/api/v1/alerts", status_code=202)
    def alerts(body: Body) -> dict[str, int]:
        if not hasattr(mine, "connection"):
            mine.connection = psycopg.connect(url, autocommit=True)
        row = (time.time(), json.dumps(body))
        mine.connection.execute("INSERT INTO webhooks VALUES (%s, %s)", row)
        return {"recorded": 1}
