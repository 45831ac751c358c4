"""Settings of the operator and of the devices on the desk."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from policy.contract import Frozen
from teleop.gamepad.settings import GamepadSettings
from teleop.keyboard.settings import KeyboardSettings
from teleop.leader.settings import LeaderSettings


class OperatorSettings(Frozen):
    """How the scripted operator demonstrates and when it takes over."""

    demo_noise: float = Field(
        default=0.3,
        ge=0,
        description="Spread of the noise on demonstrated actions, in action units: a hand is not exact.",
    )
    explore_steps: tuple[int, int] = Field(
        default=(22, 30), description="The policy acts alone for so many steps before any help [steps, low and high]."
    )
    takeover_steps: tuple[int, int] = Field(
        default=(4, 8),
        description="Length of one takeover [steps, low and high]: brief, and it leaves the task to finish.",
    )
    patience_steps: int = Field(
        default=8, gt=0, description="Steps without progress after which the operator takes over [steps]."
    )
    guided_episodes: int = Field(
        default=120,
        ge=0,
        description="In so many first episodes of a run's training the operator leads some to their end: nearly all at "
        "first, ever fewer, then none.",
    )
    guided_from_step: tuple[int, int] = Field(
        default=(1, 12), description="The policy begins such an episode for so many steps [steps, low and high]."
    )
    interventions: bool = Field(default=True, description="Whether the operator takes over at all during training.")
    gives_up: bool = Field(
        default=True,
        description="Whether the operator ends an episode as failed once the cube lies where the tool cannot get.",
    )


class TeleopSettings(Frozen):
    """Who teaches, and with which device."""

    device: Literal["scripted", "leader", "gamepad", "keyboard"] = Field(
        default="scripted",
        description="What drives the arm in demonstrations and takeovers; `scripted` is a program that sees the "
        "simulator's truth.",
    )
    keys: bool = Field(
        default=True, description="The keyboard's keys for success, pause and the like count beside another device."
    )
    rehearsal: bool = Field(
        default=True, description="Before the first episode each axis, the gripper and the takeover are tried out."
    )
    stale_s: float = Field(
        default=0.3, gt=0, description="A device that has been silent for longer gives up the arm [s]."
    )
    leader: LeaderSettings = LeaderSettings()
    gamepad: GamepadSettings = GamepadSettings()
    keyboard: KeyboardSettings = KeyboardSettings()
