"""The emergency stop: pressed by anyone, from any thread or signal handler; it stays pressed until it is reset."""

from __future__ import annotations


class EmergencyStop:
    """One per arm. One assignment each, so no lock is needed."""

    def __init__(self) -> None:
        self._pressed_by = ""

    @property
    def pressed_by(self) -> str:
        """Who pressed it first; empty while nobody has."""
        return self._pressed_by

    @property
    def is_pressed(self) -> bool:
        """Whether the arm must not move: the `stop` of a motion."""
        return bool(self._pressed_by)

    def press(self, who: str) -> None:
        """Stop the arm: the guard says so at the next tick, a motion at its next write.

        who: a key, a button, a device; the operator reads it
        """
        self._pressed_by = self._pressed_by or who or "someone"

    def reset(self) -> bool:
        """Let the arm move again: only ever because a person asked for it. Whether it was pressed."""
        pressed, self._pressed_by = self.is_pressed, ""
        return pressed
