"""`nudge coach`: what a run teaches about how it is taught, in the terminal or as JSON."""

from __future__ import annotations

from typing import Annotated

import tyro
from pydantic import Field
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from console.checkpoints import RunOptions
from console.coach.advice import Advice, Coaching, Curve, Histogram, Severity
from console.coach.catalogue import RULES
from console.coach.gather import gather_evidence
from console.coach.rules import advise
from console.errors import ConsoleError
from console.presets.load import load_preset, parse_options, take_preset
from console.run_folder import SETTINGS_FILE
from console.settings import Settings

_STYLES = {
    Severity.URGENT: "bold white on red",
    Severity.IMPORTANT: "bold black on yellow",
    Severity.HINT: "bold white on blue",
}
_BARS, _SPARKS = "█", "▁▂▃▄▅▆▇█"
_WIDTH = 40  # characters of a drawing


class CoachOptions(RunOptions):
    """Which run, and for whom. `--preset` names its settings where its folder has none."""

    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        default=False, description="One JSON object instead of text, with the data behind each advice."
    )


def main(argv: list[str]) -> int:
    """Tell what could be done otherwise; returns the exit status, 0 whether or not there is advice."""
    preset, rest = take_preset(argv, "")
    options = parse_options(CoachOptions, rest, "nudge coach", flags=True)
    settings = run_settings(options, preset)
    coaching = advise(gather_evidence(settings), settings.coach)
    if options.as_json:
        print(coaching.model_dump_json())
    else:
        tell(coaching, Console())
    return 0


def run_settings(options: RunOptions, preset: str = "") -> Settings:
    """The settings of a run: of the preset that is named, else those in its folder."""
    if not options.folder.is_dir():
        raise ConsoleError(f"{options.folder}: there is no such folder, expected that of a run; see --run and --runs")
    if not preset and not (options.folder / SETTINGS_FILE).is_file():
        raise ConsoleError(
            f"{options.folder}: it has no {SETTINGS_FILE}, expected the settings of the run; name its preset with "
            "--preset"
        )
    settings = load_preset(Settings, preset or str(options.folder / SETTINGS_FILE))
    return settings.model_copy(update={"run": options.run, "runs": options.runs})


def tell(coaching: Coaching, console: Console) -> None:
    """The advice as a person reads it, what matters most first, and what could not be judged."""
    if not coaching.advice:
        console.print(f"run {coaching.run}: nothing to say. Go on like this.", style="green", markup=False)
    for number, advice in enumerate(coaching.advice, start=1):
        _tell_one(number, advice, console)
    if coaching.not_judged:
        console.print("not judged:", style="dim")
        for each in coaching.not_judged:
            console.print(_indented(f"{RULES[each.rule].title}? {each.lacks}", "dim"))
    if coaching.content:
        console.print(f"looked at, and well: {', '.join(coaching.content)}", style="dim", markup=False)


def _tell_one(number: int, advice: Advice, console: Console) -> None:
    mark = Text(f" {advice.severity.value} ", style=_STYLES[advice.severity])
    console.print(Text.assemble(f"{number}. ", mark, f" {advice.title}", style="bold"))
    console.print(_indented(advice.seen))
    for line in _drawn(advice):
        console.print(_indented(line, "cyan"))
    console.print(_indented(f"do: {advice.do}", "green"))
    sources = "; ".join(f"{source.text} ({source.url})" for source in advice.sources)
    console.print(_indented(f"why: {advice.why}"))
    console.print(_indented(sources, "dim"))
    console.print()


def _indented(text: str, style: str = "") -> Padding:
    return Padding(Text(text, style=style), (0, 0, 0, 3))


def _drawn(advice: Advice) -> list[str]:
    """The evidence in a few lines of characters; maps are told in words already."""
    chart = advice.evidence
    if isinstance(chart, Histogram):
        return histogram_lines(chart)
    return [curve_line(chart)] if isinstance(chart, Curve) else []


def histogram_lines(chart: Histogram) -> list[str]:
    """A bar for each bin up to the last that has something; `!` marks those beyond the limit."""
    last = max((index for index, count in enumerate(chart.counts) if count), default=-1)
    most = max(chart.counts, default=0) or 1
    lines = [f"{chart.title} [{chart.x_name}]"]
    for index, count in enumerate(chart.counts[: last + 1]):
        low, high = chart.edges[index], chart.edges[index + 1]
        beyond = "!" if chart.limit is not None and low >= chart.limit else " "
        upto = "…" if index == len(chart.counts) - 1 else f"{high - 1:.0f}"
        bar = _BARS * max(round(_WIDTH * count / most), 1 if count else 0)
        lines.append(f"{low:4.0f}–{upto:<4}{beyond} {bar} {count}")
    return lines


def curve_line(chart: Curve) -> str:
    """A curve as one line of blocks, its ends and its limit in numbers."""
    values = [chart.y[round(index * (len(chart.y) - 1) / (_WIDTH - 1))] for index in range(_WIDTH)]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    line = "".join(_SPARKS[round((value - low) / span * (len(_SPARKS) - 1))] for value in values)
    limit = "" if chart.limit is None else f", limit {chart.limit:.3g}"
    return f"{chart.title}: {chart.y[0]:.3g} {line} {chart.y[-1]:.3g}{limit}"
