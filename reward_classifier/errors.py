"""What can be wrong with labels, with what is to be learned from them, and with a classifier that was made."""

from policy.errors import NudgeError


class LabelError(NudgeError):
    """Labels that cannot be: of no frames, of no such version, or in a file of something else."""


class LabelConflict(LabelError):
    """Frames whose labels somebody else has changed since their author looked at them."""


class TrainingRefused(NudgeError):
    """Labels or experience from which no classifier can be learned, or on which none can be judged."""


class ArtefactError(NudgeError):
    """A classifier's folder that is missing, damaged, or made for something else."""
