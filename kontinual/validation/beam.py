"""TFDV's statistics of a span by Apache Beam: on this machine, or on a cluster of workers.

Workers read the lake and need this package with TFDV; the `data` image is made to be theirs
(`sdk_container_image` on Dataflow, `environment_type: DOCKER` with `environment_config`
on Flink and Spark).
"""

import difflib
import hashlib
import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from kontinual.errors import KontinualError, SpecError
from kontinual.lake import Lake
from kontinual.spec.beam import Beam
from kontinual.validation.expectation import Expectation
from kontinual.validation.statistics import import_tfdv, stats_options, tabulate

__all__ = ["describe_span", "pipeline_options"]

log = logging.getLogger(__name__)


def describe_span(
    lake: Lake, number: int, expected: Mapping[str, Expectation], *, ignore: set[str]
) -> Any:
    """TFDV's statistics (a DatasetFeatureStatisticsList) of a span.

    They are those of the same rows in memory, but for quantiles, which are approximations
    either way. A span never changes, so they are kept in the lake (`statistics/000007/`)
    and computed once.

    Args:
        lake: a lake that the runner's workers reach.
        number: the span.
        expected: columns the schema knows, by name.
        ignore: columns left out, such as id and time; those with `_` are left out anyway.

    Raises:
        SpecError: Beam knows no such option.
        LakeError: there is no such span, or its data is not what was written.
        KontinualError: TFDV is missing, or the pipeline failed.
    """
    import_tfdv()
    from tensorflow_metadata.proto.v0 import statistics_pb2

    beam, manifest = lake.loop.validation.beam, lake.span(number)
    options = pipeline_options(beam)
    whole = {n for n, kind in manifest.columns.items() if kind == "integer"}
    numbers = {n for n, e in expected.items() if e.type == "number"}
    kept = ["statistics", f"{number:06d}", f"{_key(manifest.digest, numbers)}.pb"]
    if not lake.exists(*kept):
        log.info("span %d: %d rows are described by %s", number, manifest.rows, beam.runner)
        columns = [n for n in manifest.columns if n not in ignore and not n.startswith("_")]
        to_batch = partial(_to_batch, expected=dict(expected), whole=whole)
        url = lake.data_url(number)
        try:
            _run(url, columns, to_batch, lake.path(*kept), options)
        except Exception as exc:  # whatever a runner raises
            raise KontinualError(
                f"span {number}: {beam.runner} could not describe it (validation.beam): "
                f"{type(exc).__name__}: {exc}"
            ) from exc
    return statistics_pb2.DatasetFeatureStatisticsList.FromString(lake.store.read("/".join(kept)))


def pipeline_options(beam: Beam) -> Any:
    """Beam's PipelineOptions of a declaration.

    Raises:
        SpecError: Beam knows no option of such a name.
        KontinualError: Beam is not in this environment.
    """
    import_tfdv()
    from apache_beam.options.pipeline_options import PipelineOptions

    known = PipelineOptions(["--runner", beam.runner]).get_all_options()
    for name in beam.options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else ""
            raise SpecError(f"validation.beam.options: Beam has no option `{name}`{hint}")
    return PipelineOptions.from_dictionary({**beam.options, "runner": beam.runner})


def _key(digest: str, numbers: set[str]) -> str:
    """Names all that the statistics hang on."""
    parts = [digest, sorted(numbers), import_tfdv().__version__]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _run(url: str, columns: list[str], to_batch: Any, out: str, options: Any) -> None:
    import apache_beam as beam
    from apache_beam.io import ReadFromParquetBatched

    tfdv = import_tfdv()
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | "Read" >> ReadFromParquetBatched(url, columns=columns)
            | "ToBatch" >> beam.Map(to_batch)
            | "Describe" >> tfdv.GenerateStatistics(stats_options())
            | "Write" >> tfdv.WriteStatisticsToBinaryFile(out)
        )


def _to_batch(table: Any, expected: Mapping[str, Expectation], whole: set[str]) -> Any:
    """A row group as TFDV wants it, by the same way that a DataFrame goes."""
    import pyarrow as pa
    from tfx_bsl.arrow import table_util

    frame = tabulate(table.to_pandas(ignore_metadata=True), expected, ignore=set(), whole=whole)
    return table_util.CanonicalizeRecordBatch(pa.RecordBatch.from_pandas(frame))
