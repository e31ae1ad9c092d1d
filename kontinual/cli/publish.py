"""`kontinual publish`: make a loop known to Kubeflow."""

from pathlib import Path
from typing import Annotated

import typer

from kontinual.errors import SpecError
from kontinual.home import settings_of
from kontinual.spec import parse_loop

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def publish(
    loop: Annotated[Path, typer.Argument(metavar="LOOP", help="path of loop.yaml")],
    pipeline: Annotated[
        Path | None,
        typer.Option(help="compiled pipeline; default KONTINUAL_PIPELINE_FILE, else ours"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be done")] = False,
) -> None:
    """Store the declaration, upload the pipeline, and set up the recurring run.

    Only what differs is changed, so publishing twice is publishing once. The declaration goes to
    KONTINUAL_LAKE, which pods have to be able to read; the pipeline to Kubeflow Pipelines at
    KONTINUAL_KFP, as a version named by its digest; `schedule` in the declaration becomes a
    recurring run. Our images get KONTINUAL_REGISTRY and KONTINUAL_TAG.

        KONTINUAL_LAKE=s3://team/lake kontinual publish examples/flights/loop.yaml --dry-run
    """
    from kontinual.publish import CompiledPipeline, Publisher

    try:
        text = loop.read_text(encoding="utf-8")
    except OSError as exc:
        raise SpecError(f"{loop}: the declaration can not be read: {exc}") from exc
    settings, declared = settings_of(loop), parse_loop(text, source=str(loop))
    compiled = CompiledPipeline.read(
        pipeline or settings.pipeline_file, registry=settings.registry, tag=settings.tag
    )
    changes = Publisher(declared, text, compiled, settings).publish(dry_run=dry_run)
    for change in changes:
        print(f"{'would be: ' if dry_run else ''}{change}")
