"""What `nudge actor` shows in its terminal above who drives: all that this process knows of the run."""

from __future__ import annotations

import time

from rich.console import ConsoleDimensions
from rich.text import Text

from actor.episode import EpisodeOutcome
from actor.judging import ClassifierJudge
from actor.link import LearnerLink, LinkStatus
from actor.state_board import StateBoard
from actor.timing import LoopTiming
from console.terminal.key_lines import MOODS, key_lines
from console.terminal.key_numbers import KeyNumber, Mood, ago, share
from console.web.svg import number

WINDOW_EPISODES = 20


class ActorView:
    """Reads what others keep, in one thread; `ended` is for the control loop's.

    judge: None where no classifier judges
    """

    def __init__(self, link: LearnerLink, board: StateBoard, timing: LoopTiming, judge: ClassifierJudge | None) -> None:
        self._link, self._board, self._timing, self._judge = link, board, timing, judge
        self._ended: tuple[EpisodeOutcome, ...] = ()

    def ended(self, outcome: EpisodeOutcome) -> None:
        """An episode is over; demonstrations rate nobody."""
        if not outcome.demonstration:
            self._ended = (*self._ended, outcome)[-WINDOW_EPISODES:]

    def lines(self, size: ConsoleDimensions) -> list[Text]:
        """The state now, in lines for a terminal of this size."""
        state = self._board.state
        wrong = [Text(state.fault, style=MOODS["bad"])] if state.fault else []
        paused = [Text("paused by the operator", style=MOODS["warn"])] if state.paused else []
        return [*key_lines(self._numbers(), size.width), *wrong, *paused]

    def line(self) -> str:
        """What it came to, in one line."""
        return "; ".join(f"{each.label} {each.value} {each.detail}" for each in self._numbers())

    def _numbers(self) -> list[KeyNumber]:
        return [*self._episode(), *self._rates(), *self._policy(), *self._learner(), *self._late()]

    def _episode(self) -> list[KeyNumber]:
        state = self._board.state
        if state.episode is None:
            return []
        kind = "demonstration" if state.demonstrating else "episode"
        found = [KeyNumber(kind, number(state.episode), f"step {number(state.steps)}")]
        opinion = None if self._judge is None else self._judge.newest
        if opinion is not None:
            found.append(KeyNumber("success", f"{opinion.judgement.probability:.2f}", opinion.told))
        return found

    def _rates(self) -> list[KeyNumber]:
        """As the dashboard has them, of the episodes that this process has seen."""
        ended = self._ended
        if not ended:
            return []
        window = f"of the last {len(ended)} episodes"
        alone = sum(each.success and not each.rejected and not each.human_steps for each in ended) / len(ended)
        by_hand = sum(each.human_steps for each in ended) / sum(each.steps for each in ended)
        return [
            KeyNumber("succeeds alone", share(alone), window),
            KeyNumber("operator drives", share(by_hand), f"of the steps {window}"),
        ]

    def _policy(self) -> list[KeyNumber]:
        arrived = self._link.policy
        if arrived is None:
            return [KeyNumber("policy", "–", "none has come yet")]
        version, came_s = arrived
        return [KeyNumber("policy", number(version), f"came {ago(time.monotonic() - came_s)} ago")]

    def _learner(self) -> list[KeyNumber]:
        """The link and what waits for it."""
        state = self._link.state
        connected = state.status is LinkStatus.CONNECTED
        since = ago(time.monotonic() - state.since_s)
        detail = f"for {since}" if connected else f"for {since}: {state.error}"
        waiting = f"steps wait, the spool is {state.fill:.0%} full"
        if state.pause is not None:
            waiting += f"; {state.pause.cause.value}: {state.pause.reason}"
        return [
            KeyNumber("learner", state.status.value, detail, "good" if connected else "bad"),
            KeyNumber("spool", number(state.waiting_steps), waiting, "warn" if state.filling or state.pause else ""),
        ]

    def _late(self) -> list[KeyNumber]:
        """Where ticks have deadlines."""
        kept = self._timing.deadlines
        if not kept.late.count:
            return []
        mood: Mood = "warn" if kept.overruns else ""
        return [KeyNumber("late ticks", number(kept.overruns), f"of {number(kept.late.count)}", mood)]
