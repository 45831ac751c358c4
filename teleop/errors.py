"""What can go wrong with a device of the operator."""

from policy.errors import NudgeError


class TeleopError(NudgeError):
    """A device that is not there, or cannot be used as the settings want it."""
