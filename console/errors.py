"""What can go wrong at the command line."""

from policy.errors import NudgeError


class ConsoleError(NudgeError):
    """A command that cannot do what it was asked to do."""
