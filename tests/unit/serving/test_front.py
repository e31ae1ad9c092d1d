import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import kserve
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kserve import InferInput, InferRequest, InferResponse
from starlette.testclient import TestClient

from kontinual.model import Matrix, ModelPackage, OnnxModel
from kontinual.serving import EventLog, Front, Journal, LogLimits, Predictor, Tally
from kontinual.serving.front import Receive, Scope, Send
from kontinual.serving.post import Body
from kontinual.serving.tensors import BINARY_LENGTH

V1 = "/v1/models/delays:predict"
V2 = "/v2/models/delays/infer"
Row = dict[str, Any]


async def behind(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for KServe's application: tells which path came, and the size of the body."""
    message = await receive()
    content = f"{scope['path']} {len(message.get('body', b''))}".encode()
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": content})


class Served:
    """A predictor behind a front, and what it counted and logged."""

    def __init__(self, folder: Path, predictor_class: type[Predictor] = Predictor) -> None:
        self.events: list[dict[str, Any]] = []
        self.package = ModelPackage.read(folder)
        log = EventLog(
            "http://collector",
            model="delays",
            version="3",
            limits=LogLimits(flush_seconds=30),
            post=self._collect,
        )
        self.journal = Journal(Tally(self.package.reference), log)
        self.predictor = predictor_class(
            self.package,
            OnnxModel.of(folder),
            version="3",
            journal=self.journal,
            max_rows=20,
        )
        front = Front(behind, self.predictor, max_body_bytes=20_000)
        self.client = TestClient(front, raise_server_exceptions=True)

    def _collect(self, pieces: Body) -> tuple[int, str]:
        self.events += json.loads(b"".join(pieces))
        return 202, ""

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(path, **body)

    @property
    def tally(self) -> Tally:
        """The counters as they stand."""
        self.journal.settle()
        self.journal.tally.fold()
        return self.journal.tally

    def logged(self) -> list[dict[str, Any]]:
        """Version, instances and scores of each request that reached the collector."""
        self.journal.close()
        return [
            {
                "version": event["data"]["version"],
                "instances": request["instances"],
                "scores": scores,
            }
            for event in self.events
            for request, scores in zip(
                event["data"]["requests"], event["data"]["predictions"], strict=True
            )
        ]


@pytest.fixture
def served(package_folder: Path) -> Iterator[Served]:
    served = Served(package_folder)
    yield served
    served.journal.close()


def tensors(rows: list[Row]) -> list[dict[str, Any]]:
    types = {"hour": "INT64", "temp": "FP64", "distance": "FP64"}
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": types.get(name, "BYTES"),
            "data": [row[name] for row in rows],
        }
        for name in rows[0]
    ]


