"""The command line of a predictor."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from kontinual.errors import KontinualError, ModelPackageError
from kontinual.model import ModelPackage, OnnxModel
from kontinual.serving.eventlog import EventLog, LogLimits, NoEventLog, RequestLog
from kontinual.serving.front import MAX_BODY_BYTES
from kontinual.serving.journal import Journal
from kontinual.serving.predictor import MAX_ROWS, Predictor
from kontinual.serving.rows import RowReader
from kontinual.serving.server import PredictorServer, export
from kontinual.serving.tally import Tally

__all__ = ["application", "build"]


def build(
    folder: Path,
    *,
    version: str,
    collector: str | None = None,
    limits: LogLimits | None = None,
    max_rows: int = MAX_ROWS,
    predictor_class: type[Predictor] = Predictor,
) -> Predictor:
    """A predictor that counts, and logs to a collector when there is one.

    Raises:
        ModelPackageError: the folder holds no sound model package.
    """
    package = ModelPackage.read(folder)
    try:
        model = OnnxModel.of(folder)
    except Exception as exc:  # ONNX Runtime's errors have no public base
        raise ModelPackageError(f"{folder}: ONNX Runtime can not load the model: {exc}") from exc
    kinds = RowReader(package.signature, max_rows=max_rows).kinds
    log: RequestLog = NoEventLog()
    if collector:
        log = EventLog(collector, model=package.loop, version=version, limits=limits)
    journal = Journal(Tally(package.reference, kinds=kinds), log)
    predictor = predictor_class(package, model, version=version, journal=journal, max_rows=max_rows)
    export(predictor, journal)
    return predictor


def application(predictor_class: type[Predictor] = Predictor) -> typer.Typer:
    """The command that serves with this class of predictor."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def serve(
        package: Annotated[
            Path, typer.Option(help="Folder of the model package (model.onnx, package.json).")
        ],
        version: Annotated[
            str, typer.Option(help="The registry's number of this version, such as 3.")
        ],
        port: Annotated[int, typer.Option(min=1, max=65535, help="HTTP port to listen on.")],
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        collector: Annotated[
            str | None, typer.Option(help="Base URL that gets the log of requests; none: no log.")
        ] = None,
        max_rows: Annotated[int, typer.Option(min=1, help="Rows of one request.")] = MAX_ROWS,
        max_body_bytes: Annotated[
            int, typer.Option(min=1024, help="Bytes of one request.")
        ] = MAX_BODY_BYTES,
        backlog_requests: Annotated[
            int, typer.Option(min=1, help="Requests kept while the collector is away.")
        ] = LogLimits().backlog_requests,
        backlog_bytes: Annotated[
            int, typer.Option(min=1, help="Bytes of them kept while the collector is away.")
        ] = LogLimits().backlog_bytes,
    ) -> None:
        """Serve one version of a model, by KServe's V1 and V2 protocols.

        V1: POST /v1/models/LOOP:predict {"instances": [{field: value, ...}]}.
        V2: POST /v2/models/LOOP/infer with one named tensor per field.
        GET /v2/health/ready, /v2/models/LOOP (what a request holds), /metrics.
        """
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
        for chatty in ("httpx", "httpcore"):
            logging.getLogger(chatty).setLevel(logging.WARNING)
        limits = LogLimits(backlog_requests=backlog_requests, backlog_bytes=backlog_bytes)
        try:
            predictor = build(
                package,
                version=version,
                collector=collector,
                limits=limits,
                max_rows=max_rows,
                predictor_class=predictor_class,
            )
        except KontinualError as exc:
            typer.echo(f"error: {exc}", err=True)
            raise typer.Exit(1) from exc
        PredictorServer(predictor, port=port, host=host, max_body_bytes=max_body_bytes).serve()

    return app
