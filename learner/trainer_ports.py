"""What the trainer asks of the two that it works with: the store that it learns from, and who sends its policies."""

from __future__ import annotations

from typing import Protocol

from learner.ingest import GrowingSteps
from learner.open_replay import KnownSteps


class TrainingStore(GrowingSteps, KnownSteps, Protocol):
    """What the trainer asks of `learner.store.ExperienceStore`, from any thread."""


class SnapshotSink(Protocol):
    """What the trainer asks of `learner.publisher.PolicyPublisher`."""

    def publish(self, snapshot: bytes) -> int:
        """Make a snapshot the newest; return its version."""
        ...