def test_both_protocols_answer_what_the_model_says(served: Served, row: Row) -> None:
    rows = [row, {**row, "hour": 23, "temp": None, "key": "a-2"}]
    columns = {name: [r[name] for r in rows] for name in row}
    expected = served.predictor.score(served.package.signature.encoder.encode(columns))
    v1 = served.post(V1, json={"instances": rows})
    assert v1.status_code == 200
    np.testing.assert_allclose(v1.json()["predictions"], expected)
    v2 = served.post(V2, json={"id": "7", "inputs": tensors(rows)}).json()
    assert v2["id"] == "7"
    assert v2["model_version"] == "3"
    (output,) = v2["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("late", "FP32", [2])
    np.testing.assert_allclose(output["data"], expected)
    assert served.post("/v2/models/delays/versions/3/infer", json={"inputs": tensors(rows)})


def test_binary_tensors_are_read_and_written(served: Served, row: Row) -> None:
    inputs = []
    for tensor in tensors([row, {**row, "temp": None}]):
        kind = {"INT64": np.int64, "FP64": np.float64}.get(tensor["datatype"], np.object_)
        data = [np.nan if v is None else v for v in tensor["data"]]
        values = np.array([v.encode() if isinstance(v, str) else v for v in data], dtype=kind)
        item = InferInput(tensor["name"], [2], tensor["datatype"])
        item.set_data_from_numpy(values, binary_data=True)
        inputs.append(item)
    request = InferRequest("delays", inputs, parameters={"binary_data_output": True})
    body, size = request.to_rest()
    answer = served.post(V2, content=body, headers={BINARY_LENGTH: str(size)})
    assert answer.status_code == 200, answer.text
    read = InferResponse.from_bytes(answer.content, int(answer.headers[BINARY_LENGTH]))
    assert read.outputs[0].as_numpy().shape == (2,)
    assert served.logged()[0]["instances"][1]["temp"] is None


def test_what_was_answered_is_counted_and_logged(served: Served, row: Row) -> None:
    answers = [
        served.post(V1, json={"instances": [row, {**row, "origin": "ORD"}]}).json()["predictions"],
        served.post(V2, json={"inputs": tensors([row])}).json()["outputs"][0]["data"],
    ]
    assert served.tally.predictions == 3
    assert served.tally.requests == {"200": 2, "4xx": 0, "5xx": 0}
    assert served.tally.anomalous_requests == 1
    logged = served.logged()
    assert [data["scores"] for data in logged] == answers
    assert logged[0]["instances"] == [row, {**row, "origin": "ORD"}]
    assert logged[1]["instances"] == [row]
    assert {data["version"] for data in logged} == {"3"}


def test_a_refused_request_is_counted_but_neither_predicted_nor_logged(
    served: Served, row: Row
) -> None:
    answer = served.post(V1, json={"instances": [row, {**row, "hour": "ten"}]})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("instances[1]: field `hour` must be a whole number")
    assert served.tally.predictions == 0
    assert served.tally.requests["4xx"] == 1
    assert served.tally.anomaly[("hour", "ill_typed")] == 1  # type: ignore[index]
    assert served.logged() == []


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (V1, b"{", 400, "not JSON"),
        (V1, b"[]", 400, '{"instances": [...]}'),
        (V1, b"{}", 400, '{"instances": [...]}'),
        (V1, b'{"instances": [], "color": 1}', 400, "it also has ['color']"),
        (V1, b'{"instances": []}', 400, "is empty"),
        (V1, b'{"instances": [%s]}' % b",".join([b"{}"] * 21), 413, "20 rows"),
        (V1, b" " * 20_001, 413, "20000 bytes"),
        (V2, b" " * 20_001, 413, "20000 bytes"),
        (V2, b"[", 400, "not JSON"),
        (V2, b"{}", 400, "inputs"),
        (V2, b'{"inputs": []}', 400, "is empty"),
    ],
)
def test_a_malformed_body_is_refused_clearly(
    served: Served, path: str, body: bytes, status: int, message: str
) -> None:
    answer = served.post(path, content=body)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert served.tally.anomalous_requests == (status == 400)
    assert served.tally.requests == {"200": 0, "4xx": 1, "5xx": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [2]}, "has shape [2], but 1 values"),
        ({"shape": [1, 1, 1]}, "must have shape [n] or [n, 1]"),
        ({"shape": [-1]}, "must have shape"),
        ({"shape": [10**9]}, "may hold 20 rows"),
        ({"datatype": "BOOL", "data": [True]}, "field `hour` must be a whole number"),
        ({"data": [1, 2], "shape": [2]}, "the same number of values"),
        ({"data": [[1, 2]]}, "field `hour` must be a whole number"),
        ({"name": "color"}, "field `hour` is missing"),
        ({"name": "temp"}, "stands twice"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    served: Served, row: Row, change: dict[str, Any], message: str
) -> None:
    inputs = [{**t, **change} if t["name"] == "hour" else t for t in tensors([row])]
    answer = served.post(V2, json={"inputs": inputs})
    assert 400 <= answer.status_code < 500
    assert message in answer.json()["error"]


def test_only_the_label_is_to_be_had(served: Served, row: Row) -> None:
    body = {"inputs": tensors([row]), "outputs": [{"name": "color"}]}
    answer = served.post(V2, json=body)
    assert answer.status_code == 400
    assert "the only output is `late`" in answer.json()["error"]
    assert served.tally.requests["4xx"] == 1
    assert served.logged() == []


def test_other_paths_go_on_to_kserve_and_are_not_counted(served: Served) -> None:
    assert served.client.get("/v2/health/ready").text == "/v2/health/ready 0"
    other = "/v1/models/else:predict"
    assert served.post(other, content=b"12345").text == f"{other} 5"
    assert served.client.get("/v2/models/delays/versions/3/ready").text.startswith(
        "/v2/models/delays/ready"
    )
    assert sum(served.tally.requests.values()) == 0


