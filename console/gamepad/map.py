"""`nudge gamepad --map`: asks for each control in turn, and writes down which input of the pad it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console

from console.errors import ConsoleError
from console.gamepad.file import MAPPING_AT, mapping_lines, write_mapping
from console.presets.file import CONFIGS, read_preset
from teleop.gamepad.backend import Candidate, choose
from teleop.gamepad.mapping import Control, RawState, mapping_string, moved_input
from teleop.gamepad.sdl import RawJoystick, SdlBackend
from teleop.gamepad.settings import GamepadSettings

LOOK_EVERY_S = 0.01
ARRIVE_S = 0.05  # within which a stick under way comes further
QUIET_S = 0.3  # nothing moves for so long: the controls are let go
WAIT_S = 20.0  # for a person to find a control; then it is left out

PUSHES: tuple[tuple[str, str, bool], ...] = (  # SDL's axis, what to do, whether SDL's axis grows by it
    ("leftx", "push the left stick to the right", True),
    ("lefty", "push the left stick forward, away from you", False),
    ("rightx", "push the right stick to the right", True),
    ("righty", "push the right stick forward, away from you", False),
)
PURPOSES = {
    "take_over": "takes over",
    "success": "says success",
    "failure": "says failure",
    "rerecord": "throws the episode away",
    "pause": "pauses",
    "emergency_stop": "stops the arm at once",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for: SDL's name of the control, of which kind it is, in words, and `grows` of `moved_input`."""

    name: str
    kind: Control
    words: str
    grows: bool = True

    def answer(self, rest: RawState, moved: RawState) -> str | None:
        """The input that was moved, where one was that can be this control."""
        return moved_input(rest, moved, self.kind, grows=self.grows)


def map_pad(settings: GamepadSettings, preset: str, console: Console) -> int:
    """Ask, and write the mapping into the user's preset, or print what to put into one."""

    def tell(text: str) -> None:
        console.print(text, markup=False)

    with SdlBackend() as sdl:
        time.sleep(QUIET_S)  # SDL notices some joysticks after its start
        joystick = sdl.raw(choose([_fit(it) for it in sdl.candidates()], settings.device))
        tell(f"{joystick.candidate.name}: each control once, then let go; what it lacks is left out after {WAIT_S:g} s")
        inputs = Dialogue(joystick, tell).ask(questions(settings))
    mapping = mapping_string(joystick.candidate.ids[0], joystick.candidate.name, inputs)
    tell(save(mapping, preset))
    return 0


def questions(settings: GamepadSettings) -> list[Question]:
    """All that the settings use, sticks first."""
    asked = [Question(axis, "stick", words, grows) for axis, words, grows in PUSHES]
    sides = (settings.closing_trigger, "closes"), ("left" if settings.closing_trigger == "right" else "right", "opens")
    asked += [
        Question(f"{side}trigger", "trigger", f"pull the trigger that {what} the gripper") for side, what in sides
    ]
    for purpose, buttons in settings.buttons.model_dump().items():
        for button in (buttons,) if isinstance(buttons, str) else buttons:
            asked.append(Question(button, "button", f"press the button that {PURPOSES[purpose]} ({button})"))
    return asked


class Dialogue:
    """Asks a person, one control after the other.

    joystick: whose inputs are watched
    tell: shows a line
    """

    def __init__(self, joystick: RawJoystick, tell: Callable[[str], None], wait_s: float = WAIT_S) -> None:
        self._joystick, self._tell, self._wait_s = joystick, tell, wait_s

    def ask(self, asked: list[Question]) -> dict[str, str]:
        """SDL's name of each control that was moved, and of the input that it is.

        Raises `ConsoleError` where none was.
        """
        inputs: dict[str, str] = {}
        for question in asked:
            found = self._answer(question, set(inputs.values()))
            if found is not None:
                inputs[question.name] = found
            self._tell("  nothing came: left out" if found is None else f"  {found}")
        if not inputs:
            raise ConsoleError(
                f"gamepad {self._joystick.candidate}: got no input from it at all; wake it up, see that you may read "
                f"/dev/input/event* (group `input`), and try again"
            )
        return inputs

    def _answer(self, question: Question, taken: set[str]) -> str | None:
        rest = self._let_go()
        self._tell(question.words)
        deadline_s = time.monotonic() + self._wait_s
        while time.monotonic() < deadline_s:
            time.sleep(LOOK_EVERY_S)
            moved = self._joystick.state()
            if question.answer(rest, moved) is None:
                continue
            moved = self._arrived(question, rest, moved)
            rest = self._let_go(moved)
            # Only now is it known where a trigger rests: before its first motion many joysticks tell 0 of it.
            found = question.answer(rest, moved)
            if found is not None and found not in taken:
                return found
            self._tell("  once more, please" if found is None else f"  {found} is in use already; another one, please")
        return None

    def _arrived(self, question: Question, rest: RawState, moved: RawState) -> RawState:
        """Give a stick or a trigger the time to arrive; a tap may be over before."""
        for _ in range(20):
            time.sleep(ARRIVE_S)
            now = self._joystick.state()
            if now.is_near(moved) or question.answer(rest, now) is None:
                break
            moved = now
        return moved

    def _let_go(self, moved: RawState | None = None) -> RawState:
        """The state in which nothing has moved for a while, and which is not that of a control held down."""
        state, since_s = self._joystick.state(), time.monotonic()
        deadline_s = since_s + self._wait_s
        while time.monotonic() < deadline_s:
            held = moved is not None and state.is_near(moved)
            if not held and time.monotonic() - since_s > QUIET_S:
                break
            time.sleep(LOOK_EVERY_S)
            now = self._joystick.state()
            if not now.is_near(state):
                state, since_s = now, time.monotonic()
        return state


def save(mapping: str, preset: str) -> str:
    """Write the mapping into a preset of the user's own; returns what to tell."""
    path = read_preset(preset).path
    if path.resolve().is_relative_to(CONFIGS):
        return (
            f"{path.name} is shipped and stays as it is; put this into a preset of your own:\n"
            f"{mapping_lines(mapping, extends=path.stem)}"
        )
    write_mapping(path, mapping)
    return f"{path} has the mapping, at {'.'.join(MAPPING_AT)}."


def _fit(candidate: Candidate) -> Candidate:
    """A joystick that SDL has no mapping for is what this is for."""
    return Candidate(candidate.backend, candidate.name, candidate.ids, candidate.where)
