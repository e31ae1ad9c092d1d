"""What is said of a span: its manifest, and the verdicts on it."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

__all__ = ["Cursor", "Source", "SpanManifest", "Verdict"]

Source = Literal["history", "collector", "table"]


class Cursor(BaseModel):
    """How far a span reaches into the labelled rows of a collector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str = Field(description="identity of the collector's store, which counts its own rows")
    reached: int = Field(ge=1, description="its sequence number, inclusive")


class SpanManifest(BaseModel):
    """`manifest.json` of a span. Written last, it is what makes the span exist."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["kontinual.span/v1"] = "kontinual.span/v1"
    number: int = Field(ge=1)
    rows: int = Field(ge=1)
    start: AwareDatetime = Field(description="time of the first row")
    end: AwareDatetime = Field(description="time of the last row")
    schema_fingerprint: str = Field(description="sha256 over the sorted (column, kind)")
    digest: str = Field(description="sha256 of the data file, hex")
    columns: dict[str, str] = Field(description="number, integer, text or timestamp, by column")
    source: Source
    cursor: Cursor | None = Field(default=None, description="of a span from the collector")
    created_at: AwareDatetime

    @property
    def data_file(self) -> str:
        """Name of the parquet file beside the manifest."""
        return f"data-{self.digest[:8]}.parquet"


class Verdict(BaseModel):
    """May a span be learned from? Said by validation, or by a person over it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    span: int = Field(ge=1)
    accepted: bool
    reasons: list[str] = Field(default_factory=list)
    by: str = Field(default="validation", min_length=1, description="or a person's name")
    at: AwareDatetime
    tfdv_version: str | None = None
    rules: str | None = Field(
        default=None, description="digest of what validation judged by; null for a person's"
    )

    @property
    def by_person(self) -> bool:
        return self.by != "validation"
