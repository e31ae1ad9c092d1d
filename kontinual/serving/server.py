"""KServe's model server with one predictor, on one port."""

import asyncio
import gc
import logging

import kserve
import uvloop
from kserve.model_server import app as kserve_app
from prometheus_client import REGISTRY
from prometheus_client.registry import CollectorRegistry

from kontinual.serving.export import JournalCollector
from kontinual.serving.front import MAX_BODY_BYTES, Front
from kontinual.serving.journal import Journal
from kontinual.serving.predictor import Predictor

__all__ = ["VERSION_HEADER", "PredictorServer", "export"]

VERSION_HEADER = "x-kontinual-version"
GRACE_SECONDS = 5


class PredictorServer(kserve.ModelServer):  # type: ignore[misc]
    """Serves until SIGTERM or SIGINT; every answer names the version."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        port: int,
        host: str = "127.0.0.1",
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """Prepare a server; `serve` runs it.

        Args:
            predictor: the one model.
            port: the one port; KServe's gRPC is off.
            host: address to listen on.
            max_body_bytes: of any request.
        """
        super().__init__(
            http_port=port,
            workers=1,
            enable_grpc=False,
            enable_latency_logging=False,
            grace_period=GRACE_SECONDS,
        )
        self._predictor, self._host, self._max_body = predictor, host, max_body_bytes

    def serve(self) -> None:
        """Serve until a signal asks to stop, then send what the request log still holds."""
        _quieten()
        # What was imported stays; without this, each full collection walks through all of it.
        gc.collect()
        gc.freeze()
        try:
            self.start([self._predictor])
        finally:
            self._predictor.journal.close()

    def setup_event_loop(self) -> None:
        # KServe runs in whatever loop the policy makes, but first asks for a current one.
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        super().setup_event_loop()
        loop.close()

    async def _serve(self) -> None:
        config = self._rest_server.config
        config.host = self._host
        config.app = Front(kserve_app, self._predictor, max_body_bytes=self._max_body)
        config.headers.append((VERSION_HEADER, self._predictor.version))
        await super()._serve()


def export(
    predictor: Predictor, journal: Journal, *, registry: CollectorRegistry = REGISTRY
) -> None:
    """Let Prometheus read a predictor's counters; KServe's /metrics shows the default registry."""
    registry.register(
        JournalCollector(
            journal,
            model=predictor.name,
            version=predictor.version,
            created_at=predictor.package.created_at,
        )
    )


def _quieten() -> None:
    """No line per request: they are counted, and the log of requests is the collector's."""
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    logging.getLogger("kserve.trace").setLevel(logging.WARNING)
