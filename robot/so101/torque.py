"""How the servos are set up, how an arm stiffens where it stands, and how it is let go."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.errors import Reaction, ServoSilent, ServoTripped
from robot.so101.bus import So101Bus, Ticks
from robot.so101.calibration import Scale
from robot.so101.registers import LOCKED, STATE, UNLOCKED, complaints
from robot.so101.settings import So101Settings

FULL_ANGLE_FEEDBACK = 0x10  # bit of `Phase`: positions beyond one turn, which LeRobot switches off
# Written once the servos are set up, gone with their power: who finds another value has found a servo that restarted.
ACCELERATION = 254
POSITION_MODE = 0
RELEASE_TRIES = 3

Values = dict[str, int]
State = Mapping[str, Ticks]


def configuration(settings: So101Settings) -> dict[str, Values]:
    """Register -> joint -> value, kept without power: what LeRobot's `SO101Follower` writes when it connects."""
    same = {
        "Return_Delay_Time": 0,
        "Maximum_Acceleration": 254,
        "Operating_Mode": POSITION_MODE,
        "P_Coefficient": settings.p_gain,
        "I_Coefficient": settings.i_gain,
        "D_Coefficient": settings.d_gain,
    }
    gripper = {
        "Max_Torque_Limit": settings.gripper_torque_permille,
        "Protection_Current": settings.gripper_protection_current,
        "Overload_Torque": settings.gripper_overload_percent,
    }
    of_all = {register: dict.fromkeys(JOINT_NAMES, value) for register, value in same.items()}
    return of_all | {register: {"gripper": value} for register, value in gripper.items()}


def differences(bus: So101Bus, settings: So101Settings) -> dict[str, Values]:
    """What of the configuration the servos do not have: a servo's memory is written only where it must be."""
    found: dict[str, Values] = {}
    for register, wanted in configuration(settings).items():
        kept = bus.fetch([register])[register]
        found[register] = {name: value for name, value in wanted.items() if kept[JOINT_NAMES.index(name)] != value}
    phase = bus.fetch(["Phase"])["Phase"]
    found["Phase"] = {
        name: int(value) & ~FULL_ANGLE_FEEDBACK
        for name, value in zip(JOINT_NAMES, phase, strict=True)
        if int(value) & FULL_ANGLE_FEEDBACK
    }
    return {register: values for register, values in found.items() if values}


def configure(bus: So101Bus, settings: So101Settings) -> bool:
    """Bring the servos to these settings; whether anything had to be written, for which the arm was let go."""
    missing = differences(bus, settings)
    if missing:
        release(bus)
        bus.ensure("Lock", dict.fromkeys(JOINT_NAMES, UNLOCKED))
        for register, values in missing.items():
            bus.ensure(register, values)
        bus.ensure("Lock", dict.fromkeys(JOINT_NAMES, LOCKED))
    bus.ensure("Acceleration", dict.fromkeys(JOINT_NAMES, ACCELERATION))
    # The limit that counts is a copy of the kept one, made when the power comes.
    bus.ensure("Torque_Limit", {"gripper": settings.gripper_torque_permille})
    return bool(missing)


def hold_here(bus: So101Bus, scale: Scale) -> None:
    """Stiffen the arm where it is: first the goals are where it stands, then the torque is on. Raises `ArmFault`."""
    state = bus.fetch(STATE)
    require_sound(state)
    present = np.clip(state["Present_Position"], scale.low_ticks, scale.high_ticks)
    bus.ensure("Goal_Position", by_joint(present))
    bus.ensure("Torque_Enable", dict.fromkeys(JOINT_NAMES, 1))


def release(bus: So101Bus) -> None:
    """Switch all torque off, one packet to all, repeated until each confirms. Raises the `ArmFault` of who does not.

    A silent servo does not keep the others from being let go.
    """
    fault = ServoSilent("torque: it is still on though it was switched off; switch the power of the servos off")
    for _ in range(RELEASE_TRIES):
        bus.spread("Torque_Enable", dict.fromkeys(JOINT_NAMES, 0))
        try:
            if not bus.fetch(["Torque_Enable"])["Torque_Enable"].any():
                return
        except ServoSilent as silent:
            fault = silent
    raise fault


def require_sound(state: State) -> None:
    """Raise `ServoTripped` while any servo complains: those that still hold should bring the arm home.

    state: the registers `STATE`, as `So101Bus.fetch` has them
    """
    found = list(complaints(by_joint(state["Status"])))
    if found:
        raise ServoTripped("\n".join(found), Reaction.PARK)


def require_holding(state: State) -> None:
    """Raise `ServoTripped` where a servo lost its power, or its torque, since the arm was stiffened."""
    restarted = _joints_where(state["Acceleration"] != ACCELERATION)
    if restarted:
        raise ServoTripped(
            f"{', '.join(restarted)}: restarted without being told to, as its power was interrupted; check the brick, "
            f"its plug and the cables",
            Reaction.PARK,
        )
    limp = _joints_where(state["Torque_Enable"] == 0)
    if limp:
        raise ServoTripped(
            f"{', '.join(limp)}: got no torque, expected to be held; another program may use the same bus",
            Reaction.PARK,
        )


def by_joint(values: Ticks) -> Values:
    """Values (6,) by name of their joint."""
    return dict(zip(JOINT_NAMES, values.tolist(), strict=True))


def _joints_where(mask: NDArray[np.bool_]) -> list[str]:
    return [name for name, hit in zip(JOINT_NAMES, mask, strict=True) if hit]
