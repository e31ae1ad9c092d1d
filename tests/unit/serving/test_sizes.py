"""A V2 request that is too large is refused before anything goes through all of it."""

import json
import struct
from typing import Any

import pytest

from kontinual.serving import BadRequest, sizes
from kontinual.serving.tensors import read_v2

MANY = 100_000


def tensor(**changes: Any) -> dict[str, Any]:
    whole = {"name": "hour", "shape": [1], "datatype": "INT64", "data": [1]}
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def binary(size: Any, **changes: Any) -> dict[str, Any]:
    return tensor(data=None, parameters={"binary_data_size": size}, **changes)


def texts(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


def read(payload: Any, raw: bytes | None = None) -> Any:
    head = json.dumps(payload).encode()
    return read_v2(
        head + (raw or b""),
        model="delays",
        max_rows=20,
        max_tensors=9,
        json_length=None if raw is None else str(len(head)),
    )


@pytest.mark.parametrize("raw", [None, b""])
@pytest.mark.parametrize(
    ("payload", "status", "message"),
    [
        ({"inputs": [{}] * MANY}, 400, "`inputs` may hold 9 items, but has 100000"),
        ({"inputs": [1] * 10}, 400, "`inputs` may hold 9 items, but has 10"),
        ({"inputs": [], "outputs": [1] * MANY}, 400, "`outputs` may hold 16 items"),
        ({"inputs": [], "outputs": [{"parameters": [1] * 65}]}, 400, "`parameters` may hold 64"),
        ({"inputs": [], "parameters": dict.fromkeys(range(65))}, 400, "`parameters` may hold 64"),
        ({"inputs": [tensor(parameters={str(n): [] for n in range(65)})]}, 400, "`parameters` may"),
        ({"inputs": [tensor(shape=[""] * MANY)]}, 400, "`shape` may hold 8 items"),
        ({"inputs": [tensor(data=[[1]] * MANY)]}, 413, "20 rows, but tensor `hour` has 100000"),
        ({"inputs": [tensor(name="x" * MANY, data=[1] * 21)]}, 413, f"tensor `{'x' * 64}` has 21"),
    ],
)
def test_a_part_with_more_items_than_can_be_right_is_refused(
    monkeypatch: pytest.MonkeyPatch, payload: Any, status: int, message: str, raw: bytes | None
) -> None:
    monkeypatch.setattr("kontinual.serving.tensors.InferenceRequest", None)
    monkeypatch.setattr("kontinual.serving.tensors.InferRequest", None)
    with pytest.raises(BadRequest) as refusal:
        read(payload, raw)
    assert refusal.value.status == status
    assert message in refusal.value.reason
    assert len(refusal.value.reason) < 200


@pytest.mark.parametrize("raw", [None, b""])
@pytest.mark.parametrize("name", [None, 7, [], {}, ["x"] * MANY])
def test_a_name_that_is_none_is_refused(name: Any, raw: bytes | None) -> None:
    with pytest.raises(
        BadRequest, match="the name of a tensor must be a string, but got"
    ) as refusal:
        read({"inputs": [{**tensor(), "name": name}]}, raw)
    assert len(refusal.value.reason) < 200


@pytest.mark.parametrize("size", [-1, 5, 2**70, "4", 1.5, True, None])
def test_binary_data_lies_within_the_body(size: Any) -> None:
    message = "tensor `hour`: binary_data_size is at most 4, the bytes that are left of the body"
    with pytest.raises(BadRequest, match=message):
        read({"inputs": [binary(size, datatype="INT32")]}, bytes(4))


def test_bytes_are_read_once() -> None:
    two = [binary(8), binary(8, name="temp")]
    with pytest.raises(BadRequest, match="tensor `temp`: binary_data_size is at most 7, the bytes"):
        read({"inputs": two}, bytes(15))
    assert [t.data for t in read({"inputs": two}, bytes(16)).inputs] == [[0], [0]]


@pytest.mark.parametrize(
    ("changes", "raw"),
    [
        ({"datatype": "BYTES", "shape": [1]}, texts(*[b""] * MANY)),
        ({"datatype": "BYTES", "shape": [1]}, texts(*[b"abc"] * 21)),
        ({"datatype": "BOOL", "shape": [MANY]}, bytes(MANY)),
    ],
)
def test_binary_tensors_of_too_many_rows_are_refused_before_they_are_read(
    changes: dict[str, Any], raw: bytes
) -> None:
    with pytest.raises(
        BadRequest, match="a request may hold 20 rows, but tensor `hour`"
    ) as refusal:
        read({"inputs": [binary(len(raw), **changes)]}, raw)
    assert refusal.value.status == 413


def test_as_many_texts_as_a_request_may_hold_are_read() -> None:
    raw = texts(*[b"abc"] * 20)
    request = read({"inputs": [binary(len(raw), datatype="BYTES", shape=[20])]}, raw)
    assert request.inputs[0].data == ["abc"] * 20


@pytest.mark.parametrize("length", ["-5", "x", "", "1000", "²", "9" * 5000])
def test_the_json_of_a_binary_request_lies_within_the_body(length: str) -> None:
    with pytest.raises(BadRequest, match="inference-header-content-length is at most the 2 bytes"):
        read_v2(b"{}", model="delays", max_rows=20, max_tensors=9, json_length=length)


def test_no_more_lengths_are_looked_at_than_a_request_has_rows() -> None:
    assert sizes._texts(texts(*[b"a"] * 50), 0, 250, 20) == 21
    assert sizes._texts(texts(b"ab", b"", b"c"), 0, 15, 20) == 3
