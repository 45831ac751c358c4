"""The one exception base of the project, and the causes that several rooms share."""


class NudgeError(Exception):
    """Base of every error that Nudge raises on purpose.

    Its message says which thing, what was got, what was expected, and what to do about it.
    """


class ContractMismatch(NudgeError):
    """Two ends, or an end and an artefact, disagree on the contract."""


class InvalidExperience(NudgeError):
    """A step that the contract does not allow: wrong shape, range, order or flag."""


class SnapshotError(NudgeError):
    """Weights that do not fit the network, or do not match their checksum."""


class EncoderError(NudgeError):
    """Encoder weights that are missing, incomplete or of another shape."""


class SecurityError(NudgeError):
    """Keys or a token that are missing, unfit, or not those that the other end expects."""