def test_another_version_is_not_served_here(served: Served) -> None:
    answer = served.post("/v2/models/delays/versions/2/infer", content=b"{}")
    assert answer.status_code == 404
    assert "serves version 3 alone" in answer.json()["error"]


@pytest.mark.parametrize("path", ["else/infer", "else/versions/3/infer"])
def test_a_v2_request_to_another_model_is_not_even_read(served: Served, path: str) -> None:
    answer = served.post(f"/v2/models/{path}", content=b'{"inputs": [{}, {}]}')
    assert answer.status_code == 404
    assert answer.json()["error"] == "this predictor serves model delays alone"


def test_nobody_unloads_the_model_from_outside(served: Served) -> None:
    answer = served.post("/v2/repository/models/delays/unload")
    assert answer.status_code == 403
    assert "stopping its server" in answer.json()["error"]


class BrokenPredictor(Predictor):
    """A model that gives no probability."""

    def score(self, matrix: Matrix) -> Any:
        return super().score(matrix) * np.nan


def test_a_broken_model_is_a_5xx_and_the_server_lives(package_folder: Path, row: Row) -> None:
    served = Served(package_folder, BrokenPredictor)
    for count in (1, 2):
        answer = served.post(V1, json={"instances": [row]})
        assert answer.status_code == 500
        assert "no probability" in answer.json()["error"]
        assert served.tally.requests["5xx"] == count
    assert served.logged() == []


def test_rows_logged_are_those_answered_even_with_keys_said_twice(served: Served, row: Row) -> None:
    other = json.dumps([{**row, "key": "other"}])
    twice = f'{{"instances": {other}, "instances": {json.dumps([row])}}}'
    escaped = f'{{"inst\\u0061nces": {json.dumps([row])}}}'
    for body in (twice, escaped):
        assert served.post(V1, content=body.encode()).status_code == 200
    assert [data["instances"] for data in served.logged()] == [[row], [row]]


@pytest.mark.anyio
async def test_a_client_that_leaves_is_let_go(served: Served) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(f"nobody is there to get {message}")

    scope = {"type": "http", "method": "POST", "path": V1, "headers": []}
    await Front(behind, served.predictor)(scope, receive, send)
    assert sum(served.tally.requests.values()) == 0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["hour", "key", "at", "temp", "name", "data"]), inner)
    ),
    max_leaves=8,
)
TENSOR = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["hour", "key", "temp"]) | JSON,
        "shape": st.lists(st.integers(-1, 3), max_size=2) | JSON,
        "datatype": st.sampled_from(["INT64", "FP16", "FP32", "BYTES", "BOOL", "XX"]) | JSON,
        "data": st.lists(JSON, max_size=3) | JSON,
        "parameters": st.fixed_dictionaries({"binary_data_size": JSON}) | JSON,
    },
)
BODY = (
    st.binary(max_size=60)
    | JSON.map(lambda v: json.dumps(v).encode())
    | st.lists(JSON, max_size=3).map(lambda v: json.dumps({"instances": v}).encode())
    | st.builds(
        lambda inputs, tail: json.dumps({"inputs": inputs}).encode() + tail,
        st.lists(TENSOR, max_size=3) | JSON,
        st.binary(max_size=20),
    )
)


@given(body=BODY, path=st.sampled_from([V1, V2]), length=st.none() | st.integers(-5, 200))
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_whatever_bytes_come_in_it_is_never_a_5xx(
    served: Served, body: bytes, path: str, length: int | None
) -> None:
    headers = {} if length is None else {BINARY_LENGTH: str(length)}
    answer = served.post(path, content=body, headers=headers)
    assert 400 <= answer.status_code < 500
    assert answer.json()["error"]


def test_the_model_answers_by_kserves_own_way_too(served: Served, row: Row) -> None:
    assert isinstance(served.predictor, kserve.Model)
    (score,) = served.predictor.predict({"instances": [row]})["predictions"]
    assert 0 <= score <= 1
    assert {t["name"]: t["datatype"] for t in served.predictor.get_input_types()}["hour"] == "INT64"
    assert served.logged()[0]["scores"] == [score]
