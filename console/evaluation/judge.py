"""The operator as the judge of an evaluation: lays the cube where the guide says, watches, and says what came of it.

The policy acts alone: keys begin and end trials, and none of them moves the arm.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from console.errors import ConsoleError
from console.evaluation.grid import Placement, make_grid
from console.evaluation.placement_guide import drawn, told
from console.report.data import Evaluation, Trial
from console.settings import Settings
from robot.env import ArmEnv, GymObservation
from robot.safety.emergency import EmergencyStop
from teleop.events import EventLatch, TeleopEvent
from teleop.keyboard.device import Keyboard
from teleop.takeover import Verdict

UNFINISHED_FILE = "evaluation.unfinished.json"  # what a person has judged of an evaluation that was left
_VERDICTS = {
    TeleopEvent.SUCCESS: Verdict.SUCCESS,
    TeleopEvent.FAILURE: Verdict.FAILURE,
    TeleopEvent.RERECORD: Verdict.RERECORD,
}


class OperatorJudge:
    """Someone with a key for success and one for failure. latch: what is pressed; keyboard: shows what is awaited."""

    def __init__(
        self, latch: EventLatch, keyboard: Keyboard, settings: Settings, trials: int, console: Console
    ) -> None:
        self._latch, self._keyboard, self._console, self._trials = latch, keyboard, console, trials
        self._grid, self._period_s = make_grid(settings), 1 / settings.contract.control_hz
        self._keys = settings.teleop.keyboard.keys

    def await_cube(self, env: ArmEnv, placement: Placement, number: int) -> tuple[GymObservation, dict[str, Any]]:
        """Say where the cube goes in this trial, and wait for the key that begins it; what is seen then."""
        for line in drawn(self._grid, placement):
            self._say(line)
        place = told(number, self._trials, placement.start.cube)
        question = f"{place}; `{self._keys.success}` begins it, and the arm moves by itself"
        _, seen, info = self._answer(env, {TeleopEvent.SUCCESS: Verdict.SUCCESS}, question)
        self._say(f"the policy acts: `{self._keys.success}` when it is done, `{self._keys.failure}` when it has failed")
        return seen, info

    def verdict(self) -> Verdict | None:
        """What was said since the last step; None while the trial may go on."""
        said = [_VERDICTS[event] for event in self._latch.take() if event in _VERDICTS]
        return said[0] if said else None

    def verdict_at_time_out(self, env: ArmEnv) -> Verdict:
        """Ask for it, the arm holding still."""
        keys = self._keys
        question = (
            f"time is up: `{keys.success}` if it has done the task, `{keys.failure}` if not, `{keys.rerecord}` to make "
            f"the trial anew"
        )
        return self._answer(env, _VERDICTS, question)[0]

    def tell(self, trials: list[Trial]) -> None:
        """What was counted last, so that a wrong key is noticed."""
        self._say(told_trial(trials), style="green" if trials[-1].success else "red")

    def _answer(
        self, env: ArmEnv, answers: dict[TeleopEvent, Verdict], question: str
    ) -> tuple[Verdict, GymObservation, dict[str, Any]]:
        """The answer to a question, and what is seen then. The arm is watched meanwhile: a fault raises `ArmFault`."""
        self._latch.take()  # what was pressed before the question is no answer
        self._say(question, style="bold")
        self._keyboard.ask(question)
        while True:
            seen, info = env.look()
            said = [answers[event] for event in self._latch.take() if event in answers]
            if said:
                self._keyboard.ask("")
                return said[0], seen, info
            time.sleep(self._period_s)

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def told_trial(trials: list[Trial]) -> str:
    """What came of the last one, and how many have succeeded so far."""
    last, successes = trials[-1], sum(trial.success for trial in trials)
    result = "success" if last.success else "failure"
    return f"{result} after {last.steps} steps; {successes} of {len(trials)} so far"


@contextmanager
def opened_judge(
    settings: Settings, trials: int, emergency: EmergencyStop, console: Console
) -> Iterator[OperatorJudge | None]:
    """The operator with keys, while this lasts; None where the simulator judges.

    Raises `ConsoleError` where a person would judge a world that does not wait, `TeleopError` where there are no keys.
    """
    if settings.task.judge != "operator":
        yield None
        return
    if settings.loop.pace != "realtime":
        raise ConsoleError(
            f"loop.pace: got {settings.loop.pace}, whose simulated world runs as fast as it can, but a person judges "
            f"(task.judge operator); set loop.pace to realtime, or task.judge to simulator"
        )
    latch = EventLatch(emergency.press, emergency.reset)
    with Keyboard(settings.teleop.keyboard, settings.contract, latch, drives=False) as keyboard:
        keys = settings.teleop.keyboard.keys
        for line in (
            keyboard.source,
            f"{keys.success}: begins a trial; in it: success",
            f"{keys.failure}: failure",
            f"{keys.rerecord}: the trial does not count and is made anew",
            f"{keys.emergency_stop}: emergency stop, which {keys.pause} ends",
        ):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        yield OperatorJudge(latch, keyboard, settings, trials, console)


def unfinished_trials(folder: Path, conditions: dict[str, str], policy_version: int) -> list[Trial]:
    """What was judged of this policy, under these conditions, before an evaluation was left; empty where none was."""
    path = folder / UNFINISHED_FILE
    if not path.is_file():
        return []
    try:
        kept = Evaluation.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConsoleError(f"{path}: no trials of this version; remove it to begin anew.\n{error}") from error
    same = (kept.conditions, kept.policy_version) == (conditions, policy_version)
    return list(kept.trials) if same else []
