"""What `nudge replay` shows: the episodes of a file of experience, and what a policy would have done at each step."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from console.errors import ConsoleError
from policy.contract import Contract
from policy.experience import Observation, Source, Step
from policy.experience_file import EpisodeOutcome, EpisodeSelection, ExperienceFile

if TYPE_CHECKING:
    from actor.inference import Policy

SESSION_DIGITS = 8  # all of it is a secret of its actor
WHO = {Source.POLICY: "policy", Source.HUMAN: "operator", Source.DEMO: "demonstration", Source.HOLD: "nobody"}


@dataclass(frozen=True, slots=True)
class Replayed:
    """An episode of T steps, and what the policy would have done.

    proposed: float32 (T, A), deterministic, from what was recorded at each step; None without a policy
    """

    outcome: EpisodeOutcome
    contract: Contract
    steps: list[Step]
    proposed: NDArray[np.float32] | None

    @property
    def actions(self) -> NDArray[np.float32]:
        """What was done, float32 (T, A)."""
        return np.stack([step.action for step in self.steps])

    def seen(self, place: int) -> Observation:
        """What was seen at a step; after the last one at T."""
        if place < len(self.steps):
            return self.steps[place].observation
        final = self.steps[-1].final
        assert final is not None  # an episode that has an end has it
        return final


class Reel:
    """Episodes to be looked at, one at a time; from any thread.

    outcomes: those that have an end, in the order in which they began, the rejected ones too
    """

    def __init__(self, path: Path, policy: Policy | None = None, policy_name: str = "") -> None:
        self.path, self.policy_name = path, policy_name
        self._policy = policy
        with closing(ExperienceFile(path)) as file:
            self.contract = file.contract
            self.outcomes = file.outcomes(EpisodeSelection(rejected=True))
        if not self.outcomes:
            raise ConsoleError(f"{path}: no episode in it has an end yet, expected one to look at; record some first")

    def place_of(self, session: str, episode: int | None) -> int:
        """Where an episode stands among `outcomes`; the last one of the session where none is named.

        session: its first digits; empty: all
        """
        found = [
            place
            for place, outcome in enumerate(self.outcomes)
            if outcome.session.startswith(session) and episode in (None, outcome.episode)
        ]
        if not found or (episode is not None and len({self.outcomes[place].session for place in found}) > 1):
            known = ", ".join(dict.fromkeys(outcome.session[:SESSION_DIGITS] for outcome in self.outcomes))
            wanted = f"session {session or '(any)'}" + ("" if episode is None else f", episode {episode}")
            raise ConsoleError(f"{self.path}: {wanted}: got {len(found)} episodes, expected one; sessions: {known}")
        return found[-1]

    def look(self, place: int) -> Replayed:
        """The steps of an episode; some 10 ms each where a policy is asked."""
        outcome = self.outcomes[place]
        with closing(ExperienceFile(self.path)) as file:
            steps = file.episode(outcome.id)
        return Replayed(outcome, self.contract, steps, self._proposed(steps))

    def _proposed(self, steps: list[Step]) -> NDArray[np.float32] | None:
        if self._policy is None:
            return None
        import torch  # only where a policy is asked: who looks at steps alone need not wait for it

        generator = torch.Generator()  # deterministic actions draw nothing from it
        return np.stack([self._policy.select_action(step.observation, 0.0, generator) for step in steps])


def describe(outcome: EpisodeOutcome) -> str:
    """An episode in a line."""
    whose = "demonstration" if outcome.demo_steps == outcome.steps else "episode"
    helped = f", {outcome.human_steps} by the operator" if outcome.human_steps else ""
    result = "success" if outcome.success else "no success"
    return f"{whose} {outcome.session[:SESSION_DIGITS]}/{outcome.episode}: {outcome.steps} steps, {result}{helped}"


def table(replayed: Replayed) -> list[str]:
    """Step, who, what was done, what the policy would have done, reward and end: a line of text each."""
    names = [dimension.name.removeprefix("delta.") for dimension in replayed.contract.action]
    done, proposed = "  ".join(f"{name:>7.7}" for name in names), " ".join(f"{'~' + name:>8.8}" for name in names)
    lines = [
        f"{'step':>4}  {'who':<13}  {done}" + (f"  {proposed}" if replayed.proposed is not None else "") + "  reward"
    ]
    for index, step in enumerate(replayed.steps):
        end = " terminated" if step.terminated else " truncated" if step.truncated else ""
        row = f"{index:>4}  {WHO[step.source]:<13}  {'  '.join(f'{value:+7.3f}' for value in step.action)}"
        if replayed.proposed is not None:
            row += "  " + " ".join(f"{value:+8.3f}" for value in replayed.proposed[index])
        lines.append(f"{row}  {step.reward:g}{end}{' rejected' if step.rejected else ''}")
    return lines
