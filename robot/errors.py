"""What can go wrong with an arm, one class per cause."""

from enum import Enum

from policy.errors import NudgeError


class ArmError(NudgeError):
    """An arm that cannot do what it was asked to do."""


class InvalidTarget(ArmError):
    """A joint target that is not a finite number: refused before it reaches the bus."""


class SceneError(ArmError):
    """The simulated scene is not what the task needs."""


class Reaction(Enum):
    """What the arm does about a fault, from the mildest on."""

    HOLD = "hold"  # stay at the last sound target
    PARK = "park"  # travel to the rest pose, then release
    RELEASE = "release"  # let go at once


class ArmFault(ArmError):
    """The arm, its bus or a camera cannot go on as it is. The episode ends; `Arm.recover` tells when it may go on."""

    def __init__(self, message: str, reaction: Reaction = Reaction.HOLD) -> None:
        super().__init__(message)
        self.reaction = reaction


class BusLost(ArmFault):
    """The bus is gone: unplugged, or its adapter has died."""


class ServoSilent(ArmFault):
    """A servo, or several, did not answer within the bounded number of tries."""


class ServoTripped(ArmFault):
    """A servo protects itself: overload, heat or voltage; it may hold no torque."""


class CameraStale(ArmFault):
    """A camera shows nothing new: frozen, slow, or gone."""


class SafetyStop(ArmFault):
    """The guard stopped the arm: a limit was left, or somebody said stop."""
