"""The learner's clock, as an actor knows it: never behind, so that nothing too old passes for new."""

from __future__ import annotations

from collections.abc import Callable

from policy.clock import since_boot_ns


class LearnerClock:
    """Set by each question that the learner answered. One assignment each, so no lock is needed.

    The learner read its clock at L, some time after we had asked at t. At our time u it is at most L + (u - t), however
    long question and answer were under way.
    """

    def __init__(self, clock: Callable[[], int] = since_boot_ns) -> None:
        self.ours_ns = clock
        self._ahead_ns: int | None = None

    def heard(self, learner_ns: int, asked_ns: int) -> None:
        """The learner said `learner_ns` to a question that left at our time `asked_ns`."""
        self._ahead_ns = learner_ns - asked_ns

    @property
    def is_known(self) -> bool:
        """Whether the learner has said anything."""
        return self._ahead_ns is not None

    def forget(self) -> None:
        """Another learner may answer now."""
        self._ahead_ns = None

    def is_past(self, learner_ns: int) -> bool:
        """Whether that time may be over at the learner; always, before it has said anything."""
        return self._ahead_ns is None or self.ours_ns() + self._ahead_ns > learner_ns
