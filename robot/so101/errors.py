"""What can be wrong with a real arm before it moves; what goes wrong while it does is an `ArmFault`."""

from robot.errors import ArmError


class CalibrationRefused(ArmError):
    """A calibration that is missing, contradicts itself, or is not that of these servos."""
