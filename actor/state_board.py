"""At what the actor is, written by the control loop and read by the link: one assignment each, so nobody waits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from actor.episode import EpisodeOutcome
from robot.cameras.drift import Finding
from robot.errors import ArmFault
from teleop.takeover import Control


@dataclass(frozen=True, slots=True)
class ActorState:
    """As the control loop knows it.

    control: who drives; None while no episode runs
    episode: the running one, or the last one; None before the first
    steps: made in it
    paused: whether the operator wants the arm to hold still
    awaited, fault: what the operator must do, what is wrong with the arm; empty when nothing
    """

    control: Control | None = None
    episode: int | None = None
    steps: int = 0
    demonstrating: bool = False
    paused: bool = False
    awaited: str = ""
    fault: str = ""

    @property
    def running(self) -> int | None:
        """The episode that runs."""
        return None if self.control is None else self.episode


class StateBoard:
    """An onlooker of the control loop (`actor.roles.Onlooker`)."""

    def __init__(self) -> None:
        self.state = ActorState()

    def episode_began(self, episode: int, *, demonstrating: bool) -> None:
        """Who is in control is told at its first tick."""
        self.state = ActorState(Control.POLICY, episode, demonstrating=demonstrating)

    def ticked(self, *, paused: bool) -> None:
        """A step is being made."""
        made = 0 if self.state.control is None else 1  # in a rehearsal none is
        self.state = replace(self.state, steps=self.state.steps + made, paused=paused)

    def waited(self, *, paused: bool) -> None:
        """The next episode may not begin yet, or is about to."""
        self.state = replace(self.state, paused=paused)

    def control_changed(self, control: Control) -> None:
        """Somebody else drives."""
        self.state = replace(self.state, control=control)

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        """Nobody drives."""
        self.state = replace(self.state, control=None, steps=outcome.steps)

    def operator_awaited(self, wish: str) -> None:
        """Until the next episode begins."""
        self.state = replace(self.state, awaited=wish)

    def arm_faulty(self, fault: ArmFault) -> None:
        """Until it is sound."""
        self.state = replace(self.state, fault=str(fault))

    def arm_sound(self) -> None:
        """The fault is gone."""
        self.state = replace(self.state, fault="")

    def device_lost(self, what: str) -> None:
        """Who drives now says enough."""

    def camera_drifted(self, finding: Finding) -> None:
        """The pictures say it themselves."""
