"""Keys as they go down and up, from pynput: of the whole desktop, so whoever hears them minds the focus."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

from teleop.errors import TeleopError

LOOK_EVERY_S = 1.0  # whether the listener lives
END_S = 5.0  # for the thread of a listener that has lost its X server

log = logging.getLogger(__name__)


def hears_another(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str:
    """Why pynput would hear no keyboard, or not the one of this terminal; empty when nothing tells so."""
    over_ssh = bool(environment.get("SSH_CONNECTION"))
    if platform == "darwin":
        return "over ssh pynput hears the keyboard of the machine at the other end" if over_ssh else ""
    display = environment.get("DISPLAY", "")
    if not display:
        return "there is no X display for pynput (DISPLAY is not set)"
    if over_ssh and display.startswith((":", "unix:")):
        return f"over ssh pynput hears the keyboard of the screen at the other end (DISPLAY is {display})"
    if environment.get("WAYLAND_DISPLAY") and not environment.get("WINDOWID"):
        return "this terminal is a window of Wayland, whose keys pynput does not hear"
    return ""


class PynputSource:
    """A context in which `on_press` and `on_release` are told the name of each key, from a thread.

    A listener that ends, as with its X server, is started anew as soon as that works; `on_lost` hears of its end.
    """

    def __init__(
        self, on_press: Callable[[str], None], on_release: Callable[[str], None], on_lost: Callable[[], None]
    ) -> None:
        self._on_press, self._on_release, self._on_lost = on_press, on_release, on_lost
        self._ended = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether keys are heard now."""
        return bool(self._listener.is_alive())

    def __enter__(self) -> Self:
        """Begin to listen. Raises `TeleopError` where pynput cannot."""
        self._listener = _listen(self._on_press, self._on_release)
        self._thread = threading.Thread(target=self._keep_listening, name="keyboard", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        _stop(self._listener)

    def _keep_listening(self) -> None:
        lost = False
        while not self._ended.wait(LOOK_EVERY_S):
            if self._listener.is_alive():
                continue
            if not lost:
                self._on_lost()
            try:
                self._listener = _listen(self._on_press, self._on_release)
            except TeleopError:
                lost = True  # `alive` tells so
            else:
                lost = False


def _stop(listener: Any) -> None:
    """Stop a listener. One whose X server goes meanwhile raises whatever Xlib meets, and has ended all the same."""
    if not listener.is_alive():
        return
    try:
        listener.stop()
    except Exception as error:
        listener.join(END_S)
        if listener.is_alive():
            raise
        log.info("keyboard: its X server went while it was closed: %r", error)


def _listen(on_press: Callable[[str], None], on_release: Callable[[str], None]) -> Any:
    """A pynput listener that hears."""
    try:
        from pynput import keyboard  # looks for a screen while it is imported
    except ImportError as error:
        raise _unfit(error) from error

    class Listener(keyboard.Listener):  # type: ignore[misc]  # pynput has no types
        """Does not leave who waits for it waiting when it fails."""

        failure: Exception | None = None

        def run(self) -> None:
            try:
                super().run()
            except Exception as failure:  # noqa: BLE001  # whatever the backend meets; who started it raises it
                self.failure = failure
            finally:
                self._mark_ready()

    def name(key: Any) -> str:
        if isinstance(key, keyboard.Key):
            return str(key.name)
        character = getattr(key, "char", None)
        return str(character).lower() if character else f"code {getattr(key, 'vk', None)}"

    listener = Listener(on_press=lambda key: on_press(name(key)), on_release=lambda key: on_release(name(key)))
    listener.start()
    listener.wait()
    if listener.failure is not None or not listener.is_alive():
        raise _unfit(listener.failure)
    if not getattr(listener, "IS_TRUSTED", True):
        listener.stop()
        raise TeleopError(
            "keyboard: macOS does not let this terminal hear the keyboard; allow it in System Settings, Privacy & "
            "Security, Accessibility, and start it anew; or set teleop.keyboard.source terminal"
        )
    return listener


def _unfit(error: Exception | None) -> TeleopError:
    told = (str(error).strip().splitlines() or [type(error).__name__])[0] if error else "its listener ended at once"
    return TeleopError(
        f"keyboard: pynput cannot listen here ({told}), expected an X screen with the RECORD extension, or macOS; set "
        f"DISPLAY to the screen of this keyboard, or set teleop.keyboard.source terminal"
    )
