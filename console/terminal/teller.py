"""What the actor's terminal says of its episodes, and who is in control: always in the last line."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from rich.text import Text

from actor.episode import EpisodeOutcome
from console.terminal.actor_view import ActorView
from console.terminal.last_lines import LastLines
from console.terminal.telling import TOLD, tell
from policy.experience import Reason
from robot.cameras.drift import Finding, Severity
from robot.errors import ArmFault
from teleop.takeover import Control, Verdict

REDRAW_S = 0.25  # each takes the interpreter from the control loop for a moment

_CONTROL = {
    Control.POLICY: "[bold white on blue] the policy drives [/]",
    Control.ALIGNING: "[bold black on yellow] nobody drives [/] the device does not follow your hand yet",
    Control.HUMAN: "[bold white on red] you drive [/]",
    Control.RELEASING: "[bold white on blue] the policy drives [/] the device returns to the arm's pose",
}
_LEVELS = {"yellow": logging.WARNING, "red": logging.ERROR}
_A_PROGRAM = "[bold white on red] the operator drives [/]"
_NOBODY = "[bold black on yellow] nobody drives [/] until the next episode begins"


class Teller:
    """Tells the terminal, a line or two each.

    person: who drives is worth a line of its own, the last one
    view: what stands above that line, in a terminal; None: nothing does
    """

    def __init__(self, console: Console, *, person: bool, view: ActorView | None = None) -> None:
        self._console, self._person, self._view = console, person, view
        self._last = ""
        seen = console.is_terminal and not console.quiet and (person or view is not None)
        self._last_lines = LastLines(console, self._lines, REDRAW_S) if seen else None

    def __enter__(self) -> Self:
        if self._last_lines is not None:
            self._last_lines.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._last_lines is not None:
            self._last_lines.__exit__(kind, error, at)

    def episode_began(self, episode: int, *, demonstrating: bool) -> None:
        """Nothing: who is in control says it."""

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        """One line."""
        self._last = _NOBODY
        if self._view is not None:
            self._view.ended(outcome)
        kind = "demonstration" if outcome.demonstration else "episode"
        result = "[green]success[/]" if outcome.success else "no success"
        said = escape(_who_said_so(outcome))
        helped = f", {outcome.human_steps} by the operator" if outcome.human_steps and not outcome.demonstration else ""
        cut = ", cut by a fault" if outcome.fault else f", cut: {escape(outcome.cut)}" if outcome.cut else ""
        refused = (
            f", [red]refused[/]: {escape(outcome.rejected)}"
            if outcome.rejected and outcome.rejected != outcome.cut
            else ""
        )
        line = f"{outcome.env_steps:6d}  {kind} {outcome.episode}: {result}{said} in {outcome.steps} steps"
        tell(self._console, Text.from_markup(f"{line}{helped}{cut}{refused}"))
        if outcome.disputed and outcome.opinion is not None:
            would = "would pay" if outcome.opinion.pays else "would not pay"
            self._say("yellow", f"        your key and the classifier disagree: it {would}: {outcome.opinion.told}")

    def arm_faulty(self, fault: ArmFault) -> None:
        """With what went wrong besides."""
        self._say("red", "\n  ".join((str(fault), *getattr(fault, "__notes__", ()))))

    def arm_sound(self) -> None:
        """One line."""
        self._say("green", "the arm is sound again")

    def operator_awaited(self, wish: str) -> None:
        """In the last line, for as long as it is true."""
        self._show(f"[bold black on yellow] waiting for you [/] {escape(wish)}", wish)
        if self._console.quiet:  # without it nothing goes on
            self._say("yellow", f"waiting for you: {wish}")

    def control_changed(self, control: Control) -> None:
        """In the last line."""
        by_program = control is Control.HUMAN and not self._person
        self._show(_A_PROGRAM if by_program else _CONTROL[control], control.value)

    def device_lost(self, what: str) -> None:
        """One line."""
        self._say("red", what)

    def camera_drifted(self, finding: Finding) -> None:
        """In red where pictures no longer mean what they meant."""
        self._say("red" if finding.severity is Severity.SEVERE else "yellow", str(finding))

    def _show(self, markup: str, plain: str) -> None:
        """The last line; a log file gets it as a line, and of a program no terminal does."""
        self._last = markup
        if self._last_lines is None and self._person:
            self._say("", f"  control: {plain}")
        else:
            TOLD.info("control: %s", plain)

    def _lines(self, size: ConsoleDimensions) -> list[Text]:
        above = [] if self._view is None else self._view.lines(size)
        return [*above, Text.from_markup(self._last)]

    def _say(self, style: str, text: str) -> None:
        tell(self._console, text, _LEVELS.get(style, logging.INFO), style)


def _who_said_so(outcome: EpisodeOutcome) -> str:
    """By whom an episode was judged, where more than one may, and what the classifier thought of its last frame."""
    if outcome.opinion is None:
        return ""
    by_key = outcome.verdict in (Verdict.SUCCESS, Verdict.FAILURE)
    by = " by your key" if by_key else " by the classifier" if outcome.success else ""
    # A picture that looks like success and is not paid for raises the question why.
    doubted = not (outcome.success or by_key) and outcome.opinion.judgement.reason is not Reason.UNLIKELY
    why = f" ({outcome.opinion.told})" if doubted else ""
    return f"{by}, p {outcome.opinion.judgement.probability:.2f}{why},"
