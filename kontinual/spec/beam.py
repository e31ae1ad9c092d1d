"""Where the statistics of spans too large for one process' memory are computed."""

from typing import Literal

from pydantic import Field

from kontinual.spec.base import Strict

__all__ = ["Beam"]

Option = bool | int | float | str | list[str]


class Beam(Strict):
    """TFDV by Apache Beam, on a runner of choice, for spans of many rows."""

    runner: Literal["DirectRunner", "FlinkRunner", "SparkRunner", "DataflowRunner"] = "DirectRunner"
    options: dict[str, Option] = Field(
        default_factory=dict,
        description="Beam's pipeline options by name, such as `direct_num_workers`, "
        "`flink_master`, `project`, `temp_location`",
    )
    min_rows: int = Field(
        default=1_000_000,
        ge=1,
        description="shorter spans are described in memory, which is faster",
    )
