"""The rows that the demo sends, and the order and density in which they come."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from kontinual.local.demo.options import DemoOptions
from kontinual.spec import Loop

__all__ = ["Row", "Traffic"]

MILES_TO_KM = 1.609344


@dataclass(frozen=True, slots=True)
class Row:
    """One prediction to ask for, with the truth that comes later."""

    instance: dict[str, Any]
    label: int
    time: datetime
    month: int
    frozen: float


class Traffic:
    """The replayed months in order of time, thinned while nothing goes on.

    A run takes minutes of the wall clock, in which a month of the demo would
    pass. So while one goes on every row is sent, at the same rate: the demo's
    calendar slows down and the canary sees traffic.
    """

    def __init__(
        self, frame: pd.DataFrame, frozen: np.ndarray, *, loop: Loop, options: DemoOptions
    ) -> None:
        """Take the rows of the options' months.

        Args:
            frame: labelled rows with the loop's columns, by time.
            frozen: the first model's score of each row of `frame`, float [n].
            loop: the declaration.
            options: months, density, seed and poison.
        """
        self._loop, self._options = loop, options
        times = pd.to_datetime(frame[loop.data.time], utc=True)
        keep = times.dt.month.isin(options.months).to_numpy()
        self._frame = frame.loc[keep].reset_index(drop=True)
        self._frozen = frozen[keep]
        self._times = times[keep].reset_index(drop=True)
        ids = self._frame[loop.data.id]
        self._luck = np.array([zlib.crc32(f"{options.seed}:{i}".encode()) / 2**32 for i in ids])
        counts = self._times.dt.month.value_counts()
        share = self._times.dt.month.map(options.rows_per_month / counts)
        self._thinned = self._luck < share.to_numpy()
        self.dense = False

    def __len__(self) -> int:
        """Rows that are sent when no run ever goes on."""
        return int(self._thinned.sum())

    def __iter__(self) -> Iterator[Row]:
        left_out: list[int] = []
        for i in range(len(self._frame)):
            if self.dense or self._thinned[i]:
                yield self._row(i)
            elif self._times.iloc[i].month == self._options.months[-1]:
                left_out.append(i)
        # A run that is still going on at the end needs traffic to come to its own end.
        while self.dense and left_out:
            yield self._row(left_out.pop())

    def _row(self, i: int) -> Row:
        data, values = self._loop.data, self._frame.iloc[i]
        moment = self._times.iloc[i]
        instance = {f.name: _plain(values[f.name], f.type) for f in data.features}
        if moment.month == self._options.poison:
            poison(instance)
        instance[data.id] = str(values[data.id])
        instance[data.time] = moment.isoformat()
        return Row(
            instance=instance,
            label=int(values[data.label.name]),
            time=moment.to_pydatetime(),
            month=int(moment.month),
            frozen=float(self._frozen[i]),
        )


def poison(instance: dict[str, Any]) -> None:
    """What an upstream release does to a month of flights: other units, in place."""
    instance["distance"] = instance["distance"] * MILES_TO_KM
    for name in ("temp", "dewp"):
        if instance[name] is not None:
            instance[name] = (instance[name] - 32) / 1.8


def _plain(value: Any, kind: str) -> Any:
    if value is None or value != value:
        return None
    if kind == "category":
        return str(value)
    return int(value) if kind == "integer" else float(value)
