"""What can go wrong with the virtual arm itself, as opposed to what it pretends."""

from robot.errors import ArmError


class VirtualArmError(ArmError):
    """A virtual arm that cannot be started, or a command to it that cannot be followed."""
