"""What is drafted from a history lets that history pass, whatever moves in it by nature."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kontinual.lake import Lake, draft_loop, ingest_history
from kontinual.validation import validate_span

pytestmark = pytest.mark.data


def weather(rows: int = 4000) -> pd.DataFrame:
    """Hours with a season, rare rain with one cloudburst, and a gauge that fails more and more."""
    rng = np.random.default_rng(7)
    hour = np.arange(rows)
    warmth = 60 + 25 * np.sin(hour / rows * 5) + rng.normal(0, 4, rows)
    rain = np.where(rng.random(rows) < 0.05, rng.exponential(0.1, rows), 0.0)
    rain[rows // 2] = 9.0
    gauge = np.where(rng.random(rows) < 0.1 + 0.5 * hour / rows, np.nan, rng.normal(0, 1, rows))
    wind = rng.choice(["N", "E", "S", "W"], rows, p=[0.4, 0.3, 0.2, 0.1])
    return pd.DataFrame(
        {
            "id": [f"h{i}" for i in hour],
            "time": pd.date_range("2026-01-01", periods=rows, freq="1h", tz="UTC"),
            "warmth": warmth,
            "rain": rain,
            "gauge": gauge,
            "wind": np.where(hour > rows / 2, wind, "N"),
            "steady": rng.normal(0, 1, rows),
            "label": (rng.random(rows) < 0.3).astype(int),
        }
    )


def test_a_history_passes_validation_by_the_declaration_drafted_from_it(tmp_path: Path):
    frame = weather()
    frame.to_parquet(tmp_path / "weather.parquet", index=False)
    roles = {"id": "id", "time": "time", "label": "label"}
    draft = draft_loop(frame, name="weather", history="weather.parquet", **roles)
    lake = Lake((tmp_path / "lake").as_uri(), draft.loop)
    spans = ingest_history(draft.loop, lake, base=str(tmp_path))
    assert len(spans) >= 3
    for span in spans:
        verdict = validate_span(draft.loop, lake, span.number, report=tmp_path / "report.html")
        assert verdict.accepted, verdict.reasons
    limits = draft.loop.validation.max_drift_by_feature
    assert set(limits) == {"warmth", "rain", "gauge", "wind"}
    assert "steady" not in limits
