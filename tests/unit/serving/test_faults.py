from pathlib import Path
from typing import Any

import pytest

from kontinual.local.faults import SOUND_VERSIONS, ContraryPredictor
from kontinual.serving import Predictor


@pytest.mark.parametrize(("sound", "wrong"), [("", True), ("1, 3", False), ("1,33", True)])
def test_only_versions_not_named_as_sound_answer_wrongly(
    package_folder: Path,
    row: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    sound: str,
    wrong: bool,
) -> None:
    monkeypatch.setenv(SOUND_VERSIONS, sound)
    _, (true,) = Predictor.load(package_folder, version="3").answer([row])
    _, (told,) = ContraryPredictor.load(package_folder, version="3").answer([row])
    assert told == pytest.approx(1 - true if wrong else true)
    assert abs(true - 0.5) > 0.01  # else right and wrong would look alike
