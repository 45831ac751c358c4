"""What can go wrong with an arm, one class per cause."""

from policy.errors import NudgeError


class ArmError(NudgeError):
    """An arm that cannot do what it was asked to do."""


class InvalidTarget(ArmError):
    """A joint target that is not a finite number: refused before it reaches the bus."""


class SceneError(ArmError):
    """The simulated scene is not what the task needs."""
