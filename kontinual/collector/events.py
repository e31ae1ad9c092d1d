"""Reading what arrives: CloudEvents with predictions, one or many, and feedback with labels.

The three content modes of CloudEvents 1.0 over HTTP: a batch
(`application/cloudevents-batch+json`), one structured event
(`application/cloudevents+json`), one binary event (`ce-*` headers).
The CloudEvents SDK is not used: it knows no batch, and it invents an `id` and a
`specversion` where an event has none, instead of refusing it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import unquote

import pydantic_core
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    ValidationError,
)
from typing_extensions import TypedDict

from kontinual.collector.records import Prediction
from kontinual.spec import (
    PREDICTION_EVENT,
    PREDICTIONS_EVENT,
    Feedback,
    LabelRecord,
    Loop,
    PredictionBatch,
    PredictionData,
    moment_of,
)

__all__ = ["InvalidItems", "ItemProblem", "PredictionReader", "read_feedback"]

BATCH_TYPE = "application/cloudevents-batch+json"
STRUCTURED_TYPE = "application/cloudevents+json"
MAX_PROBLEMS = 20
_EXACT = 2**53  # the greatest whole number up to which every one survives a JSON number


@dataclass(frozen=True)
class ItemProblem:
    """One mistake in what was sent."""

    item: int | None
    field: str
    message: str

    def __str__(self) -> str:
        where = "body" if self.item is None else f"item {self.item}"
        return ": ".join(part for part in (where, self.field, self.message) if part)


class InvalidItems(ValueError):
    """What was sent is refused as a whole; at most the first 20 mistakes are named."""

    def __init__(self, problems: Sequence[ItemProblem]) -> None:
        self.items = len({p.item for p in problems})
        self.problems = list(problems[:MAX_PROBLEMS])
        super().__init__("; ".join(map(str, self.problems)))


_TYPES = (PREDICTION_EVENT, PREDICTIONS_EVENT)


def _known_type(value: str) -> str:
    if value not in _TYPES:
        raise ValueError(f"the type of events here is {' or '.join(_TYPES)}, but got {value!r}")
    return value


class CloudEvent(BaseModel):
    """The attributes of an event that are needed here; extensions are let through."""

    model_config = ConfigDict(extra="ignore")

    specversion: Literal["1.0"]
    id: str = Field(min_length=1)
    source: str = Field(min_length=1)
    type: Annotated[str, AfterValidator(_known_type)]
    time: AwareDatetime | None = None
    data: Any


def _moment(value: Any) -> datetime:
    moment = moment_of(value) if isinstance(value, str) else None
    if moment is None:
        raise ValueError(
            "a time is ISO 8601 date and time, such as 2013-07-01T06:15:00Z, "
            f"but got {_short(value)}"
        )
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _whole(value: float) -> int:
    if not value.is_integer() or abs(value) > _EXACT:
        raise ValueError(f"a whole number up to 2^53 is needed, but got {value!r}")
    return int(value)


_Data = TypeVar("_Data", bound=BaseModel)
_Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
_VALUE_TYPES: dict[str, Any] = {
    "number": _Number | None,
    "integer": Annotated[_Number, AfterValidator(_whole)] | None,
    "category": Annotated[str, Strict(), Field(max_length=1_000)] | None,
}


class PredictionReader:
    """Reads the prediction events of one loop.

    The types of the declaration are enforced, its ranges and vocabularies are
    not: odd values were served, so they belong to the examples, where
    validation judges them.
    """

    def __init__(self, loop: Loop) -> None:
        data = loop.data
        self._loop, self._id, self._time = loop.name, data.id, data.time
        fields: dict[str, Any] = {
            data.id: Annotated[str, Strict(), Field(min_length=1, max_length=256)],
            data.time: Annotated[datetime, PlainValidator(_moment)],
            **{f.name: _VALUE_TYPES[f.type] for f in data.features},
        }
        # A TypedDict and not a model: a feature may be called `json` or `copy`.
        make = cast("Any", TypedDict)
        row = make("row", fields)
        row.__pydantic_config__ = ConfigDict(extra="forbid")
        self._single: type[PredictionData[Any]] = cast("Any", PredictionData)[row]
        self._many: type[PredictionBatch[Any]] = cast("Any", PredictionBatch)[row]

    def read(self, body: bytes, headers: Mapping[str, str]) -> list[Prediction]:
        """The predictions of a request's body, in order.

        Raises:
            InvalidItems: anything in it is malformed, or is of another loop.
        """
        problems: list[ItemProblem] = []
        predictions: list[Prediction] = []
        for index, item in enumerate(_events(body, headers)):
            try:
                predictions += self._predictions(item)
            except ValidationError as exc:
                problems += _problems(exc, item=index)
            except InvalidItems as exc:
                problems += [ItemProblem(index, p.field, p.message) for p in exc.problems]
        if problems:
            raise InvalidItems(problems)
        return predictions

    def _predictions(self, item: Any) -> list[Prediction]:
        event = CloudEvent.model_validate(item)
        data: PredictionData[Any] | PredictionBatch[Any]
        if event.type == PREDICTION_EVENT:
            data = _data(self._single, event.data)
            answered = [("data.scores", data.instances, data.scores)]
        else:
            data = _data(self._many, event.data)
            answered = [
                (f"data.predictions[{i}]", request.instances, scores)
                for i, (request, scores) in enumerate(
                    zip(data.requests, data.predictions, strict=True)
                )
            ]
        source = f"/models/{self._loop}/versions/{data.version}"
        if event.source != source:
            message = f"the source of this loop and version is {source}, but got {event.source!r}"
            raise InvalidItems([ItemProblem(None, "source", message)])
        for field, rows, scores in answered:
            if len(rows) != len(scores):
                message = f"one score for each of {len(rows)} instances is needed"
                raise InvalidItems([ItemProblem(None, field, message)])
        return [
            Prediction(
                id=row.pop(self._id),
                time=row.pop(self._time),
                version=data.version,
                score=score,
                features=row,
            )
            for _, rows, scores in answered
            for row, score in zip(rows, scores, strict=True)
        ]


def read_feedback(body: bytes) -> list[LabelRecord]:
    """The labels of a request's body, in order.

    Raises:
        InvalidItems: anything in it is malformed.
    """
    try:
        return Feedback.model_validate(_json(body)).labels
    except ValidationError as exc:
        raise InvalidItems(_problems(exc, item=None)) from exc


def _events(body: bytes, headers: Mapping[str, str]) -> list[Any]:
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media == STRUCTURED_TYPE:
        return [_json(body)]
    if "ce-specversion" in headers:
        attributes = {k[3:]: unquote(v) for k, v in headers.items() if k.startswith("ce-")}
        return [{**attributes, "data": _json(body)}]
    if media != BATCH_TYPE:
        message = (
            f"is {BATCH_TYPE}, {STRUCTURED_TYPE}, or application/json with ce-* headers, "
            f"but got {media or 'none'}"
        )
        raise InvalidItems([ItemProblem(None, "content-type", message)])
    batch = _json(body)
    if not isinstance(batch, list):
        raise InvalidItems([ItemProblem(None, "", "a batch is a JSON array of events")])
    return batch


def _json(body: bytes) -> Any:
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as exc:
        raise InvalidItems([ItemProblem(None, "", f"not JSON: {exc}")]) from exc


def _data(model: type[_Data], value: Any) -> _Data:
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        found = _problems(exc, item=None, item_in_path=False)
        raise InvalidItems(
            [ItemProblem(None, f"data{_joint(p.field)}", p.message) for p in found]
        ) from exc


def _joint(field: str) -> str:
    return field if field.startswith("[") or not field else f".{field}"


def _problems(
    exc: ValidationError, *, item: int | None, item_in_path: bool = True
) -> list[ItemProblem]:
    """Pydantic's errors as ours: `("labels", 3, "label")` is field `label` of item 3."""
    found = []
    for error in exc.errors(include_url=False, include_context=False):
        loc, index = list(error["loc"]), item
        if item_in_path and index is None and len(loc) > 1 and isinstance(loc[1], int):
            index, loc = loc[1], loc[2:]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
        found.append(ItemProblem(index, path.removeprefix("."), _message(error)))
    return found


def _message(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "missing":
            return "this field is missing"
        case "extra_forbidden":
            return "no such field is declared"
        case "value_error":
            return str(error["msg"]).removeprefix("Value error, ")
        case _:
            return f"{error['msg']}, but got {_short(error['input'])}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
