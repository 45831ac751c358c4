"""What the servos say of themselves beyond LeRobot's table of registers: the bits of their status, causes and cures.

`STATE` and its like are neighbours in that table, so that one synchronous read brings them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntFlag

MODEL, MODEL_NUMBER = "sts3215", 777
TICKS = 4096  # of one turn
LOAD_UNIT, VOLTAGE_UNIT_V = 0.001, 0.1  # [share of the largest torque], [V]
LOCKED, UNLOCKED = 1, 0  # of `Lock`: the configuration is kept without power only while it is open

IDENTITY = ("Firmware_Major_Version", "Firmware_Minor_Version", "Model_Number", "ID")
LIMITS = ("Min_Position_Limit", "Max_Position_Limit", "Homing_Offset")
# All of a tick: whether it holds, the goal that arrived, and what is measured.
STATE = (
    *("Torque_Enable", "Acceleration", "Goal_Position"),
    *("Present_Position", "Present_Velocity", "Present_Load"),
    *("Present_Voltage", "Present_Temperature", "Status"),
)


class StatusBit(IntFlag):
    """Why a servo complains, in its register `Status` and in the error byte of each of its answers."""

    VOLTAGE = 0x01
    ANGLE_SENSOR = 0x02
    HEAT = 0x04
    CURRENT = 0x08
    OVERLOAD = 0x20


_POWER_CYCLE = "switch the power of the servos off and on"
# Bit -> what happened, what to do about it.
CAUSES = {
    StatusBit.VOLTAGE: ("its voltage is out of bounds", "check the power brick, its plug and the cables"),
    StatusBit.ANGLE_SENSOR: ("its angle sensor fails", f"{_POWER_CYCLE}; replace the servo if that does not help"),
    StatusBit.HEAT: ("it is too hot and has let go", "let it cool down for some minutes"),
    StatusBit.CURRENT: ("it drew too much current and has let go", f"free the joint, then {_POWER_CYCLE}"),
    StatusBit.OVERLOAD: ("it was overloaded, and lets go until it restarts", f"free the joint, then {_POWER_CYCLE}"),
}
_KNOWN = sum(bit.value for bit in StatusBit)


def complaints(status: Mapping[str, int]) -> Iterator[str]:
    """A sentence for each complaint of each servo: who, why, and what to do.

    status: joint -> status byte
    """
    for joint, byte in status.items():
        for bit, (cause, cure) in CAUSES.items():
            if byte & bit:
                yield f"{joint}: {cause} (status 0x{byte:02x}); {cure}"
        if byte & ~_KNOWN:
            yield f"{joint}: got status 0x{byte:02x}, expected bits among 0x{_KNOWN:02x}; {_POWER_CYCLE}"
