"""What `nudge learner` shows in its terminal: the state that the dashboard shows, read by the same eyes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, ConsoleDimensions
from rich.text import Text

from console.dashboard.child import told_address
from console.dashboard.reading import actors, alerts, band, key_numbers, phase
from console.dashboard.run_state import RunState, RunWatch
from console.report.figures import TrainingCurve
from console.report.page import training_curve
from console.settings import Settings
from console.stopping import Child
from console.terminal.key_lines import MOODS, key_lines
from console.terminal.key_numbers import KeyNumber, ago
from console.terminal.last_lines import LastLines
from console.terminal.telling import tell
from console.web.svg import number
from nudge.v1 import learner_pb2 as pb

REDRAW_S = 1.0  # nobody reads faster, and training goes on meanwhile
LINE_EVERY_S = 60.0  # in a log file

_BANDS: Mapping[str, str] = {
    "policy": "bold white on blue",
    "human": "bold white on red",
    "demo": "bold black on green",
    "nobody": "bold black on yellow",
    "silent": "white on bright_black",
}


class LearnerView:
    """The run as this process knows it. One thread at a time.

    status: the learner's own answer, over no wire
    dashboard: the one beside this learner, if there is one
    """

    def __init__(self, settings: Settings, status: Callable[[], pb.StatusReply], dashboard: Child | None) -> None:
        self._settings, self._dashboard = settings, dashboard
        self._watch = RunWatch(settings, _Here(status), ask_every_s=0.0)
        self._curve: tuple[int, TrainingCurve] | None = None

    def lines(self, size: ConsoleDimensions) -> list[Text]:
        """The state now, in lines for a terminal of this size."""
        state = self._watch.look()
        return [
            self._head(state),
            *key_lines(self._numbers(state), size.width),
            Text(told_address(self._settings, self._dashboard), style="dim"),
            *(Text(each, style=MOODS["warn"]) for each in actors(state)),
            *(Text(f"{each.title}: {each.detail}", style=MOODS[each.mood]) for each in alerts(state)),
        ]

    def line(self) -> str:
        """The same in one line, for a file."""
        state = self._watch.look()
        control = band(state)
        figures = (f"{each.label} {each.value}" for each in self._numbers(state))
        wrong = (*actors(state), *(f"{each.title}: {each.detail}" for each in alerts(state)))
        return "; ".join((phase(state)[0], f"in control: {control.words}, {control.detail}", *figures, *wrong))

    def close(self) -> None:
        """Look no more."""
        self._watch.close()

    def _head(self, state: RunState) -> Text:
        """Who is in control, as on the dashboard, and what the learner does."""
        control, (words, mood) = band(state), phase(state)
        head = Text()
        head.append(f" {control.words} ", style=_BANDS[control.css])
        head.append(f" {words}", style=MOODS[mood])
        head.append(f" · {control.detail}")
        if state.newest is not None and state.newest.probability is not None:
            head.append(f", looks like success {state.newest.probability:.2f}")
        return head

    def _numbers(self, state: RunState) -> list[KeyNumber]:
        if self._curve is None or self._curve[0] != state.finished:
            self._curve = state.finished, training_curve(state.summaries())
        return [*key_numbers(state, self._curve[1]), *_replay(state), *_actors(state)]


class _Here:
    """The learner of this process (`console.dashboard.run_state.Asked`)."""

    def __init__(self, status: Callable[[], pb.StatusReply]) -> None:
        self._status = status

    def ask(self) -> pb.StatusReply:
        """It always answers."""
        return self._status()

    def close(self) -> None:
        """Nothing was opened."""


@contextmanager
def shown(view: LearnerView, console: Console) -> Iterator[None]:
    """Show it as long as this lasts: at the bottom of a terminal, else a line now and then; on a quiet one nothing."""
    if console.quiet:
        yield
    elif console.is_terminal:
        with LastLines(console, view.lines, REDRAW_S):
            yield
    else:
        with _line_now_and_then(view, console):
            yield


@contextmanager
def _line_now_and_then(view: LearnerView, console: Console) -> Iterator[None]:
    stop = threading.Event()

    def go_on() -> None:
        told = ""
        while not stop.wait(LINE_EVERY_S):
            line = view.line()
            if line != told:
                tell(console, f"{time.strftime('%H:%M:%S')}  {line}")
                told = line

    thread = threading.Thread(target=go_on, daemon=True, name="lines")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _replay(state: RunState) -> list[KeyNumber]:
    """What is sampled from, once training has begun."""
    metrics = {} if state.learner is None else state.learner.metrics
    if "demo_transitions" not in metrics:
        return []
    demos, online = int(metrics["demo_transitions"]), int(metrics["online_transitions"])
    return [KeyNumber("learns from", number(demos), f"transitions of people, {number(online)} online")]


def _actors(state: RunState) -> list[KeyNumber]:
    """Who is connected, and since when nothing has come."""
    told = [] if state.learner is None else state.learner.actors
    connected = [each.actor_id for each in told if each.connected]
    left = [f"{each.actor_id} is away" for each in told if not each.connected]
    since = [] if state.step_age_s is None else [f"last step {ago(state.step_age_s)} ago"]
    return [KeyNumber("actors", number(len(connected)), ", ".join([*connected, *left, *since]))]
