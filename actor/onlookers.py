"""Two who are told what happens, for a control loop that tells one."""

from __future__ import annotations

from actor.episode import EpisodeOutcome
from actor.roles import Onlooker
from robot.cameras.drift import Finding
from robot.errors import ArmFault
from teleop.takeover import Control


class Onlookers:
    """An onlooker of the control loop; each word goes to both, in their order."""

    def __init__(self, first: Onlooker, second: Onlooker) -> None:
        self._both = first, second

    def episode_began(self, episode: int, *, demonstrating: bool) -> None:
        """An episode begins."""
        for each in self._both:
            each.episode_began(episode, demonstrating=demonstrating)

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        """An episode is over."""
        for each in self._both:
            each.episode_ended(outcome)

    def arm_faulty(self, fault: ArmFault) -> None:
        """Something is wrong with the arm."""
        for each in self._both:
            each.arm_faulty(fault)

    def arm_sound(self) -> None:
        """The fault is gone."""
        for each in self._both:
            each.arm_sound()

    def operator_awaited(self, wish: str) -> None:
        """The operator must do something first."""
        for each in self._both:
            each.operator_awaited(wish)

    def control_changed(self, control: Control) -> None:
        """Somebody else is in control."""
        for each in self._both:
            each.control_changed(control)

    def device_lost(self, what: str) -> None:
        """A device lost the arm."""
        for each in self._both:
            each.device_lost(what)

    def camera_drifted(self, finding: Finding) -> None:
        """A camera sees otherwise."""
        for each in self._both:
            each.camera_drifted(finding)
