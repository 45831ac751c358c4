"""What a run came to: writes `report.json` for programs and `report.html` for people.

How figures are drawn is `console.report.figures`; how the page is laid out and worded is `templates/report.html.j2`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from math import ceil
from pathlib import Path
from statistics import median

import numpy as np
from markupsafe import Markup

from console.coach.advice import Coaching
from console.coach.figures import chart_drawing, histogram_drawing
from console.coach.seen import histogram
from console.evaluation.cycle_time import evaluated_cycle
from console.report import figures
from console.report.data import (
    Deviation,
    EpisodeSummary,
    Evaluation,
    Grid,
    MetricsRecord,
    ReportError,
    ReportInputs,
    RunReport,
    TimingRow,
    Trial,
    read_metrics,
)
from console.report.health import health_findings, was_checked
from console.report.metric_figures import MAX_PANELS, metric_names, metric_panels
from console.statistics import running_average, running_ratio
from console.web.svg import number
from console.web.templates import page_template
from learner.disk import write_atomically

__all__ = [
    "Deviation",
    "EpisodeSummary",
    "Evaluation",
    "Grid",
    "MetricsRecord",
    "ReportError",
    "ReportInputs",
    "RunReport",
    "TimingRow",
    "Trial",
    "read_metrics",
    "summarise",
    "write_report",
]

RECENT_EPISODES = 50  # behind the figures named `_last_50`
CURVE_WINDOW = 20  # episodes of the running averages
INLINE_VIDEO_BYTES = 8_000_000
_MOST_BARS = 16


def write_report(run_folder: Path, inputs: ReportInputs, coaching: Coaching | None = None) -> RunReport:
    """Write `report.json` and `report.html` into the run folder, each whole or not at all; returns the figures.

    coaching: what the coach says of the run; None leaves it out
    Raises `ReportError` when the run folder does not exist.
    """
    if not run_folder.is_dir():
        raise ReportError(f"report: {run_folder} is no folder, expected the folder of a run; check its name")
    report = summarise(run_folder, inputs)
    if coaching is not None:
        report = report.model_copy(update={"advice": tuple(advice.rule for advice in coaching.advice)})
    write_atomically(run_folder / "report.json", (report.model_dump_json(indent=2) + "\n").encode())
    write_atomically(run_folder / "report.html", render(run_folder, inputs, report, coaching).encode())
    return report


def in_order(episodes: Sequence[EpisodeSummary]) -> list[EpisodeSummary]:
    """Episodes as they happened; sessions have random names, so the wall clock orders them."""
    return sorted(episodes, key=lambda episode: (episode.first_wall_ns, episode.index))


def summarise(run_folder: Path, inputs: ReportInputs) -> RunReport:
    """The figures of a run; the folder is only looked at for the video."""
    demos = [episode for episode in inputs.episodes if episode.kind == "demo"]
    online = [episode for episode in in_order(inputs.episodes) if episode.kind == "online"]
    recent = [episode for episode in online if episode.complete][-RECENT_EPISODES:]
    recent_steps = sum(episode.steps for episode in recent)
    evaluation = inputs.evaluation
    interval = evaluation.wilson() if evaluation else None
    env_steps = sum(episode.steps for episode in inputs.episodes)
    cycle = evaluated_cycle(evaluation) if evaluation else None
    cycle_steps = _median([trial.steps for trial in evaluation.trials if trial.success] if evaluation else [])
    demo_cycle_steps = _median([episode.steps for episode in demos if episode.success])
    return RunReport(
        run_name=inputs.run_name,
        autonomous_success=evaluation.success_rate() if evaluation else None,
        trials=len(evaluation.trials) if evaluation else 0,
        wilson_low=interval.low if interval else None,
        wilson_high=interval.high if interval else None,
        success_by_cell={f"{row},{column}": cell for (row, column), cell in evaluation.by_cell().items()}
        if evaluation
        else {},
        env_steps=env_steps,
        demo_steps=sum(episode.steps for episode in demos),
        human_steps=sum(episode.human_steps for episode in online),
        takeovers=len(inputs.takeover_steps),
        takeover_steps=_median(inputs.takeover_steps),
        demo_episodes=len(demos),
        online_episodes=len(online),
        wall_s=inputs.wall_s,
        robot_time_s=env_steps / inputs.control_hz,
        intervention_rate_last_50=sum(e.human_steps for e in recent) / recent_steps if recent_steps else None,
        training_success_last_50=sum(e.autonomous_success for e in recent) / len(recent) if recent else None,
        cycle_steps=cycle_steps,
        cycle_s=None if cycle_steps is None else cycle_steps / inputs.control_hz,
        cycle_low_s=None if cycle is None else cycle.low_s,
        cycle_high_s=None if cycle is None else cycle.high_s,
        demo_cycle_steps=demo_cycle_steps,
        demo_cycle_s=None if demo_cycle_steps is None else demo_cycle_steps / inputs.control_hz,
        updates=inputs.metrics[-1].updates if inputs.metrics else 0,
        effective_utd=_effective_utd(inputs.metrics),
        contract_hash=inputs.contract_hash,
        control_hz=inputs.control_hz,
        seed=inputs.seed,
        preset=inputs.preset,
        deviations=inputs.deviations,
        machine=inputs.machine,
        judge=inputs.judge,
        rewards=inputs.rewards,
        health=health_findings(inputs.metrics),
        missing=tuple(_missing(run_folder, inputs)),
    )


def _missing(run_folder: Path, inputs: ReportInputs) -> list[str]:
    """What the report lacks, in words; empty for a run that went through."""
    online = sum(episode.kind == "online" and episode.complete for episode in inputs.episodes)
    found = [
        (bool(inputs.episodes), "No episodes: the run stopped before the first demonstration was stored."),
        (online > 0, "No complete online episode: there is no learning curve yet."),
        (bool(inputs.metrics), "No metrics of the learner: training did not begin."),
        (inputs.evaluation is not None, "No evaluation: the success of the policy alone is not measured."),
        (bool(inputs.timing), "No timing of the actor's tick."),
    ]
    lacking = [words for there, words in found if not there]
    if inputs.video is None:
        lacking.append("No video: none was recorded.")
    elif not (run_folder / inputs.video).is_file():
        lacking.append(f"No video: {inputs.video} is not in the run folder.")
    return lacking


def _effective_utd(metrics: Sequence[MetricsRecord]) -> float | None:
    """The learner's own figure where it records one, else updates per step between the first and the last record."""
    if not metrics:
        return None
    first, last = metrics[0], metrics[-1]
    if "effective_utd" in last.metrics:
        return last.metrics["effective_utd"]
    steps = last.env_steps - first.env_steps
    return (last.updates - first.updates) / steps if steps > 0 else None


