"""What the control loop needs of those around it: the policy, the judge, the link to the learner, and who listens."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from actor.episode import EpisodeOutcome
from actor.link_state import Pause
from actor.spool_record import Progress
from policy.experience import Observation, Step
from reward_classifier.judge import Opinion
from robot.cameras.drift import Finding
from robot.errors import ArmFault
from teleop.takeover import Control


class ActingPolicy(Protocol):
    """What the loop needs of a policy (`actor.inference.Policy`)."""

    def load_snapshot(self, data: bytes) -> int:
        """Act with this snapshot from now on."""
        ...

    def select_action(
        self, observation: Observation, exploration: float, generator: torch.Generator
    ) -> NDArray[np.float32]:
        """The action (A,), -1..1. exploration: factor on the policy's noise; 0 = the mode"""
        ...


class RewardJudge(Protocol):
    """Who says from what is seen that the task is done, where the task itself does not (`actor.judging`)."""

    def begin(self, first: Observation) -> None:
        """An episode begins with what is seen."""
        ...

    def opinion(self, seen: Observation) -> Opinion:
        """Of the next observation; the loop asks of each one, once."""
        ...


class Link(Protocol):
    """What the loop needs of the link to the learner (`actor.link.LearnerLink`). None of it waits."""

    @property
    def session(self) -> str:
        """The id that all steps carry."""
        ...

    @property
    def progress(self) -> Progress:
        """How far the session has come."""
        ...

    @property
    def pause(self) -> Pause | None:
        """Why to pause; None to go on."""
        ...

    @property
    def steps_behind(self) -> int:
        """How many steps the learner is behind its update-to-data ratio."""
        ...

    def send(self, step: Step) -> None:
        """Take a step for delivery."""
        ...

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        """Version and bytes of a snapshot not handed out before, else None."""
        ...


class Onlooker(Protocol):
    """Who is told what happens, in the loop's thread between two episodes."""

    def episode_began(self, episode: int, *, demonstrating: bool) -> None:
        """An episode begins; told right before its first tick, so it must not take long."""
        ...

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        """An episode is over."""
        ...

    def arm_faulty(self, fault: ArmFault) -> None:
        """The arm, its bus or a camera has a fault, and the next episode waits; told of each new one."""
        ...

    def arm_sound(self) -> None:
        """The fault is gone."""
        ...

    def operator_awaited(self, wish: str) -> None:
        """The next episode waits for the operator, who must do this first; told of each new wish."""
        ...

    def control_changed(self, control: Control) -> None:
        """Somebody else is in control, or an episode begins; told within a tick, so it must not take long."""
        ...

    def device_lost(self, what: str) -> None:
        """The operator's device lost the arm; told within a tick."""
        ...

    def camera_drifted(self, finding: Finding) -> None:
        """A camera no longer sees what it saw in the demonstrations."""
        ...
