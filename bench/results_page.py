"""Makes docs/results.md and its figure from docs/results.json; `python -m bench.results_page` writes both anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench.learning_conditions import CONDITIONS, Condition
from bench.learning_row import DATA, Exam, Row, read_rows
from console.report.page import duration, percent
from console.statistics import Interval, wilson_interval
from console.web.svg import Axes, drawing, text
from learner.disk import write_atomically

PAGE, FIGURE = DATA.with_suffix(".md"), DATA.parent / "images" / "results.svg"
PRESET = "demo"  # of conditions that name no other

HEADER = """\
# What it learns

Written by `bench/learning.py` from `results.json`, which holds every run that is counted here; a test compares them.
Each run is `nudge demo` from an empty folder: a reward classifier is trained first and pays all rewards, the scripted
operator demonstrates and helps, and at the end the policy alone is examined on the grid, without chance, judged by the
simulator's truth. **Success** is that of all seeds' trials together, with Wilson's 95 % interval, which takes trials as
independent; seeds differ by more than that, so each stands beside it. **Worst cell** is the worst of all seeds. Other
conditions differ from the first one, or from the same with fewer steps, in nothing but what is named. Options
behind a title are those with which that line was measured instead, of an older preset most often: it is to be compared
with lines that share them. All lines but those with exploration 0.5 had cubes laid at random, and a classifier that saw
pictures alone. **Wall clock** is from the empty folder to the report; where it is long, other runs or tests shared the
machine.

    python bench/learning.py --conditions NAME ... --seeds 0 1 2 --keep     # --list: the names

![Success of each condition](images/results.svg)
"""

_STYLE = (
    "<style>text{font:14px sans-serif;fill:#57606a}.name{fill:#24292f}.grid{stroke:#d0d7de}.base{stroke:#8c959f}"
    ".interval{stroke:#0969da;stroke-width:3}.mean{fill:#0969da}.seed{fill:none;stroke:#0969da}"
    "@media(prefers-color-scheme:dark){text{fill:#9198a1}.name{fill:#e6edf3}.grid{stroke:#3d444d}}</style>"
)


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


def page(rows: Sequence[Row]) -> str:
    """The Markdown page."""
    return HEADER + "".join(_groups(lines(rows))) + "".join(_origin(rows))


def _groups(all_lines: Sequence[Line]) -> Iterator[str]:
    for group in dict.fromkeys(line.condition.group for line in all_lines):
        yield f"\n## {group}\n\n"
        yield "| | success, 95 % interval | each seed | worst cell | operator, last 50 episodes "
        yield "| cycle, demonstrations' | steps | wall clock |\n|---|---|---|---|---|---|---|---|\n"
        for line in all_lines:
            if line.condition.group == group:
                yield f"| {' | '.join(_cells(line))} |\n"


def _cells(line: Line) -> Iterator[str]:
    low, high = line.interval
    yield line.title
    yield f"**{percent(line.rate)}** of {line.trials}, {100 * low:.1f} to {high:.1%}".replace("%", " %").replace(
        "  ", " "
    )
    yield ", ".join(percent(exam.successes / exam.trials) for exam in line.exams)
    yield percent(min(exam.worst_cell for exam in line.exams))
    if line.look != line.exams_of_training:
        yield from ("", _cycle(line), "", "")
        return
    shares = [row.intervention_share_last_50 for row in line.rows if row.intervention_share_last_50 is not None]
    yield ", ".join(f"{100 * share:.1f} %" for share in shares)
    yield _cycle(line)
    yield f"{median(row.env_steps for row in line.rows):,.0f}"
    yield ", ".join(duration(row.wall_s) for row in line.rows)


def _cycle(line: Line) -> str:
    cycles = [exam.cycle_s for exam in line.exams if exam.cycle_s is not None]
    demos = [row.demo_cycle_s for row in line.rows if row.demo_cycle_s is not None]
    return f"{median(cycles):.1f} s, {median(demos):.1f} s" if cycles and demos else "–"


def _origin(rows: Sequence[Row]) -> Iterator[str]:
    machines, codes = {row.machine for row in rows}, {row.code for row in rows}
    yield f"\nMachines: {'; '.join(sorted(machines)) or '–'}. Commits: {', '.join(sorted(codes)) or '–'}.\n"


def figure(rows: Sequence[Row]) -> str:
    """The figure as a file of its own: a line for each condition, its seeds as rings."""
    shown = lines(rows)
    left, step = 330, 26
    axes = Axes(left, 16, 520, max(1, len(shown)) * step, 0, 1, 0, 1)
    body = [axes.x_ticks([(value / 4, f"{25 * value} %") for value in range(5)])]
    for place, line in enumerate(shown):
        y = axes.top + (place + 0.5) * step
        low, high = line.interval
        body.append(text(left - 14, y + 5, line.title, "name", "end"))
        body.append(f'<path class="grid" d="M{left} {y:.1f}h{axes.width:.0f}"/>')
        body.append(f'<path class="interval" d="M{axes.x(low):.1f} {y:.1f}H{axes.x(high):.1f}"/>')
        body.append(f'<circle class="mean" cx="{axes.x(line.rate):.1f}" cy="{y:.1f}" r="5"/>')
        for exam in line.exams:
            at = axes.x(exam.successes / exam.trials)
            body.append(f'<circle class="seed" cx="{at:.1f}" cy="{y:.1f}" r="7"/>')
    height = axes.top + axes.height + 34
    drawn = str(drawing(left + axes.width + 40, height, _STYLE + "".join(body), "Success of each condition"))
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def write(rows: Sequence[Row], page_path: Path = PAGE, figure_path: Path = FIGURE) -> None:
    """Both files."""
    write_atomically(page_path, page(rows).encode())
    write_atomically(figure_path, figure(rows).encode())


if __name__ == "__main__":
    write(read_rows(DATA))
