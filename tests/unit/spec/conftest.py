"""The flights declaration, and what becomes of it when a line is changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kontinual.spec import InvalidLoop, parse_loop

_FLIGHTS = Path(__file__).parents[3] / "examples" / "flights" / "loop.yaml"
Mistake = Callable[[str, str], tuple[int, InvalidLoop]]


@pytest.fixture
def flights_path() -> Path:
    return _FLIGHTS


@pytest.fixture
def mistake() -> Mistake:
    """Replace one text of the declaration: the line it stood on, and the error that follows."""

    def make(right: str, wrong: str) -> tuple[int, InvalidLoop]:
        text = _FLIGHTS.read_text(encoding="utf-8")
        assert text.count(right) == 1, f"{right!r} has to stand once in {_FLIGHTS}"
        line = text[: text.index(right)].count("\n") + 1
        with pytest.raises(InvalidLoop) as caught:
            parse_loop(text.replace(right, wrong), source="loop.yaml")
        return line, caught.value

    return make
