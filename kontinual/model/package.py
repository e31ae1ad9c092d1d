"""The model package: a folder with `model.onnx` and `package.json`.

It is all that serving and monitoring need of a version: the model, what a
request must look like, and what was normal when it was made.
"""

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kontinual.errors import ModelPackageError
from kontinual.model.encoding import Encoder, Matrix
from kontinual.model.reference import Reference
from kontinual.spec import Feature

__all__ = ["ModelPackage", "OnnxModel", "Signature"]

MANIFEST = "package.json"
MODEL = "model.onnx"


class Signature(BaseModel):
    """What a request for one row holds, and what comes back (a probability of label 1)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="text that a late label refers to")
    time: str = Field(description="event time, ISO 8601 text")
    features: list[Feature]
    label: str

    @property
    def encoder(self) -> Encoder:
        return Encoder(self.features)


class ModelPackage(BaseModel):
    """`package.json`: everything about a version but the model file itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["kontinual.model/v1"] = "kontinual.model/v1"
    loop: str
    kind: Literal["onnx"] = "onnx"
    digest: str = Field(description="sha256 of the model file, hex")
    signature: Signature
    reference: Reference
    algorithm: str
    parameters: dict[str, Any]
    spans: list[int] = Field(description="numbers of the spans it was trained on")
    code_version: str
    seed: int
    created_at: AwareDatetime

    @staticmethod
    def write(folder: Path, model: bytes, **fields: Any) -> "ModelPackage":
        """Write a package into an empty folder; the manifest last, as the sign of completeness."""
        package = ModelPackage(digest=hashlib.sha256(model).hexdigest(), **fields)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MODEL).write_bytes(model)
        (folder / MANIFEST).write_text(package.model_dump_json(indent=2), encoding="utf-8")
        return package

    @staticmethod
    def read(folder: Path) -> "ModelPackage":
        """The package in a folder, its model file checked against the digest.

        Raises:
            ModelPackageError: it is incomplete, damaged or of another format.
        """
        try:
            package = ModelPackage.model_validate_json((folder / MANIFEST).read_bytes())
            digest = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()
        except OSError as exc:
            raise ModelPackageError(f"{folder}: no complete model package: {exc}") from exc
        except ValidationError as exc:
            raise ModelPackageError(f"{folder / MANIFEST}: not a model package: {exc}") from exc
        if digest != package.digest:
            raise ModelPackageError(
                f"{folder / MODEL}: damaged, sha256 {digest} is not the manifest's {package.digest}"
            )
        return package


class OnnxModel:
    """A model file in ONNX Runtime: input float32 [n, F], output the probability of label 1."""

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        """Load a model file.

        Args:
            path: the file.
            threads: of ONNX Runtime within one prediction; 1 is best for small requests.
        """
        # Only the environments that run models have ONNX Runtime.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[-1].name

    @classmethod
    def of(cls, folder: Path, *, threads: int = 1) -> "OnnxModel":
        """The model of a package's folder."""
        return cls(folder / MODEL, threads=threads)

    def predict(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """Probability of label 1 for each row, float32 [n]."""
        (answer,) = self._session.run([self._output], {self._input: matrix})
        scores = np.asarray(answer, dtype=np.float32)
        return scores[:, 1] if scores.ndim == 2 else scores
