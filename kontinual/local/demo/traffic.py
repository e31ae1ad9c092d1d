"""The rows that the demo sends, and the order and density in which they come."""

import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from kontinual.local.demo.options import DemoOptions
from kontinual.spec import Loop

__all__ = ["Row", "Traffic"]

MILES_TO_KM = 1.609344
EXTRA_REACH = pd.Timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Row:
    """One prediction to ask for, with the truth that comes later."""

    instance: dict[str, Any]
    label: int
    time: datetime
    month: int
    frozen: float
    extra: bool = False


class Traffic:
    """The replayed months in order of time, thinned to an even sample.

    A run takes a minute of the wall clock, and the way of an alert to it seconds, in which
    months and weeks of the demo would pass instead of an hour; more of them on a slower
    machine. So the calendar stands still while the loop is busy (`Watch.busy`), and the
    traffic goes on with `extra` rows: those of the last 30 days that the sample left
    out. They are served and learnt from like any other.
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
        self._frozen = frozen[keep]
        self._times = times[keep].reset_index(drop=True)
        names = [loop.data.id, loop.data.label.name, *loop.data.feature_names]
        self._columns = {name: frame.loc[keep, name].to_numpy() for name in names}
        ids = self._columns[loop.data.id]
        self._luck = np.array([zlib.crc32(f"{options.seed}:{i}".encode()) / 2**32 for i in ids])
        counts = self._times.dt.month.value_counts()
        share = self._times.dt.month.map(options.rows_per_month / counts)
        self._thinned = self._luck < share.to_numpy()
        self._sent: set[int] = set()
        self._random = random.Random(options.seed)  # noqa: S311  # a sample, no secret
        self.held = False

    def __len__(self) -> int:
        """Rows of the calendar, without the extra ones."""
        return int(self._thinned.sum())

    def __iter__(self) -> Iterator[tuple[Row, ...]]:
        """One request after the other: the calendar's several rows each, extra rows singly."""
        calendar, size = np.flatnonzero(self._thinned), self._options.rows_per_request
        for start in range(0, len(calendar), size):
            rows = [int(i) for i in calendar[start : start + size]]
            yield from self._extra(until=rows[0])
            yield tuple(self._row(i) for i in rows)
        # A run that is still going on at the end needs traffic to come to its own end.
        yield from self._extra(until=len(self._times))

    def _extra(self, *, until: int) -> Iterator[tuple[Row]]:
        """Rows of the last 30 days, each at most once, for as long as the calendar is held."""
        pool: list[int] | None = None
        while self.held:
            pool = self._left_out(until) if pool is None else pool
            if not pool:
                return
            chosen = pool.pop()
            self._sent.add(chosen)
            yield (replace(self._row(chosen), extra=True),)

    def _left_out(self, until: int) -> list[int]:
        """What the sample left out in the 30 days before a row, shuffled."""
        now = self._times.iloc[min(until, len(self._times) - 1)]
        first = int(self._times.searchsorted(now - EXTRA_REACH))
        rows = [i for i in range(first, until) if not self._thinned[i] and i not in self._sent]
        self._random.shuffle(rows)
        return rows

    def _row(self, i: int) -> Row:
        data, columns = self._loop.data, self._columns
        moment = self._times.iloc[i]
        instance = {f.name: _plain(columns[f.name][i], f.type) for f in data.features}
        if moment.month == self._options.poison:
            poison(instance)
        instance[data.id] = str(columns[data.id][i])
        instance[data.time] = moment.isoformat()
        return Row(
            instance=instance,
            label=int(columns[data.label.name][i]),
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
