"""What another judge changes of an episode: where it ends, and whether with a reward. Pure: no file, no picture.

The operator's word stands: an episode that a key has ended, or that is rejected, is as it was recorded, whatever a
judge thinks of it. Only what the judge before, or the time, has ended can end otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policy.experience import Judgement, Reason

type Opinions = Sequence[Judgement | None]  # one for each step, of what was seen after it; None: nothing was


@dataclass(frozen=True, slots=True)
class Ending:
    """The last step of an episode that is learned from, and what it says; without an end, neither of the flags."""

    last_step: int
    reward: float
    terminated: bool
    truncated: bool

    @property
    def paid(self) -> bool:
        """Whether the episode succeeds."""
        return self.terminated and self.reward > 0


def operators_word(ending: Ending, reason: Reason | None) -> bool | None:
    """What the operator's key said of a recorded episode: that it has succeeded, that it has not; None: nothing.

    reason: of the judgement of its last step. Who presses success at the very tick at which the judge pays has said
    nothing that the record can tell from silence.
    """
    if not ending.terminated:
        return None
    if ending.reward > 0:
        return None if reason is Reason.SUCCESS else True
    return False  # no judge ends an episode without paying


def agrees(word: bool, paid_at: int | None) -> bool:
    """Whether a judge that pays there, or nowhere, says what the operator's `word` says."""
    return word is (paid_at is not None)


def paid_at(opinions: Opinions) -> int | None:
    """The step at which a judge pays; None where it does not."""
    pays = (step for step, opinion in enumerate(opinions) if opinion is not None and opinion.pays)
    return next(pays, None)


def new_ending(recorded: Ending, *, stands: bool, opinions: Opinions) -> Ending:
    """Where an episode ends by another judge's opinions.

    stands: its end is the operator's word
    """
    if stands:
        return recorded
    paid = paid_at(opinions)
    if paid is not None:
        as_it_was = recorded.paid and paid == recorded.last_step
        return recorded if as_it_was else Ending(paid, 1.0, terminated=True, truncated=False)
    return Ending(recorded.last_step, 0.0, terminated=False, truncated=True) if recorded.paid else recorded
