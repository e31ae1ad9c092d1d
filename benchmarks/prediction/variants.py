"""What is served: one fitted model, several ways, and the requests for it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from kontinual.spec import CategoryFeature, IntegerFeature, Loop, load_loop

__all__ = ["ID", "LOOP", "VARIANTS", "bodies_of", "prepare", "serve"]

VARIANTS = ("stock", "stock route", "kontinual", "beside the collector")
LOOP = Path(__file__).parents[2] / "examples/flights/loop.yaml"
ESTIMATOR = "model.joblib"
BODIES = 200
ID = "@id@"
"""Stands in a request for an id of its own."""


def rows_of(loop: Loop, count: int, *, seed: int) -> list[dict[str, Any]]:
    """Rows as requests have them, drawn from the declared ranges and vocabularies."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Sequence[Any]] = {
        loop.data.id: [ID] * count,
        loop.data.time: ["2013-06-01T12:00:00Z"] * count,
    }
    for feature in loop.data.features:
        if isinstance(feature, CategoryFeature):
            columns[feature.name] = rng.choice(feature.vocabulary, count).tolist()
        elif isinstance(feature, IntegerFeature):
            low, high = feature.range
            columns[feature.name] = rng.integers(int(low), int(high), count).tolist()
        else:
            columns[feature.name] = rng.uniform(*feature.range, count).round(2).tolist()
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def bodies_of(folder: Path, variant: str) -> Path:
    """The file with the requests' bodies of a variant, one a line."""
    return folder / ("encoded.txt" if variant == "stock" else "named.txt")


def prepare(folder: Path) -> None:
    """Train once; write the model package, the joblib file and the requests' bodies."""
    import pandas as pd

    from kontinual.model import Encoder
    from kontinual.training import TrainingSet, fit, train

    loop = load_loop(str(LOOP))
    rows = rows_of(loop, 6000, seed=1)
    frame = pd.DataFrame(rows)
    rng = np.random.default_rng(2)
    odds = (frame["hour"] - 12) / 6 + (frame["temp"] - 45) / 40 + rng.normal(0, 1, len(frame))
    frame[loop.data.label.name] = (odds > 0).astype(int)
    data = TrainingSet.of(loop, frame[:5000], frame[5000:], spans=[1])
    chosen: dict[str, Any] = {
        "algorithm": "hist_gradient_boosting",
        "parameters": {"max_iter": 120, "max_leaf_nodes": 31},
        "seed": 1,
    }
    train(loop, data, out=folder / "package", **chosen)
    joblib.dump(fit(loop, data.matrix, data.labels, **chosen), folder / ESTIMATOR)
    encoder = Encoder(loop.data.features)
    with (
        bodies_of(folder, "kontinual").open("w") as named,
        bodies_of(folder, "stock").open("w") as encoded,
    ):
        for row in rows[:BODIES]:
            named.write(json.dumps({"instances": [row]}) + "\n")
            matrix = encoder.encode({name: [value] for name, value in row.items()})
            encoded.write(json.dumps({"instances": matrix.tolist()}) + "\n")


def serve_stock(folder: Path, port: int) -> None:
    """KServe's scikit-learn server."""
    import kserve
    from kserve.utils.utils import get_predict_input, get_predict_response

    class StockModel(kserve.Model):  # type: ignore[misc]
        def load(self) -> bool:
            self.estimator = joblib.load(folder / ESTIMATOR)
            self.ready = True
            return True

        def predict(self, payload: Any, headers: Any = None) -> Any:  # noqa: ARG002
            result = self.estimator.predict_proba(get_predict_input(payload))
            return get_predict_response(payload, result, self.name)

    model = StockModel("flights")
    model.load()
    kserve.ModelServer(http_port=port, enable_grpc=False).start([model])


def serve(variant: str, folder: Path, port: int, collector: str) -> None:
    """Serve one variant until a signal ends it."""
    if variant == "stock":
        serve_stock(folder, port)
        return
    import kserve

    from kontinual.serving import PredictorServer, build

    predictor = build(folder / "package", version="1", collector=collector)
    if variant == "stock route":
        kserve.ModelServer(http_port=port, enable_grpc=False).start([predictor])
    else:
        PredictorServer(predictor, port=port).serve()
