"""What the coach says: advice with its evidence, and what it could not judge."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Literal

from pydantic import Field

from console.report.data import CellResult, Grid
from policy.contract import Frozen


class Severity(Enum):
    """How much it matters."""

    URGENT = "urgent"  # what is learned or measured now is spoiled
    IMPORTANT = "important"  # it costs success or time
    HINT = "hint"  # it could go better

    @property
    def rank(self) -> int:
        """Small for what matters most."""
        return list(Severity).index(self)


class Histogram(Frozen):
    """How often which value occurred."""

    kind: Literal["histogram"] = "histogram"
    title: str
    x_name: str = Field(description="with its unit")
    edges: tuple[float, ...] = Field(description="of the bins, one more than there are counts")
    counts: tuple[int, ...]
    limit: float | None = Field(default=None, description="what is beyond, the rule is about")


class Curve(Frozen):
    """Values against something that goes on."""

    kind: Literal["curve"] = "curve"
    title: str
    x_name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    limit: float | None = Field(default=None, description="the line that should not be crossed")


class FieldMap(Frozen):
    """Results by cell of the cube's field."""

    kind: Literal["map"] = "map"
    title: str
    grid: Grid
    cells: dict[str, CellResult] = Field(description="by 'row,column'")
    marked: tuple[str, ...] = Field(default=(), description="the cells that the rule is about")

    def by_cell(self) -> dict[tuple[int, int], CellResult]:
        """The cells by row and column."""
        pairs = {key: key.split(",") for key in self.cells}
        return {(int(row), int(column)): self.cells[key] for key, (row, column) in pairs.items()}


Chart = Annotated[Histogram | Curve | FieldMap, Field(discriminator="kind")]


class Source(Frozen):
    """Where it can be read."""

    text: str
    url: str


class Advice(Frozen):
    """One thing to do otherwise."""

    rule: str = Field(description="a key of `console.coach.catalogue.RULES`")
    severity: Severity
    title: str
    seen: str = Field(description="what was seen in this run, with its figures")
    figures: dict[str, float] = Field(default={}, description="the same figures, by a name with its unit")
    evidence: Chart | None = Field(default=None, description="the data behind it, to be drawn")
    why: str
    sources: tuple[Source, ...]
    do: str


class NotJudged(Frozen):
    """A rule that could not say anything, and what it lacks."""

    rule: str
    lacks: str


class Coaching(Frozen):
    """All that the coach says of a run."""

    run: str
    advice: tuple[Advice, ...] = Field(description="what matters most first")
    not_judged: tuple[NotJudged, ...]
    content: tuple[str, ...] = Field(description="rules that found nothing to say")
