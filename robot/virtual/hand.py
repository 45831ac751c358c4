"""A person's hand on an arm: it moves joints that do not resist too much, along a path in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from robot.arm import JOINT_NAMES
from robot.virtual.errors import VirtualArmError
from robot.virtual.servo import Drive

# Seconds since the hand took hold -> angle [rad] of each joint that it holds; it lets go of the others.
Path = Callable[[float], Mapping[str, float]]


class Hand:
    """Holds nothing until it is given a path. One assignment replaces the path, so no lock is needed."""

    def __init__(self) -> None:
        self._motion: tuple[Path, float] | None = None

    def follow(self, path: Path, now_s: float) -> None:
        """Take hold now, and move along a path."""
        self._motion = (path, now_s)

    def release(self) -> None:
        """Let go."""
        self._motion = None

    def drives(self, now_s: float) -> list[Drive | None]:
        """Where it wants each joint now, in the order of `JOINT_NAMES`; None for those that it does not hold."""
        if self._motion is None:
            return [None] * len(JOINT_NAMES)
        path, begun_s = self._motion
        angles = path(now_s - begun_s)
        return [Drive(angles[name]) if name in angles else None for name in JOINT_NAMES]


def waypoints(points: Sequence[tuple[float, Mapping[str, float]]]) -> Path:
    """A path through angles [rad] at times [s], held before the first and after the last.

    Every point names the same joints. Between two points it starts and ends without speed, as hands do.
    """
    require_joints(points[0][1] if points else {})
    times = [at_s for at_s, _ in points]
    joints = set(points[0][1])
    if any(set(angles) != joints for _, angles in points) or times != sorted(times):
        raise VirtualArmError(
            f"path of a hand: got times {times} with joints {[sorted(angles) for _, angles in points]}, expected "
            f"rising times, each with the same joints"
        )

    def path(elapsed_s: float) -> Mapping[str, float]:
        later = next((index for index, at_s in enumerate(times) if at_s > elapsed_s), None)
        if later is None or later == 0:
            return points[-1 if later is None else 0][1]
        (start_s, start), (end_s, end) = points[later - 1], points[later]
        share = (elapsed_s - start_s) / (end_s - start_s)
        share *= share * (3 - 2 * share)
        return {name: start[name] + share * (end[name] - start[name]) for name in joints}

    return path


def require_joints(angles: Mapping[str, float]) -> None:
    """Raise `VirtualArmError` unless these are one or more of the arm's joints."""
    unknown = set(angles) - set(JOINT_NAMES)
    if unknown or not angles:
        raise VirtualArmError(f"joints: got {sorted(angles)}, expected some of {', '.join(JOINT_NAMES)}")
