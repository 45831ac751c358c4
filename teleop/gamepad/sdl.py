"""Pads through SDL's game controller database: SDL knows hundreds of them, and makes all look like an Xbox pad.

pygame is the binding; of it only `display` (on the dummy driver: events need one), `joystick` and `controller` start.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from teleop.errors import TeleopError
from teleop.gamepad.backend import Candidate
from teleop.gamepad.mapping import RawState
from teleop.gamepad.state import BUTTONS, PadState

if TYPE_CHECKING:
    from types import ModuleType

    from pygame._sdl2.controller import Controller
    from pygame.event import Event

UNMAPPED = "SDL does not know which of its controls is which; `nudge gamepad --map` asks you"
GUID_CRC = slice(4, 8)  # hex digits of a GUID with a checksum of the name, which mappings may leave out


def import_pygame() -> tuple[ModuleType, ModuleType]:
    """pygame and its controller module, without a greeting, and without the warning of how pygame finds its files."""
    with _environment({"PYGAME_HIDE_SUPPORT_PROMPT": "1"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
        import pygame
        from pygame._sdl2 import controller
    return pygame, controller


class SdlBackend:
    """SDL in this process. Everything, start and end too, happens in the thread that enters it."""

    name = "sdl"

    def __init__(self, mapping: str = "") -> None:
        """mapping: a mapping string that wins over SDL's own; empty for none."""
        self._mapping = mapping
        self._pygame, self._controller = import_pygame()

    def __enter__(self) -> Self:
        try:
            with _environment(self._hints()):
                self._pygame.display.init()
                self._pygame.joystick.init()
                self._controller.init()
        except self._pygame.error as error:
            self.__exit__()
            raise TeleopError(f"gamepad: SDL does not start ({error}); try --teleop.gamepad.backend hid") from error
        return self

    def __exit__(self, *exc: object) -> None:
        self._controller.quit()
        self._pygame.joystick.quit()
        self._pygame.display.quit()

    def _hints(self) -> dict[str, str]:
        hints = {
            "SDL_VIDEODRIVER": "dummy",
            "SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS": "1",
            # SDL would take SIGTERM, which stops the actor, and make an event of it that nobody reads.
            "SDL_NO_SIGNAL_HANDLERS": "1",
        }
        hints = {name: value for name, value in hints.items() if name not in os.environ}
        if self._mapping:
            known = os.environ.get("SDL_GAMECONTROLLERCONFIG", "")
            hints["SDL_GAMECONTROLLERCONFIG"] = f"{known}\n{self._mapping}".strip()
        return hints

    def candidates(self) -> list[Candidate]:
        """The joysticks that SDL sees; those without a mapping are unfit."""
        self._pygame.event.get()  # lets SDL notice what was plugged in and out; no pad is open whose events were lost
        return [self._candidate(index) for index in range(self._controller.get_count())]

    def _candidate(self, index: int) -> Candidate:
        joystick = self._pygame.joystick.Joystick(index)
        mapped = self._controller.is_controller(index)
        guid = joystick.get_guid()
        name = str(self._controller.name_forindex(index) if mapped else joystick.get_name())
        return Candidate(self.name, name, (guid,), index, "" if mapped else UNMAPPED)

    def raw(self, candidate: Candidate) -> RawJoystick:
        """One of `candidates()` without a mapping; the pad's own numbers of axes and buttons."""
        return RawJoystick(self._pygame, candidate)

    def open(self, candidate: Candidate) -> SdlPad:
        """Open one of `candidates()`, before anything else is plugged in or out."""
        meant = self._mapping[:32].lower()
        if meant and not _same_kind(meant, candidate.ids[0]):
            raise TeleopError(
                f"gamepad {candidate}: the setting `mapping` is for a pad with the GUID {meant}; make one for this pad "
                f"with `nudge gamepad --map`, or take the setting away"
            )
        try:
            return SdlPad(self._pygame, self._controller.Controller(candidate.where), candidate)
        except self._pygame.error as error:
            raise TeleopError(
                f"gamepad {candidate}: SDL cannot open it ({error}); plug it in anew, and see that you may read "
                f"/dev/input/event* (group `input`)"
            ) from error


class SdlPad:
    """A pad that SDL has open. Its states come from SDL's events: what was pressed and let go between is there."""

    streams = False  # SDL is silent while nothing changes

    def __init__(self, pygame: ModuleType, controller: Controller, candidate: Candidate) -> None:
        self.candidate = candidate
        self._pygame, self._controller = pygame, controller
        self._id = self._controller.as_joystick().get_instance_id()
        axes = range(pygame.CONTROLLER_AXIS_MAX)
        self._axes = [self._controller.get_axis(axis) for axis in axes]
        self._pressed = {button for index, button in enumerate(BUTTONS) if self._controller.get_button(index)}
        self._news = [self._state()]
        self._gone = False

    def poll(self) -> list[PadState] | None:
        """See `Pad`. SDL lets go of all buttons and sticks before it tells that a pad is gone."""
        if self._gone:
            return None
        for event in self._pygame.event.get():
            if getattr(event, "instance_id", None) == self._id:
                self._heed(event)
        news, self._news = self._news, []
        return news

    def close(self) -> None:
        """See `Pad`."""
        self._controller.quit()

    def _heed(self, event: Event) -> None:
        pygame = self._pygame
        if event.type == pygame.CONTROLLERDEVICEREMOVED:
            self._gone = True
        elif event.type == pygame.CONTROLLERAXISMOTION:
            self._axes[event.axis] = event.value
            self._news.append(self._state())
        elif event.type in (pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLERBUTTONUP) and event.button < len(BUTTONS):
            change = self._pressed.add if event.type == pygame.CONTROLLERBUTTONDOWN else self._pressed.discard
            change(BUTTONS[event.button])
            self._news.append(self._state())

    def _state(self) -> PadState:
        """Sticks are -32768..32767, to the right and towards the person; triggers 0..32767."""
        left_x, left_y, right_x, right_y, left_trigger, right_trigger = (max(-1.0, it / 32767) for it in self._axes)
        return PadState(left_x, -left_y, right_x, -right_y, left_trigger, right_trigger, frozenset(self._pressed))


class RawJoystick:
    """A joystick as it is wired, to make a mapping of it."""

    def __init__(self, pygame: ModuleType, candidate: Candidate) -> None:
        self.candidate = candidate
        self._pygame = pygame
        self._joystick = pygame.joystick.Joystick(candidate.where)

    def state(self) -> RawState:
        """How it stands now."""
        self._pygame.event.get()
        joystick = self._joystick
        return RawState(
            tuple(joystick.get_axis(index) for index in range(joystick.get_numaxes())),
            tuple(joystick.get_button(index) for index in range(joystick.get_numbuttons())),
            tuple(joystick.get_hat(index) for index in range(joystick.get_numhats())),
        )


def _same_kind(one: str, other: str) -> bool:
    def bare(guid: str) -> str:
        return guid[: GUID_CRC.start] + guid[GUID_CRC.stop :]

    return bare(one) == bare(other)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set variables of this process while SDL reads them; processes that are started later inherit none of it."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
