"""From an action to joint targets: tool deltas through inverse kinematics, the same for every arm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.errors import ArmError
from robot.kinematics import Kinematics
from robot.safety.emergency import EmergencyStop
from robot.safety.guard import SafetyGuard
from robot.safety.settings import SafetySettings
from robot.settings import ControllerSettings

Vector = NDArray[np.float64]
ROLL, GRIPPER = 4, 5


class EndEffectorController:
    """Integrates actions into a target pose and solves for its joints.

    The target is integrated, not re-based on the measured pose at each tick: re-commanding what was measured sags
    under gravity. A leash keeps it near the measured tool, so that it cannot run away from an arm that is held up.
    """

    def __init__(
        self,
        settings: ControllerSettings,
        action_scale: NDArray[np.float32],
        safety: SafetySettings | None = None,
        emergency: EmergencyStop | None = None,
    ) -> None:
        self._settings = settings
        self._scale = action_scale.astype(np.float64)  # (4,): metres, metres, metres, radians per unit
        if self._scale[:3].max() > settings.leash_m:
            raise ArmError(
                f"contract.action: a full action is {self._scale[:3].max():g} m, farther than the target may lead the "
                f"tool (arm.controller.leash_m, {settings.leash_m:g} m), so that it would always be cut; give a scale "
                f"of {settings.leash_m:g} m at most"
            )
        self._low_m, self._high_m = np.array(settings.box_low_m), np.array(settings.box_high_m)
        self.kinematics = Kinematics(settings)
        self.guard = SafetyGuard(settings, self.kinematics, safety, emergency)
        self._target_m = (self._low_m + self._high_m) / 2  # (3,)
        self._locked = np.isin(JOINT_NAMES, settings.locked_joints)  # (6,)
        self._begun_rad: Vector = np.zeros(6)
        self._gripper_target_rad = settings.gripper_high_rad

    def joints_at(self, position_m: Vector, gripper_rad: float) -> Vector:
        """Joint angles (6,) [rad] with the tool at a position of the box, tilted as wished."""
        seed = np.array([0.0, 0.0, 0.0, 1.4, self._settings.wrist_roll_rad, gripper_rad])
        within_m = np.clip(position_m, self._low_m, self._high_m)
        return self.kinematics.solve(within_m, seed, self._settings.locked_joints)

    def begin(self, measured_rad: Vector) -> None:
        """Start from where the arm is: the target is the measured pose, and locked joints stay there."""
        self.guard.begin()
        self._target_m = self.kinematics.tool_pose(measured_rad).position_m
        self._gripper_target_rad = float(measured_rad[GRIPPER])
        self._begun_rad = measured_rad.copy()

    def apply(self, action: NDArray[np.float32], measured_rad: Vector) -> tuple[Vector, NDArray[np.float32]]:
        """Joint targets (6,) [rad] for an action (4,) of -1..1, and the action as executed after clipping (4,)."""
        settings = self._settings
        wanted = np.clip(action.astype(np.float64), -1.0, 1.0) * self._scale
        tool_m = self.kinematics.tool_pose(measured_rad).position_m
        position_m = self.guard.confine(self._target_m + wanted[:3], tool_m)
        gripper_rad = float(
            np.clip(self._gripper_target_rad + wanted[3], settings.gripper_low_rad, settings.gripper_high_rad)
        )
        executed = np.append(position_m - self._target_m, gripper_rad - self._gripper_target_rad) / self._scale
        self._target_m, self._gripper_target_rad = position_m, gripper_rad

        # A locked joint stays where it began: where it was measured, it would sag from tick to tick.
        from_rad = np.where(self._locked, self._begun_rad, measured_rad)
        joint_rad = self.kinematics.solve(position_m, from_rad, settings.locked_joints, settings.tilt_share)
        joint_rad[ROLL], joint_rad[GRIPPER] = settings.wrist_roll_rad, gripper_rad
        # The gripper's target may lead a blocked jaw by more than a step: that is how it squeezes.
        targets = self.guard.clamp(joint_rad, np.append(measured_rad[:GRIPPER], gripper_rad))
        return targets, np.clip(executed, -1.0, 1.0).astype(np.float32)

    def proprioception(self, measured_rad: Vector) -> NDArray[np.float32]:
        """The contract's proprioception (13,): joints, tool position, and how far the targets lead."""
        tool_m = self.kinematics.tool_pose(measured_rad).position_m
        jaw_lead_rad = self._gripper_target_rad - measured_rad[GRIPPER]
        parts = [measured_rad, tool_m, self._target_m - tool_m, [jaw_lead_rad]]
        return np.concatenate(parts, dtype=np.float32, casting="same_kind")
