"""What is too large in a V2 request is refused before KServe reads it.

KServe and pydantic go through all of a request, and keep an object for each mistake: 4 MiB
of `{}` for tensors took 20 s and 6 GiB to refuse. Once no list is longer than what can be
right, whatever else is wrong with a request costs no more than the request did.
"""

from typing import Any

from kontinual.serving.rows import BadRequest

__all__ = ["check_rows", "check_sizes"]

MAX_OUTPUTS = 16
MAX_PARAMETERS = 64
MAX_DIMENSIONS = 8


def check_sizes(payload: object, raw: bytes, *, max_rows: int, max_tensors: int) -> None:
    """Refuse a request that holds more than can be right.

    Args:
        payload: its JSON.
        raw: the binary tensors behind it.
        max_rows: values of one tensor.
        max_tensors: of the request.

    Raises:
        BadRequest: it does.
    """
    if not isinstance(payload, dict):
        return
    _check_count("inputs", payload.get("inputs"), max_tensors)
    _check_count("outputs", payload.get("outputs"), MAX_OUTPUTS)
    _check_count("parameters", payload.get("parameters"), MAX_PARAMETERS)
    for output in _objects(payload.get("outputs")):
        _check_count("parameters", output.get("parameters"), MAX_PARAMETERS)
    start = 0
    for tensor in _objects(payload.get("inputs")):
        name, shape, data = tensor.get("name"), tensor.get("shape"), tensor.get("data")
        if (
            type(name) is str
            and type(shape) is list
            and len(shape) <= 2
            and type(data) is list
            and len(data) <= max_rows
            and "parameters" not in tensor
        ):
            continue  # as most are
        _check_tensor(tensor, max_rows)
        if data is None:
            start = _check_binary(tensor, raw, start, max_rows)


def check_rows(tensor: str, rows: int, max_rows: int) -> None:
    """Refuse a tensor of more rows than a request may hold.

    Raises:
        BadRequest: it has more.
    """
    if rows > max_rows:
        raise BadRequest(
            f"a request may hold {max_rows} rows, but tensor `{tensor[:64]}` has {rows}; split it",
            status=413,
        )


def _check_tensor(tensor: dict[str, Any], max_rows: int) -> None:
    name, shape, data = tensor.get("name"), tensor.get("shape"), tensor.get("data")
    if type(name) is not str:
        raise BadRequest(f"the name of a tensor must be a string, but got {str(name)[:64]}")
    if type(shape) is list and shape:
        _check_count("shape", shape, MAX_DIMENSIONS)
        if type(shape[0]) is int:
            check_rows(name, shape[0], max_rows)
    if type(data) is list:
        check_rows(name, len(data), max_rows)
    if "parameters" in tensor:
        _check_count("parameters", tensor["parameters"], MAX_PARAMETERS)


def _check_binary(tensor: dict[str, Any], raw: bytes, start: int, max_rows: int) -> int:
    """Refuse a tensor whose bytes are not there, or are too many; where the next one's begin."""
    name, parameters = tensor["name"], tensor.get("parameters")
    if not isinstance(parameters, dict):
        return start
    size, left = parameters.get("binary_data_size", 0), len(raw) - start
    if type(size) is not int or not 0 <= size <= left:
        raise BadRequest(
            f"tensor `{name[:64]}`: binary_data_size is at most {left}, the bytes that are left "
            f"of the body, but got {str(size)[:64]}"
        )
    if tensor.get("datatype") == "BYTES":
        check_rows(name, _texts(raw, start, start + size, max_rows), max_rows)
    return start + size


def _texts(raw: bytes, start: int, end: int, most: int) -> int:
    """How many texts there are, each behind its length in 4 bytes; it stops after `most`."""
    count = 0
    while start < end and count <= most:
        start += 4 + int.from_bytes(raw[start : start + 4], "little")
        count += 1
    return count


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _check_count(name: str, value: object, most: int) -> None:
    if value is not None and isinstance(value, list | dict) and len(value) > most:
        raise BadRequest(f"`{name}` may hold {most} items, but has {len(value)}")
