"""Which key does what, for the operator to read."""

from __future__ import annotations

from teleop.keyboard.settings import Keys

_ARROWS = {"up": "↑", "down": "↓", "left": "←", "right": "→"}


def key_table(keys: Keys, *, drives: bool) -> list[tuple[str, str]]:
    """(keys, what they do), the motions only when the keyboard drives the arm."""
    motions = [
        (_pair(keys.forward, keys.back), "away from the base, back towards it"),
        (_pair(keys.left, keys.right), "left, right, as seen from the base"),
        (_pair(keys.higher, keys.lower), "up, down"),
        (_pair(keys.open, keys.close), "open, close the gripper"),
    ]
    events = [
        (keys.toggle, "take over from the policy, give back to it"),
        (keys.success, "success: ends the episode"),
        (keys.failure, "failure: ends the episode"),
        (keys.rerecord, "re-record: throws the episode away"),
        (keys.pause, "pause, and go on"),
        (keys.emergency_stop, "emergency stop"),
    ]
    return (motions if drives else []) + events


def key_lines(keys: Keys, *, drives: bool) -> list[str]:
    """The table as lines for a terminal."""
    rows = key_table(keys, drives=drives)
    width = max(len(names) for names, _ in rows)
    return [f"{names:<{width}}  {purpose}" for names, purpose in rows]


def _pair(one: str, other: str) -> str:
    return f"{_ARROWS.get(one, one)} {_ARROWS.get(other, other)}"
