"""From the deflection of sticks and triggers to an action: dead zone, curve and speed."""

from __future__ import annotations

import math

from teleop.gamepad.settings import GamepadSettings, axis_of
from teleop.gamepad.state import PadState

Action = tuple[float, float, float, float]  # x, y, z, gripper, -1..1
STILL: Action = (0.0, 0.0, 0.0, 0.0)


def shaped(deflection: float, settings: GamepadSettings) -> float:
    """0..1 of a deflection 0..1: 0 up to the dead zone, growing from 0 there, 1 from `full_at` on."""
    share = (deflection - settings.dead_zone) / (settings.full_at - settings.dead_zone)
    return float(min(1.0, max(0.0, share)) ** settings.exponent)


def shaped_stick(x: float, y: float, settings: GamepadSettings) -> tuple[float, float]:
    """A stick's (x, y) after dead zone and curve, its direction kept.

    Both are of its distance from the middle: a dead zone of each axis alone would bend slow diagonals to an axis, and a
    curve of each alone would bend fast ones.
    """
    distance = math.hypot(x, y)
    if distance == 0.0:
        return 0.0, 0.0
    # A square gate lets a stick reach (1, 1): capped by `shaped`, so that no direction is faster than another.
    factor = shaped(distance, settings) / distance
    return x * factor, y * factor


def action_of(state: PadState, settings: GamepadSettings) -> Action:
    """What the hand asks for: (x, y, z, gripper), -1..1."""
    left_x, left_y = shaped_stick(state.left_x, state.left_y, settings)
    right_x, right_y = shaped_stick(state.right_x, state.right_y, settings)
    axes = {"left_x": left_x, "left_y": left_y, "right_x": right_x, "right_y": right_y}
    x, y, z = (sign * axes[axis] for axis, sign in map(axis_of, (settings.x, settings.y, settings.z)))
    left, right = shaped(state.left_trigger, settings), shaped(state.right_trigger, settings)
    opening = left - right if settings.closing_trigger == "right" else right - left
    return settings.speed * x, settings.speed * y, settings.speed * z, settings.gripper_speed * opening
