"""What the arm does about a fault: hold, park, or let go."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from robot.arm import JointBus
from robot.errors import ArmFault, Reaction
from robot.motions import BODY

Vector = NDArray[np.float64]

# A goal that leads by no more carries the arm's weight, and pushes against nothing [rad].
HOLDING_LEAD_RAD = 0.05


class StiffArm(JointBus, Protocol):
    """What a reaction needs of an arm."""

    def park(self) -> None:
        """Travel to rest, as far as the joints have torque. Raises `ArmFault`."""
        ...

    def release(self) -> None:
        """Switch all torque off. Raises `ArmFault`."""
        ...


def react(arm: StiffArm, fault: ArmFault, commanded_rad: Vector) -> Reaction | None:
    """Do what a fault asks for; what goes wrong meanwhile becomes a note of the fault.

    An arm that cannot be parked is let go. One that cannot be held is left alone: its servos hold what they were last
    told, and to let go would drop it.

    commanded_rad: (6,) the last command [rad]

    Returns what was done at last; None where the arm could not even be let go.
    """
    doing = fault.reaction
    try:
        if doing is Reaction.HOLD:
            arm.write_goals(standing(commanded_rad, arm.read_joints()))
        elif doing is Reaction.PARK:
            arm.park()
    except ArmFault as later:
        fault.add_note(f"and when it should {doing.value}: {later}")
        doing = Reaction.RELEASE if doing is Reaction.PARK else doing
    if doing is Reaction.HOLD:
        return doing
    try:
        arm.release()
    except ArmFault as later:
        fault.add_note(f"and when it should let go: {later}")
        return None
    return doing


def standing(commanded_rad: Vector, measured_rad: Vector) -> Vector:
    """Goals (6,) [rad] that keep an arm where it is: the last command, as near to the measured joints as holding needs.

    To command what was measured would sag under gravity, each time anew; the gripper goes on holding what it holds.
    """
    goals = commanded_rad.copy()
    low, high = measured_rad - HOLDING_LEAD_RAD, measured_rad + HOLDING_LEAD_RAD
    goals[BODY] = np.clip(commanded_rad, low, high)[BODY]
    return goals
