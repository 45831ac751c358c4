"""What can go wrong on the robot host."""

from policy.errors import NudgeError


class ActorError(NudgeError):
    """A control loop that cannot go on."""
