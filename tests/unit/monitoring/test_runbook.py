from pathlib import Path

import pytest

from kontinual.spec import AlertKind

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook.md"


@pytest.mark.parametrize("kind", AlertKind)
def test_each_kind_of_alert_has_its_section_and_its_quantity(kind: AlertKind) -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n## {kind.value}\n")
    assert found, f"docs/runbook.md has no section {kind.value}"
    section = rest.partition("\n## ")[0]
    assert kind.series in section
    for part in ("What it means", "What to look at", "What Kontinual does", "What you can do"):
        assert f"**{part}.**" in section
