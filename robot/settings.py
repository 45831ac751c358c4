"""Settings of the arm, its controller, the scene and the task."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from policy.contract import Frozen
from robot.cameras.settings import DriftSettings
from robot.motions import MotionSettings
from robot.safety.settings import SafetySettings, WatchdogSettings
from robot.so101.settings import So101Settings

Triple = tuple[float, float, float]
# The joints that carry the tool; the controller holds the roll, and the gripper does not move the tool.
TrackedJoint = Literal["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex"]


class ControllerSettings(Frozen):
    """How an action becomes joint targets; the same on every arm."""

    box_low_m: Triple = Field(
        default=(0.14, -0.14, 0.008), description="Lowest corner of the tool's box, base frame [m]."
    )
    box_high_m: Triple = Field(
        default=(0.36, 0.14, 0.20), description="Highest corner of the tool's box, base frame [m]."
    )
    leash_m: float = Field(
        default=0.035, gt=0, description="Farthest that the target may lead the measured tool, per axis [m]."
    )
    gripper_low_rad: float = Field(default=-0.10, description="Most closed gripper target [rad].")
    gripper_high_rad: float = Field(default=1.0, description="Most open gripper target [rad].")
    wrist_roll_rad: float = Field(default=0.0, description="The wrist roll is held at this angle [rad].")
    tool_tilt_rad: float = Field(
        default=0.0, ge=-1.6, le=1.6, description="Wished tilt of the tool: 0 straight down, positive outwards [rad]."
    )
    tilt_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="How much of a wrong tilt one tick corrects: all at once swings the arm while it grasps.",
    )
    locked_joints: tuple[TrackedJoint, ...] = Field(
        default=(), description="Joints that no action moves: they stay where the reset has put them."
    )
    damping: float = Field(
        default=0.001, gt=0, description="Least lambda of the damped least squares; far from the target it is more [m]."
    )
    pitch_weight: float = Field(
        default=0.02, ge=0, description="Weight of a radian of tilt error against a metre of position error [m/rad]."
    )
    iterations: int = Field(
        default=40, gt=0, description="Most iterations of one descent; two make an inverse kinematics solve."
    )
    largest_joint_step_rad: float = Field(
        default=0.5, gt=0, description="Largest change of a joint target between two ticks [rad]."
    )


class RandomisationSettings(Frozen):
    """Domain randomisation of the simulated scene, drawn anew at each reset."""

    enabled: bool = Field(default=False, description="Randomise light, colours, cameras and cube at each reset.")
    light: float = Field(default=0.35, ge=0, le=1, description="Relative spread of the light's strength.")
    colour: float = Field(default=0.25, ge=0, le=1, description="Spread of the colours of table, cube and arm (0..1).")
    camera_position_m: float = Field(default=0.006, ge=0, description="Spread of each camera's position [m].")
    camera_angle_rad: float = Field(default=0.03, ge=0, description="Spread of each camera's direction [rad].")
    friction: float = Field(default=0.3, ge=0, lt=1, description="Relative spread of the cube's sliding friction.")
    cube_size: float = Field(
        default=0.1, ge=0, lt=0.5, description="Relative spread of the cube's edges; its mass stays what it is."
    )


class ArmSettings(Frozen):
    """Which arm is driven."""

    kind: Literal["sim", "so101"] = Field(
        default="sim",
        description="`sim`: MuJoCo with the Menagerie SO-101. `so101`: the real one, or `nudge virtual`.",
    )
    so101: So101Settings = So101Settings()
    controller: ControllerSettings = ControllerSettings()
    motion: MotionSettings = MotionSettings()
    safety: SafetySettings = SafetySettings()
    watchdog: WatchdogSettings = WatchdogSettings()
    drift: DriftSettings = DriftSettings()
    randomisation: RandomisationSettings = RandomisationSettings()


class TaskSettings(Frozen):
    """Grasp-and-lift: where the cube may lie, how the arm starts, and what counts as success."""

    field_x_m: tuple[float, float] = Field(
        default=(0.20, 0.30), description="The cube's field along x, base frame [m]."
    )
    field_y_m: tuple[float, float] = Field(
        default=(-0.08, 0.08), description="The cube's field along y, base frame [m]."
    )
    judge: Literal["simulator", "operator", "classifier"] = Field(
        default="simulator",
        description="Who says that the task is done: the simulator's truth, the operator's key alone, or the reward "
        "classifier (see `judge`), over which the key still goes.",
    )
    start_m: Triple = Field(default=(0.25, 0.0, 0.10), description="Tool position at reset, base frame [m].")
    start_noise_m: Triple = Field(default=(0.02, 0.02, 0.015), description="Half width of its uniform noise [m].")
    start_gripper_rad: float = Field(default=0.6, description="Gripper at reset [rad].")
    lift_m: float = Field(default=0.05, gt=0, description="How far the cube must rise [m].")
    hold_steps: int = Field(default=5, gt=0, description="Consecutive steps that both jaws must hold it up.")
    max_episode_steps: int = Field(default=80, gt=0, description="Steps until an episode is truncated.")
