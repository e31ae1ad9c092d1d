"""The V2 protocol's named tensors: one per field, each with one value per row."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson
from kserve import InferInput, InferOutput, InferRequest, InferResponse
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from kontinual.model import Signature
from kontinual.serving.rows import BadRequest
from kontinual.serving.sizes import check_rows, check_sizes
from kontinual.spec import CategoryFeature, IntegerFeature

__all__ = [
    "BINARY_LENGTH",
    "check_outputs",
    "input_types",
    "instances_of",
    "output_types",
    "read_v2",
    "write_v2",
]

BINARY_LENGTH = "inference-header-content-length"


def read_v2(
    body: bytes, *, model: str, max_rows: int, max_tensors: int, json_length: str | None = None
) -> InferRequest:
    """The request that a body holds, in JSON or with binary tensors behind the JSON.

    Args:
        body: of the HTTP request.
        model: its name.
        max_rows: of the request.
        max_tensors: of the request.
        json_length: how many bytes of the body are JSON; all, if it is not given.

    Raises:
        BadRequest: it holds none, or a larger one.
    """
    length = len(body) if json_length is None else _length(json_length, len(body))
    try:
        payload = orjson.loads(body[:length])
    except orjson.JSONDecodeError as exc:
        raise BadRequest(f"the body is not JSON: {exc}") from exc
    check_sizes(payload, body[length:], max_rows=max_rows, max_tensors=max_tensors)
    try:
        if json_length is not None:
            return InferRequest.from_bytes(body, length, model)
        request = InferenceRequest.model_validate(payload)
        return InferRequest.from_inference_request(request, model)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise BadRequest(f"not a V2 request: {where}: {first['msg']}") from exc
    except InvalidInput as exc:
        raise BadRequest(f"not a V2 request: {exc}") from exc
    except Exception as exc:  # KServe takes the form of a binary request on trust
        raise BadRequest(f"not a V2 request: it can not be read ({exc!r:.200})") from exc


def instances_of(request: InferRequest, *, max_rows: int) -> list[dict[str, Any]]:
    """The rows of a request, as V1 would have them.

    Raises:
        BadRequest: a tensor stands twice, or tensors differ in their number of rows.
    """
    columns: dict[str, list[Any]] = {}
    for tensor in request.inputs:
        if tensor.name in columns:
            raise BadRequest(f"tensor `{tensor.name}` stands twice")
        columns[tensor.name] = _values(tensor, max_rows)
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"`{name}` {size}" for name, size in list(sizes.items())[:5])
        raise BadRequest(f"tensors must have the same number of values, but got {told}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_outputs(request: InferRequest, *, label: str) -> None:
    """Are the outputs that a request asks for to be had?

    Raises:
        BadRequest: others than the label are asked for.
    """
    asked = [output.name for output in request.request_outputs or ()]
    if [name for name in asked if name != label]:
        told = [str(name)[:64] for name in asked[:5]]
        raise BadRequest(f"the only output is `{label}`, but got {told}")


def write_v2(
    request: InferRequest, scores: list[float], *, label: str, model: str, version: str
) -> InferResponse:
    """The answer: one FP32 tensor named after the label."""
    output = InferOutput(name=label, shape=[len(scores)], datatype="FP32")
    output.set_data_from_numpy(
        np.array(scores, np.float32), binary_data=bool(request.use_binary_outputs)
    )
    return InferResponse(
        response_id=request.id,
        model_name=model,
        model_version=version,
        infer_outputs=[output],
        from_grpc=request.from_grpc,
        use_binary_outputs=bool(request.use_binary_outputs),
        requested_outputs=request.request_outputs,
    )


def input_types(signature: Signature) -> list[dict[str, Any]]:
    """The tensors of a request, for the model's metadata."""
    types = {signature.id: "BYTES", signature.time: "BYTES"}
    for feature in signature.features:
        types[feature.name] = (
            "BYTES"
            if isinstance(feature, CategoryFeature)
            else "INT64"
            if isinstance(feature, IntegerFeature)
            else "FP32"
        )
    return [{"name": n, "datatype": t, "shape": [-1]} for n, t in types.items()]


def output_types(signature: Signature) -> list[dict[str, Any]]:
    """The tensor of an answer, for the model's metadata."""
    return [{"name": signature.label, "datatype": "FP32", "shape": [-1]}]


def _length(text: str, most: int) -> int:
    """The length of the JSON before binary tensors."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) <= most):
        raise BadRequest(
            f"{BINARY_LENGTH} is at most the {most} bytes of the body, but got {text[:64]!r}"
        )
    return int(text)


def _values(tensor: InferInput, max_rows: int) -> list[Any]:
    """A tensor's values, one per row; NaN, the null of tensors, is None."""
    size = _size(tensor)
    check_rows(tensor.name, size, max_rows)
    try:
        data = tensor.as_numpy().reshape(-1).tolist() if tensor.data is None else tensor.data
        values = [_value(item) for item in _flat(data)]
    except (InvalidInput, InferenceError, ValueError, TypeError, AttributeError) as exc:
        raise BadRequest(f"tensor `{tensor.name}` can not be read: {exc}") from exc
    if len(values) != size:
        raise BadRequest(
            f"tensor `{tensor.name}` has shape {tensor.shape}, but {len(values)} values"
        )
    return values


def _size(tensor: InferInput) -> int:
    shape = tensor.shape
    if not (
        isinstance(shape, list)
        and len(shape) in {1, 2}
        and all(type(n) is int and n >= 0 for n in shape)
        and shape[1:] in ([], [1])
    ):
        raise BadRequest(
            f"tensor `{tensor.name}` must have shape [n] or [n, 1], but got {str(shape)[:64]}"
        )
    return int(shape[0])


def _flat(data: Iterable[Any]) -> Iterable[Any]:
    for item in data:
        if isinstance(item, list) and len(item) == 1:
            yield item[0]
        else:
            yield item


def _value(item: Any) -> Any:
    if isinstance(item, bytes):
        return item.decode("utf-8")
    if isinstance(item, float) and math.isnan(item):
        return None
    return item
