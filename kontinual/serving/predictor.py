"""The KServe model: rows in, probabilities out, everything counted and logged."""

import math
from itertools import islice
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import numpy.typing as npt
import orjson
from kserve.errors import InferenceError

from kontinual.errors import ModelPackageError
from kontinual.model import Matrix, ModelPackage, OnnxModel
from kontinual.serving.journal import NoJournal, Noting
from kontinual.serving.rows import MAX_FOUND, BadRequest, RowReader
from kontinual.serving.tensors import (
    check_outputs,
    input_types,
    instances_of,
    output_types,
    write_v2,
)

__all__ = ["MAX_ROWS", "Answered", "Predictor"]

MAX_ROWS = 1000

Answered = tuple[bytes, Matrix, list[float]]
"""A V1 request in JSON, its rows [n, F] and their scores [n], as a journal takes them."""


class Predictor(kserve.Model):  # type: ignore[misc]
    """One version of a loop's model.

    It answers in the event loop's thread: a row takes microseconds, less than
    handing it to another thread would.
    """

    def __init__(
        self,
        package: ModelPackage,
        model: OnnxModel,
        *,
        version: str,
        journal: Noting | None = None,
        max_rows: int = MAX_ROWS,
    ) -> None:
        """Make a predictor that is ready to serve.

        Args:
            package: what is known of the version.
            model: its model file, loaded.
            version: the registry's number.
            journal: what is told of requests; nothing without one.
            max_rows: of one request.

        Raises:
            ModelPackageError: the model does not fit the package's signature.
        """
        super().__init__(package.loop)
        self.package, self.version = package, version
        self.journal: Noting = journal or NoJournal()
        self.max_rows = max_rows
        # The fields, and as many others as a refusal would tell of.
        self.max_tensors = len(package.signature.features) + 2 + MAX_FOUND
        self.reader = RowReader(package.signature, max_rows=max_rows)
        self._model = model
        self._warm_up()
        self.ready = True

    @classmethod
    def load(cls, folder: Path, *, version: str, **options: Any) -> "Predictor":
        """The predictor of a model package's folder.

        Raises:
            ModelPackageError: the package is damaged, or its parts do not fit.
        """
        return cls(ModelPackage.read(folder), OnnxModel.of(folder), version=version, **options)

    def score(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """Probability of label 1 for each row of a matrix [n, F]."""
        return self._model.predict(matrix)

    def answer(self, instances: object) -> tuple[Matrix, list[float]]:
        """Check and score the rows of one request.

        Args:
            instances: whatever the request has there.

        Returns:
            The rows, float32 [n, F], and their scores, [n]; it is left to the caller to have
            them noted, when the request is answered.

        Raises:
            BadRequest: a row can not be served; nothing was predicted.
            InferenceError: the model gave something that is no probability.
        """
        try:
            rows = self.reader.read(instances)
        except BadRequest as exc:
            self.journal.anomalies(exc.notes)
            raise
        scores = [s if 0.0 <= s <= 1.0 else _closed(s) for s in self.score(rows.matrix).tolist()]
        if rows.notes:
            self.journal.anomalies(rows.notes)
        return rows.matrix, scores

    def answer_v2(self, request: kserve.InferRequest) -> tuple[kserve.InferResponse, Answered]:
        """The same for a V2 request."""
        instances = self.refusing(instances_of, request, max_rows=self.max_rows)
        signature = self.package.signature
        self.refusing(check_outputs, request, label=signature.label)
        matrix, scores = self.answer(instances)
        response = write_v2(
            request, scores, label=signature.label, model=self.name, version=self.version
        )
        return response, (_v1_of(instances), matrix, scores)

    def predict(
        self,
        payload: Any,
        headers: dict[str, str] | None = None,  # noqa: ARG002
        response_headers: dict[str, str] | None = None,  # noqa: ARG002
    ) -> Any:
        """KServe's interface: a V1 object or a V2 request."""
        if isinstance(payload, kserve.InferRequest):
            response, answered = self.answer_v2(payload)
            self.journal.answered(*answered)
            return response
        instances = self.refusing(instances_of_v1, payload)
        matrix, scores = self.answer(instances)
        self.journal.answered(_v1_of(instances), matrix, scores)
        return {"predictions": scores}

    def refusing(self, read: Any, *args: Any, **kwargs: Any) -> Any:
        """Read something of a request; a refusal is counted."""
        try:
            return read(*args, **kwargs)
        except BadRequest as exc:
            self.journal.anomalies(exc.notes)
            raise

    def get_input_types(self) -> list[dict[str, Any]]:
        return input_types(self.package.signature)

    def get_output_types(self) -> list[dict[str, Any]]:
        return output_types(self.package.signature)

    def _warm_up(self) -> None:
        features = self.package.signature.features
        names = [f.name for f in features]
        if names != [f.name for f in self.package.reference.features]:
            raise ModelPackageError(
                f"the package's reference is not about the features of its signature, {names}"
            )
        try:
            self._model.predict(np.zeros((1, len(features)), np.float32))
        except Exception as exc:  # ONNX Runtime's errors have no public base
            raise ModelPackageError(
                f"the model does not take the signature's {len(features)} features: {exc}"
            ) from exc


def instances_of_v1(payload: object) -> object:
    """The instances of a V1 request.

    Raises:
        BadRequest: it is none.
    """
    if not isinstance(payload, dict) or "instances" not in payload:
        raise BadRequest('the body must be an object {"instances": [...]}')
    if len(payload) > 1:
        others = sorted(str(key)[:64] for key in [*islice(payload, 6)] if key != "instances")[:5]
        raise BadRequest(f"the body may hold `instances` alone, but it also has {others}")
    return payload["instances"]


def _v1_of(instances: object) -> bytes:
    return orjson.dumps({"instances": instances})


def _closed(score: float) -> float:
    """A probability that rounding carried past 0 or 1."""
    if math.isnan(score) or not -1e-3 < score < 1.001:
        raise InferenceError(f"the model gave {score}, which is no probability")
    return min(max(score, 0.0), 1.0)
