"""A figure as people read it, in the browser or in a terminal, and how they say shares, sizes and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mood = Literal["", "good", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class KeyNumber:
    """A figure as it is shown. detail: what it is measured against"""

    label: str
    value: str
    detail: str
    mood: Mood = ""


def share(value: float) -> str:
    """0.953 -> '95 %'; NaN -> '–'."""
    return "–" if value != value else f"{100 * value:.0f} %"  # noqa: PLR0124  # only NaN differs from itself


def size(count: int) -> str:
    """Bytes as people say them: 1234567 -> '1.2 MB'."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def ago(seconds: float) -> str:
    """A time that has passed, in one unit: '12 s', '5 min', '3 h', '2 d'."""
    for unit, length_s in (("d", 172_800), ("h", 7200), ("min", 120)):
        if seconds >= length_s:
            return f"{seconds / {'d': 86_400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{seconds:.0f} s"
