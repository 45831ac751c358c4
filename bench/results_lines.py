"""The rows of docs/results.json by condition and look: a line of the table, of a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.learning_conditions import CONDITIONS, Condition
from bench.learning_row import Exam, Row
from console.statistics import Interval, wilson_interval

PRESET = "demo"  # of conditions that name no other


@dataclass(frozen=True)
class Line:
    """All seeds of a condition in one look.

    besides: options in which these runs differ from the condition as it is now
    exams: one for each row
    """

    condition: Condition
    besides: tuple[str, ...]
    look: str
    rows: Sequence[Row]
    exams: Sequence[Exam]

    @property
    def title(self) -> str:
        """As it stands in table and figure."""
        if self.look != self.exams_of_training:
            return f"… in {self.look}"
        if not self.besides:
            return self.condition.title
        words = [word.rsplit(".", 1)[-1] if word.startswith("--") else word for word in self.besides]
        return f"{self.condition.title}; {' '.join(words)}"

    @property
    def exams_of_training(self) -> str:
        """Name of the look in which the policy learned."""
        return self.rows[0].exams[0].look

    @property
    def trials(self) -> int:
        """Of all seeds."""
        return sum(exam.trials for exam in self.exams)

    @property
    def rate(self) -> float:
        """Successes per trial [1]."""
        return sum(exam.successes for exam in self.exams) / self.trials

    @property
    def interval(self) -> Interval:
        """Wilson's, 95 % [1]."""
        return wilson_interval(sum(exam.successes for exam in self.exams), self.trials)


def lines(rows: Sequence[Row]) -> list[Line]:
    """In the order of the conditions, those without a run left out."""
    found = []
    for condition in CONDITIONS:
        runs = [row for row in rows if row.condition == condition.name and row.preset == (condition.preset or PRESET)]
        for besides in sorted({_besides(row, condition) for row in runs}):  # nothing comes first
            of = [row for row in runs if _besides(row, condition) == besides]
            for place, look in enumerate(exam.look for exam in of[0].exams):
                found.append(Line(condition, besides, look, of, [row.exams[place] for row in of]))
    return found


def _besides(row: Row, condition: Condition) -> tuple[str, ...]:
    """The words of its options that are not those of the condition, whatever their order."""
    own, named = _by_name(row.options), _by_name(condition.options)
    return tuple(word for name, words in own.items() if named.get(name) != words for word in (name, *words))


def _by_name(options: Sequence[str]) -> dict[str, tuple[str, ...]]:
    places = [place for place, word in enumerate(options) if word.startswith("--")]
    return {
        options[begin]: tuple(options[begin + 1 : end])
        for begin, end in zip(places, [*places[1:], len(options)], strict=True)
    }
