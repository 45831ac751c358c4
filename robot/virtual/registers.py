"""The memory map of an STS3215: address, width, sign bit, where it is kept, and its value as shipped.

Addresses and sign bits are those of LeRobot's table; a test compares them. Values as shipped are those that servos of
SO-101 kits report. The factory area, from address 80, is served and kept, but moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL_STS3215 = 777
TICKS = 4096  # of one turn
MEMORY_SIZE = 256

# Kept without power: the configuration and the factory area. All between them is gone with the power.
EEPROM = (range(40), range(80, 87))


@dataclass(frozen=True, slots=True)
class Register:
    """One value in a servo's memory, little endian.

    sign_bit: where a sign and magnitude value has its sign; None for unsigned ones
    """

    name: str
    address: int
    size: int = 1
    shipped: int = 0
    sign_bit: int | None = None
    read_only: bool = False

    def encode(self, value: int) -> bytes:
        """The bytes of a value; magnitudes that do not fit are cut off, as a counter in silicon would."""
        bits = 8 * self.size if self.sign_bit is None else self.sign_bit
        magnitude = min(abs(value), (1 << bits) - 1)
        sign = (1 << self.sign_bit) if self.sign_bit is not None and value < 0 else 0
        return (sign | magnitude).to_bytes(self.size, "little")

    def decode(self, stored: bytes) -> int:
        """The value of its bytes."""
        value = int.from_bytes(stored, "little")
        if self.sign_bit is None:
            return value
        magnitude = value & ((1 << self.sign_bit) - 1)
        return -magnitude if value >> self.sign_bit & 1 else magnitude


FIRMWARE_MAJOR = Register("Firmware_Major_Version", 0, shipped=3, read_only=True)
FIRMWARE_MINOR = Register("Firmware_Minor_Version", 1, shipped=10, read_only=True)
MODEL_NUMBER = Register("Model_Number", 3, 2, shipped=MODEL_STS3215, read_only=True)
ID = Register("ID", 5, shipped=1)
BAUD_RATE = Register("Baud_Rate", 6)
RETURN_DELAY_TIME = Register("Return_Delay_Time", 7, shipped=250)
RESPONSE_STATUS_LEVEL = Register("Response_Status_Level", 8, shipped=1)
MIN_POSITION_LIMIT = Register("Min_Position_Limit", 9, 2)
MAX_POSITION_LIMIT = Register("Max_Position_Limit", 11, 2, shipped=TICKS - 1)
MAX_TEMPERATURE_LIMIT = Register("Max_Temperature_Limit", 13, shipped=70)
MAX_VOLTAGE_LIMIT = Register("Max_Voltage_Limit", 14, shipped=80)
MIN_VOLTAGE_LIMIT = Register("Min_Voltage_Limit", 15, shipped=40)
MAX_TORQUE_LIMIT = Register("Max_Torque_Limit", 16, 2, shipped=1000)
PHASE = Register("Phase", 18, shipped=12)
UNLOADING_CONDITION = Register("Unloading_Condition", 19, shipped=44)
HOMING_OFFSET = Register("Homing_Offset", 31, 2, sign_bit=11)
OPERATING_MODE = Register("Operating_Mode", 33)
TORQUE_ENABLE = Register("Torque_Enable", 40)
ACCELERATION = Register("Acceleration", 41)
GOAL_POSITION = Register("Goal_Position", 42, 2, sign_bit=15)
GOAL_VELOCITY = Register("Goal_Velocity", 46, 2, sign_bit=15)
TORQUE_LIMIT = Register("Torque_Limit", 48, 2, shipped=1000)
LOCK = Register("Lock", 55, shipped=1)
PRESENT_POSITION = Register("Present_Position", 56, 2, sign_bit=15, read_only=True)
PRESENT_VELOCITY = Register("Present_Velocity", 58, 2, sign_bit=15, read_only=True)
PRESENT_LOAD = Register("Present_Load", 60, 2, sign_bit=10, read_only=True)
PRESENT_VOLTAGE = Register("Present_Voltage", 62, read_only=True)
PRESENT_TEMPERATURE = Register("Present_Temperature", 63, read_only=True)
STATUS = Register("Status", 65, read_only=True)
MOVING = Register("Moving", 66, read_only=True)
PRESENT_CURRENT = Register("Present_Current", 69, 2, read_only=True)
GOAL_POSITION_2 = Register("Goal_Position_2", 71, 2, read_only=True)

REGISTERS = (
    *(FIRMWARE_MAJOR, FIRMWARE_MINOR, MODEL_NUMBER, ID, BAUD_RATE, RETURN_DELAY_TIME, RESPONSE_STATUS_LEVEL),
    *(MIN_POSITION_LIMIT, MAX_POSITION_LIMIT, MAX_TEMPERATURE_LIMIT, MAX_VOLTAGE_LIMIT, MIN_VOLTAGE_LIMIT),
    *(MAX_TORQUE_LIMIT, PHASE, UNLOADING_CONDITION),
    Register("LED_Alarm_Condition", 20, shipped=47),
    Register("P_Coefficient", 21, shipped=32),
    Register("D_Coefficient", 22, shipped=32),
    Register("I_Coefficient", 23),
    Register("Minimum_Startup_Force", 24, 2, shipped=16),
    Register("CW_Dead_Zone", 26, shipped=1),
    Register("CCW_Dead_Zone", 27, shipped=1),
    Register("Protection_Current", 28, 2, shipped=500),
    Register("Angular_Resolution", 30, shipped=1),
    *(HOMING_OFFSET, OPERATING_MODE),
    Register("Protective_Torque", 34, shipped=20),
    Register("Protection_Time", 35, shipped=200),
    Register("Overload_Torque", 36, shipped=80),
    Register("Velocity_closed_loop_P_proportional_coefficient", 37, shipped=10),
    Register("Over_Current_Protection_Time", 38, shipped=200),
    Register("Velocity_closed_loop_I_integral_coefficient", 39, shipped=200),
    *(TORQUE_ENABLE, ACCELERATION, GOAL_POSITION),
    Register("Goal_Time", 44, 2),
    *(GOAL_VELOCITY, TORQUE_LIMIT, LOCK, PRESENT_POSITION, PRESENT_VELOCITY, PRESENT_LOAD, PRESENT_VOLTAGE),
    *(PRESENT_TEMPERATURE, STATUS, MOVING, PRESENT_CURRENT, GOAL_POSITION_2),
    Register("Moving_Velocity_Threshold", 80, shipped=50),
    Register("DTs", 81, shipped=1),
    Register("Velocity_Unit_factor", 82, shipped=1),
    Register("Hts", 83),
    Register("Maximum_Velocity_Limit", 84, shipped=68),
    Register("Maximum_Acceleration", 85, shipped=254),
    Register("Acceleration_Multiplier ", 86, shipped=1),  # LeRobot's own name, with the space
)

READ_ONLY = frozenset(
    address for it in REGISTERS if it.read_only for address in range(it.address, it.address + it.size)
)


def shipped_memory() -> bytearray:
    """A servo's memory as it leaves the factory, (256,) bytes."""
    memory = bytearray(MEMORY_SIZE)
    for it in REGISTERS:
        memory[it.address : it.address + it.size] = it.encode(it.shipped)
    return memory
