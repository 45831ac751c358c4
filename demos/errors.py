"""What can be wrong with demonstrations, with sets of them, and with datasets of others."""

from policy.errors import NudgeError


class DemosRefused(NudgeError):
    """Demonstrations that should not be learned from as they are."""


class DemoSetError(NudgeError):
    """A demo set that is missing, has changed since it was made, or cannot be made."""


class ExchangeRefused(NudgeError):
    """A dataset that cannot be made, cannot be read, or leaves open what may not be guessed."""
