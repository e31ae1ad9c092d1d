"""`python -m kontinual.collector`: runs the collector of one loop."""

import logging
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from prometheus_client import disable_created_metrics

from kontinual.browsers import LOOPBACK
from kontinual.collector.app import create_app
from kontinual.collector.store import Store
from kontinual.errors import KontinualError, ServiceError
from kontinual.spec import load_loop

__all__ = ["main", "serve"]


def serve(
    loop: Annotated[str, typer.Option(help="Path or URL of loop.yaml.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")],
    store: Annotated[Path, typer.Option(help="SQLite file; created when absent.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Collect predictions and late labels of one loop, and hand out labelled examples."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    declaration = load_loop(loop)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    listener = _listen(host, port)
    data = declaration.data
    kept = Store(
        store,
        loop=declaration.name,
        delay=data.label.delay,
        retention=data.retention,
        patience=data.patience,
    )
    # On this machine alone nobody calls it by another name, but for a page that wants to read it.
    app = create_app(declaration, kept, hosts=LOOPBACK if host in LOOPBACK else ())
    address = f"http://{host}:{listener.getsockname()[1]}"
    logging.info("the collector of loop %s listens on %s", declaration.name, address)
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket, taken before anything else starts so that a busy port is a clear error."""
    try:
        return socket.create_server((host, port))
    except OSError as exc:
        reason = exc.strerror or exc
        raise ServiceError(f"--port {port}: can not listen on {host}:{port}: {reason}") from exc


def main() -> None:
    """Run with the process's arguments; a Kontinual error is one message and exit code 1."""
    try:
        typer.run(serve)
    except KontinualError as exc:
        sys.exit(f"kontinual.collector: {exc}")


if __name__ == "__main__":
    main()
