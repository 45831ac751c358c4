"""The parts of the main page as HTML: each is made anew when what it shows has changed, once for all who look."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from console.dashboard import figures
from console.dashboard.advice import Advising
from console.dashboard.evaluating import Evaluating
from console.dashboard.reading import actors, alerts, band, key_numbers, phase
from console.dashboard.run_state import RunState
from console.dashboard.seams import Coach
from console.evaluation.grid import make_grid
from console.report.data import Evaluation, ReportError
from console.report.figures import TrainingCurve, success_map
from console.report.page import training_curve
from console.terminal.key_numbers import share
from console.terminal.words import BUTTONS
from console.web.templates import page_template
from learner.evaluations import EVALUATION_FILE

RECENT_EPISODES = 200  # behind the map of training


class Parts:
    """Makes the parts of one run. One thread at a time.

    coach, evaluating: None where there is none
    """

    def __init__(self, coach: Coach | None = None, evaluating: Evaluating | None = None) -> None:
        self._evaluating = evaluating
        self._advising = None if coach is None else Advising(coach)
        self._templates: dict[str, jinja2.Template] = {}
        self._made: dict[str, tuple[Hashable, Any]] = {}

    def render(self, state: RunState) -> dict[str, Markup]:
        """All parts by name."""
        curve = self._once("reckoned curve", state.finished, lambda: training_curve(state.summaries()))
        words, mood = phase(state)
        newest = state.newest
        now = {
            "top": self._html("top", words=words, mood=mood),
            "band": self._html("band", band=band(state)),
            "chance": self._html("chance", probability=None if newest is None else newest.probability),
            "buttons": self._html("buttons", words=BUTTONS if state.alive else {}),
            "evaluation": self._html("evaluation", view=None if self._evaluating is None else self._evaluating.view()),
            "actors": self._html("actors", actors=actors(state)),
            "numbers": self._html("numbers", numbers=key_numbers(state, curve)),
            "alerts": self._html("alerts", alerts=alerts(state)),
        }
        evaluation = state.folder / EVALUATION_FILE
        return now | {
            "curve": self._once("curve", state.finished, lambda: self._curve(state, curve)),
            "advice": self._advice(state),
            "maps": self._once("maps", (state.finished, _stamp(evaluation)), lambda: self._maps(state)),
            "panels": self._once("panels", state.metrics.readings, lambda: self._panels(state)),
        }

    def _once(self, name: str, key: Hashable, make: Callable[[], Any]) -> Any:
        """What was made for this key, or make it."""
        made = self._made.get(name)
        if made is None or made[0] != key:
            made = self._made[name] = (key, make())
        return made[1]

    def _html(self, name: str, **shown: Any) -> Markup:
        if name not in self._templates:
            self._templates[name] = page_template(f"dashboard/parts/{name}.html.j2", share=share)
        return Markup(self._templates[name].render(shown))  # it escapes what it shows

    def _curve(self, state: RunState, curve: TrainingCurve) -> Markup:
        figure = figures.training(curve) if len(curve.env_steps) else None
        demonstrations = sum(each.kind == "demo" and each.complete for each in state.episodes.values())
        return self._html("curve", figure=figure, demonstrations=demonstrations)

    def _panels(self, state: RunState) -> Markup:
        bound = state.settings.learner.sac.reward_scale
        return self._html("panels", panels=figures.metric_panels(state.metrics, bound))

    def _advice(self, state: RunState) -> Markup:
        advising = self._advising
        if advising is None:
            return Markup()
        advising.look(state)
        return self._html("advice", advice=advising.advice, problem=advising.problem)

    def _maps(self, state: RunState) -> Markup:
        return self._html("maps", maps=[*_evaluated(state), *_trained(state)])


def _evaluated(state: RunState) -> list[tuple[str, str, Markup]]:
    """Title, caption and map of the run's evaluation, if there is one."""
    try:
        evaluation = Evaluation.load(state.folder)
    except ReportError as error:
        return [("Evaluation by position", str(error), Markup())]
    if evaluation is None:
        return []
    low, high = evaluation.wilson()
    caption = (
        f"{evaluation.successes} of {len(evaluation.trials)} trials = {evaluation.success_rate():.0%}, 95 % interval "
        f"{low:.1%} to {high:.1%}; policy version {evaluation.policy_version}, the operator silent"
    )
    return [("Evaluation by position", caption, success_map(evaluation.grid, evaluation.by_cell()))]


def _trained(state: RunState) -> list[tuple[str, str, Markup]]:
    """The same of the last online episodes, where the contract tells where the cube was."""
    online = [each for each in state.episodes.values() if each.kind == "online" and each.complete][-RECENT_EPISODES:]
    grid = make_grid(state.settings)
    cells = figures.training_by_cell(online, grid, state.settings.contract)
    if not cells:
        return []
    caption = f"without help, over the last {len(online)} online episodes"
    return [("Training by position", caption, success_map(grid, cells))]


def _stamp(path: Path) -> int:
    """When a file was written; 0 where there is none."""
    return path.stat().st_mtime_ns if path.is_file() else 0