def _median(values: Sequence[float]) -> float | None:
    return float(median(values)) if values else None


def training_curve(episodes: Sequence[EpisodeSummary]) -> figures.TrainingCurve:
    """Running averages over the complete online episodes, against environment steps."""
    ordered = in_order(episodes)
    ends = np.cumsum([episode.steps for episode in ordered])  # (episodes,) steps stored at the end of each
    rated = [(episode, end) for episode, end in zip(ordered, ends, strict=True) if _is_rated(episode)]
    online = [episode for episode, _ in rated]
    return figures.TrainingCurve(
        env_steps=np.array([end for _, end in rated], np.float64),
        alone=running_average([episode.autonomous_success for episode in online], CURVE_WINDOW),
        helped=running_average([episode.success for episode in online], CURVE_WINDOW),
        human_share=running_ratio([e.human_steps for e in online], [e.steps for e in online], CURVE_WINDOW),
        demo_spans=tuple(
            (int(end) - episode.steps, int(end))
            for episode, end in zip(ordered, ends, strict=True)
            if episode.kind == "demo"
        ),
        total_steps=int(ends[-1]) if len(ends) else 0,
        window=CURVE_WINDOW,
    )


def _is_rated(episode: EpisodeSummary) -> bool:
    """Whether an episode counts in curves and rates: online, and seen to its end."""
    return episode.kind == "online" and episode.complete


def _video_source(run_folder: Path, video: str | None) -> str | None:
    """The video within the page while it is small, else its name for a player beside it."""
    if video is None or not (run_folder / video).is_file():
        return None
    path = run_folder / video
    if path.stat().st_size >= INLINE_VIDEO_BYTES:
        return video
    return "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()


def _weak_cells(evaluation: Evaluation) -> list[str]:
    """The cells below the average, weakest first, in words."""
    cells = sorted(evaluation.by_cell().items(), key=lambda item: item[1].rate)
    words = []
    for (row, column), cell in cells:
        if cell.rate < evaluation.success_rate():
            x_m, y_m = evaluation.grid.centre_m(row, column)
            words.append(f"x {100 * x_m:.0f}, y {100 * y_m:+.0f} cm: {cell.successes} of {cell.n}".replace("-", "−"))
    return words


def render(run_folder: Path, inputs: ReportInputs, report: RunReport, coaching: Coaching | None = None) -> str:
    """The page: one HTML document that needs no network."""
    page = page_template("report.html.j2", percent=percent, duration=duration, number=number)
    evaluation = inputs.evaluation
    curve = training_curve(inputs.episodes)
    mark = None
    if evaluation:
        low, high = evaluation.wilson()
        mark = figures.EvaluationMark(evaluation.success_rate(), low, high)
    return page.render(
        inputs=inputs,
        report=report,
        evaluation=evaluation,
        video_source=_video_source(run_folder, inputs.video),
        interval=figures.interval_bar(mark) if mark else None,
        training=figures.training_figures(curve, mark) if len(curve.env_steps) else None,
        success_map=figures.success_map(evaluation.grid, evaluation.by_cell()) if evaluation else None,
        weak_cells=_weak_cells(evaluation) if evaluation else [],
        coaching=coaching,
        chart_drawing=chart_drawing,
        takeover_lengths=_takeover_lengths(inputs.takeover_steps) if inputs.takeover_steps else None,
        panels=metric_panels(inputs.metrics, inputs.q_bound),
        health_checked=was_checked(inputs.metrics),
        left_out=metric_names(inputs.metrics)[MAX_PANELS:],
        period_ms=1000 / inputs.control_hz,
        recent_episodes=min(RECENT_EPISODES, len(curve.env_steps)),
        curve_window=CURVE_WINDOW,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )


def _takeover_lengths(steps: Sequence[int]) -> Markup:
    top = max(steps) + 1
    return histogram_drawing(histogram("Length of takeovers", "steps", steps, max(1, ceil(top / _MOST_BARS)), top))


def percent(value: float | None) -> str:
    """A share as people write it: 0.95 -> '95 %'; one decimal where rounding would hide it."""
    if value is None:
        return "–"
    scaled = round(100 * value, 1)
    return f"{scaled:.0f} %" if scaled == round(scaled) else f"{scaled:.1f} %"


def duration(seconds: float | None) -> str:
    """A time as people say it: 570 -> '9 min 30 s'."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
