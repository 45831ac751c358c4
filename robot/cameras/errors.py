"""What can be wrong with cameras beyond what `robot.errors` says of any arm."""

from robot.errors import ArmError


class CameraUnfit(ArmError):
    """A camera that is not the one that settings or contract describe, or that this machine cannot open at all."""


class ReferenceUnfit(ArmError):
    """A reference of how the demonstrations looked that is missing, damaged, or of another contract."""
