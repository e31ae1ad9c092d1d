"""More rows need more time, not more memory."""

# ruff: noqa: S608  every text in the query is ours
import subprocess
import sys
from pathlib import Path

import pytest

FEATURES = 40
DAYS = 20  # one span
SCRIPT = f"""
import io, re, sys
from pathlib import Path
import duckdb, httpx
from kontinual.lake import Lake, ingest_history, ingest_labelled, source, spanfile
from kontinual.spec import Loop
from kontinual.validation import declared, look

spanfile.GROUP_ROWS = source.GROUP_ROWS = 8192
look.SAMPLE_ROWS = 10_000
source.MEMORY_BYTES = 2**20  # the least that these columns allow
rows, way = int(sys.argv[1]), sys.argv[3]
values = ", ".join(f"hash(i * {{n + 1}}) % 1000 / 8 AS f{{n}}" for n in range({FEATURES}))
query = (
    f"SELECT 'row-' || i AS id, i % 2 AS y, {{values}}, TIMESTAMP '2026-01-01' "
    f"+ to_seconds((hash(i) % {DAYS * 86400})::BIGINT) AS at FROM range({{rows}}) r(i)"
)
features = [dict(name=f"f{{n}}", type="number", range=[0, 125]) for n in range({FEATURES})]
data = dict(id="id", time="at", label=dict(name="y", delay="1d"), features=features,
            history=dict(query=query), span="{DAYS}d")
loop = Loop.model_validate(dict(
    apiVersion="kontinual.dev/v1alpha1", kind="Loop", name="many", data=data,
    training=dict(trainers=[dict(algorithm="logistic_regression")]),
    gates=[dict(metric="log_loss", on="new", max_regression=0)],
    monitoring=dict(alerts=[dict(kind="quality_decay", threshold=0.1)]),
))
lake = Lake(sys.argv[2], loop)
if way == "history":
    (span,) = ingest_history(loop, lake, base=".")
else:
    def collector(request):
        if request.method == "POST" or request.url.path.endswith("/store"):
            return httpx.Response(200, json=dict(loop="many", store="one"))
        after, limit = (int(request.url.params[name]) for name in ("after", "limit"))
        page = query.replace(f"range({{rows}})", f"range({{after}}, {{min(rows, after + limit)}})")
        page = duckdb.sql(f"SELECT *, 1 + substr(id, 5)::BIGINT AS _seq FROM ({{page}})").df()
        file = io.BytesIO()
        page.to_parquet(file)
        return httpx.Response(200, content=file.getvalue())

    client = httpx.Client(transport=httpx.MockTransport(collector))
    span = ingest_labelled(loop, lake, collector="http://c", client=client)
seen = look.look_at(lake, span.number, declared(loop))
assert seen.rows == rows and seen.tallies["f7"].rows == rows and not len(seen.twins)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def peak_mib(rows: int, way: str, folder: Path) -> float:
    """Peak memory of a process that ingests and looks at one span of so many rows."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(rows), str(folder / str(rows)), way],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    return int(done.stdout) / 1024


@pytest.mark.parametrize("way", ["history", "collector"])
def test_the_rows_of_a_longer_span_are_not_in_memory_together(tmp_path, way):
    few, many = 200_000, 500_000
    grown = peak_mib(many, way, tmp_path) - peak_mib(few, way, tmp_path)
    # As a DataFrame the further rows would take this once, and on their way there thrice.
    assert grown < (many - few) * (FEATURES + 3) * 8 / 2**20
