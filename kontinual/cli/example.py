"""`kontinual example`: how this loop is asked for a prediction, and told a label."""

import json
import shlex
from datetime import UTC, datetime
from typing import Any

import typer

from kontinual.cli.service import LoopPath, open_loop
from kontinual.settings import Settings
from kontinual.spec import Loop, format_duration, utc_text

__all__ = ["app", "labels_url", "predict_url"]

app = typer.Typer(add_completion=False)


@app.command()
def example(loop: LoopPath) -> None:
    """Print a request for a prediction and one for its label, ready to be pasted.

    The fields are this loop's and their values those of a real row, of the newest span or else of
    the history; id and time are new. A prediction is answered once there is a champion.

        kontinual example loop.yaml | sh
    """
    from kontinual.lake import Lake, example_row

    declared, settings = open_loop(loop)
    base = loop.rpartition("/")[0] or "."
    values, origin = example_row(Lake(settings.lake_url, declared), base=base)
    typer.echo("\n".join(requests(declared, settings, values, origin, now=datetime.now(UTC))))


def requests(
    loop: Loop, settings: Settings, values: dict[str, Any], origin: str, *, now: datetime
) -> list[str]:
    """Lines of a shell: the prediction of a row, and its label.

    Args:
        loop: which is asked.
        settings: where its gateway and its collector are.
        values: features and label of a row.
        origin: of the row, in words.
        now: the row's time, and part of its id.
    """
    data = loop.data
    features = {name: values[name] for name in data.feature_names}
    name = f"example-{now:%Y%m%dt%H%M%S}"
    instance = {data.id: name, data.time: utc_text(now), **features}
    label = {"id": name, "label": values[data.label.name]}
    delay = format_duration(data.label.delay)
    return [
        f"# a prediction, for the values of {origin}",
        _post(predict_url(loop, settings), {"instances": [instance]}),
        "",
        f"# its label, whenever it is known: by {delay} later, the declaration says",
        _post(labels_url(settings), {"labels": [label]}),
    ]


def predict_url(loop: Loop, settings: Settings) -> str:
    """Where predictions are asked for."""
    return f"{settings.gateway_url}/v1/models/{loop.name}:predict"


def labels_url(settings: Settings) -> str:
    """Where labels are told."""
    return f"{settings.collector}/api/v1/labels"


def _post(url: str, body: dict[str, Any]) -> str:
    text = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl -sS {url} -H 'Content-Type: application/json' -d {text}; echo"
