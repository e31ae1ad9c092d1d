"""What a person may choose about a demo."""

from dataclasses import dataclass, field
from pathlib import Path

from kontinual.errors import SpecError

__all__ = ["DemoOptions", "parse_months"]

HISTORY_MONTHS = (1, 2)


def parse_months(text: str) -> tuple[int, ...]:
    """Read a range of months such as `3-7`, or one month such as `4`.

    Raises:
        SpecError: it is no range within 3-12 (January and February are the history).
    """
    first, _, last = text.partition("-")
    try:
        low, high = int(first), int(last or first)
    except ValueError:
        low, high = 0, 0
    if not HISTORY_MONTHS[-1] < low <= high <= 12:
        raise SpecError(f"--months takes a range within 3-12, such as 3-7, but got {text!r}")
    return tuple(range(low, high + 1))


@dataclass(frozen=True)
class DemoOptions:
    """A demo's size, speed, seed and faults."""

    loop: Path = Path("examples/flights/loop.yaml")
    out: Path = Path("build/demo")
    months: tuple[int, ...] = field(default_factory=lambda: tuple(range(3, 13)))
    rows_per_month: int = 8000
    rows_per_request: int = 10
    rate: float = 70.0
    seed: int = 0
    poison: int | None = None
    bad_challenger: bool = False

    def __post_init__(self) -> None:
        """Refuse what can not be run, before anything is started."""
        if self.poison is not None and self.poison not in self.months:
            raise SpecError(
                f"--poison takes one of the replayed months {list(self.months)}, "
                f"but got {self.poison}"
            )
        if not 200 <= self.rows_per_month <= 30_000:
            raise SpecError(f"--rows takes 200 to 30000 a month, but got {self.rows_per_month}")
        if not 1 <= self.rows_per_request <= 100:
            raise SpecError(f"--batch takes 1 to 100 rows, but got {self.rows_per_request}")
        if not 5 <= self.rate <= 500:
            raise SpecError(f"--rate takes 5 to 500 requests a second, but got {self.rate}")

    @property
    def month_seconds(self) -> float:
        """Wall-clock seconds that a month takes while the loop is not busy."""
        return self.rows_per_month / (self.rate * self.rows_per_request)

    @property
    def speedup(self) -> float:
        """How many times faster than the wall clock the loop's windows pass."""
        return 30 * 86400 / self.month_seconds

    @property
    def home(self) -> Path:
        return self.out / "home"
