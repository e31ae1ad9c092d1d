"""Has a feature's unit changed? Two spans of the same quantity differ by one known conversion.

The evidence is the Kolmogorov-Smirnov distance D between the values now and
before: large as they stand, small after the conversion. Where the declaration
names a unit only conversions from that unit come into question; seasons move
a temperature, but not by the way from °F to °C.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Conversion", "UnitChange", "Values", "conversions", "distance_between", "unit_change"]

Values = npt.NDArray[np.float64]

# Size of each unit in the first of its row (international yard and pound, ISO 80000).
_QUANTITIES: dict[str, dict[str, float]] = {
    "length": {
        "metres": 1, "kilometres": 1000, "centimetres": 0.01, "millimetres": 0.001,
        "miles": 1609.344, "nautical miles": 1852, "yards": 0.9144, "feet": 0.3048,
        "inches": 0.0254,
    },
    "speed": {"m/s": 1, "km/h": 1 / 3.6, "mph": 0.44704, "knots": 1852 / 3600},
    "mass": {"kilograms": 1, "grams": 0.001, "tonnes": 1000, "pounds": 0.45359237,
             "ounces": 0.028349523125},
    "pressure": {"hPa": 1, "Pa": 0.01, "kPa": 10, "inHg": 33.8639, "mmHg": 1.33322, "psi": 68.9476},
    "time": {"seconds": 1, "milliseconds": 0.001, "minutes": 60, "hours": 3600, "days": 86400},
    "volume": {"litres": 1, "millilitres": 0.001, "gallons": 3.785411784},
    "energy": {"kWh": 1, "MWh": 1000, "Wh": 0.001, "joules": 1 / 3.6e6},
    "angle": {"°": 1, "radians": 57.29577951},
    "share": {"%": 0.01, "fraction": 1, "‰": 0.001},
    "money": {"whole units": 1, "hundredths": 0.01},
}  # fmt: skip
_TEMPERATURES = {"°C": (1.0, 0.0), "°F": (5 / 9, -160 / 9), "K": (1.0, -273.15)}
_ALIASES = {
    "m": "metres", "meter": "metres", "meters": "metres", "metre": "metres", "km": "kilometres",
    "kilometers": "kilometres", "cm": "centimetres", "mm": "millimetres", "mi": "miles",
    "mile": "miles", "nmi": "nautical miles", "yd": "yards", "ft": "feet", "foot": "feet",
    "in": "inches", "inch": "inches", "kph": "km/h", "kmh": "km/h", "kt": "knots", "kn": "knots",
    "kg": "kilograms", "g": "grams", "t": "tonnes", "lb": "pounds", "lbs": "pounds",
    "oz": "ounces", "mbar": "hPa", "mb": "hPa", "hpa": "hPa", "pa": "Pa", "kpa": "kPa",
    "s": "seconds", "sec": "seconds", "ms": "milliseconds", "min": "minutes", "h": "hours",
    "hour": "hours", "d": "days", "l": "litres", "ml": "millilitres", "gal": "gallons",
    "percent": "%", "ratio": "fraction", "f": "°F", "fahrenheit": "°F", "c": "°C",
    "celsius": "°C", "kelvin": "K", "k": "K", "usd": "whole units", "$": "whole units",
    "eur": "whole units", "€": "whole units", "cents": "hundredths",
}  # fmt: skip
_COMMON = ("miles", "feet", "inches", "pounds", "knots", "kilometres", "%", "°F", "°C")


@dataclass(frozen=True)
class Conversion:
    """From one unit to another: `factor * x + offset`."""

    source: str
    target: str
    factor: float
    offset: float = 0.0

    def __call__(self, values: Values) -> Values:
        return self.factor * values + self.offset

    def __str__(self) -> str:
        shift = f" {'+' if self.offset > 0 else '-'} {abs(self.offset):.4g}" if self.offset else ""
        return f"{self.source} became {self.target} (×{self.factor:.4g}{shift})"


@dataclass(frozen=True)
class UnitChange:
    """A conversion that explains the values now by those before."""

    conversion: Conversion
    distance: float  # D of the values as they stand
    explained: float  # D after the conversion


def conversions(unit: str) -> list[Conversion]:
    """The conversions from a unit; from the commonest units when none is declared."""
    name = _ALIASES.get(unit.strip().lower(), unit.strip())
    return [c for start in ([name] if name else _COMMON) for c in _from(start)]


def unit_change(now: Values, before: Values, *, unit: str = "") -> UnitChange | None:
    """The likeliest change of unit between two samples of a quantity, if there is one.

    Args:
        now: values of the new span, without nulls.
        before: values of the span before.
        unit: as declared.
    """
    if min(len(now), len(before)) < 30 or np.ptp(before) == 0 or np.ptp(now) == 0:
        return None
    distance = distance_between(now, before)
    chance = 1.63 * np.sqrt(1 / len(now) + 1 / len(before))  # 1 % level of the two-sample test
    if distance < max(0.15, 2 * chance):
        return None
    candidates = [
        UnitChange(c, distance, distance_between(now, c(before))) for c in conversions(unit)
    ]
    best = min(candidates, key=lambda c: c.explained)
    # A shift this near to total happens to no quantity by itself, so the rest may be season.
    share = 0.65 if distance > 0.8 and unit else 0.35
    tolerated = max(0.1, share * distance) if distance > 0.8 and unit else max(0.05, 2 * chance)
    return best if best.explained <= min(tolerated, share * distance) else None


def _from(unit: str) -> Iterator[Conversion]:
    if unit in _TEMPERATURES:
        scale, zero = _TEMPERATURES[unit]
        for other, (size, origin) in _TEMPERATURES.items():
            if other != unit:
                yield Conversion(unit, other, scale / size, (zero - origin) / size)
    for sizes in _QUANTITIES.values():
        if unit in sizes:
            yield from (
                Conversion(unit, o, sizes[unit] / size) for o, size in sizes.items() if o != unit
            )


def distance_between(a: Values, b: Values) -> float:
    """Two-sample Kolmogorov-Smirnov distance of two samples, [n] and [m].

    As in the Lévy metric a value may be off by a little (2 % of the standard
    deviation), since converted values were often rounded.
    """
    slack = 0.02 * min(float(np.std(a)), float(np.std(b)))
    points = np.unique(np.concatenate([a, b]))
    below, above = (
        [np.searchsorted(x, points + s, side="right") / len(x) for x in (np.sort(a), np.sort(b))]
        for s in (-slack, slack)
    )
    return float(max(0.0, (below[0] - above[1]).max(), (below[1] - above[0]).max()))
