"""Inverse kinematics beside mink's, on the same targets from the same starts; and what gravity leaves of a reset.

    python bench/kinematics.py [--json] [--targets 1000] [--resets 40] [--no-mink]

Targets are reachable by construction: tools of random joints that lie in the controller's box. `near` starts as the
control loop does, from the pose of a target within the leash; `far` from the one that resets start from.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from robot.controller import EndEffectorController  # noqa: E402
from robot.kinematics import Kinematics  # noqa: E402
from robot.settings import ControllerSettings, RandomisationSettings, TaskSettings  # noqa: E402
from robot.sim import SimArm, sim_contract  # noqa: E402
from robot.task import GraspLift  # noqa: E402

Vector = NDArray[np.float64]

# A busy machine interrupts a solve of a third of a millisecond: the best of so many turns is the solver's own time.
TURNS = 5
SETTLING_PERIODS = 30  # 3 s at 10 Hz
FAR_RAD = np.array([0.0, 0.0, 0.0, 1.4, 0.0, 0.6])


class Solver(Protocol):
    """Inverse kinematics from a start."""

    def solve(self, position_m: Vector, from_joint_rad: Vector) -> Vector:
        """Joint angles (6,) [rad] for a tool position (3,) [m]."""
        ...


@dataclass(frozen=True)
class Solves:
    """One solver from one kind of start, per target: residual (N,) [m], tilt (N,) [rad], time (N,) [s]."""

    residual_m: Vector
    tilt_rad: Vector
    took_s: Vector

    def figures(self) -> dict[str, float]:
        """As the JSON object has them."""
        return {
            "within_1mm": float(np.mean(self.residual_m <= 1e-3)),
            "residual_max_mm": float(self.residual_m.max()) * 1e3,
            "tilt_mean_deg": float(np.degrees(self.tilt_rad.mean())),
            "solve_ms": float(np.median(self.took_s)) * 1e3,
            "solve_p99_ms": float(np.percentile(self.took_s, 99)) * 1e3,
        }


def reachable(kinematics: Kinematics, settings: ControllerSettings, count: int, seed: int) -> Vector:
    """Tool positions (count, 3) [m] in the box that some joints within their limits have."""
    generator, found = np.random.default_rng(seed), list[Vector]()
    while len(found) < count:
        joints = generator.uniform(kinematics.lower_rad, kinematics.upper_rad)
        joints[4] = settings.wrist_roll_rad
        tool_m = kinematics.tool_pose(joints).position_m
        if (tool_m >= settings.box_low_m).all() and (tool_m <= settings.box_high_m).all():
            found.append(tool_m)
    return np.array(found)


def near_starts(kinematics: Kinematics, settings: ControllerSettings, targets: Vector, seed: int) -> list[Vector]:
    """For each target the joints (6,) [rad] of a position within the leash, also in the box."""
    offsets = np.random.default_rng(seed).uniform(-settings.leash_m, settings.leash_m, targets.shape)
    around = np.clip(targets + offsets, settings.box_low_m, settings.box_high_m)
    return [kinematics.solve(position_m, FAR_RAD) for position_m in around]


def measure(solver: Solver, kinematics: Kinematics, targets: Vector, starts: Sequence[Vector]) -> Solves:
    """Solve for each target from its start."""
    residual_m, tilt_rad, took_s = [], [], []
    for target_m, start in zip(targets, starts, strict=True):
        turns = [_timed(solver, target_m, start) for _ in range(TURNS)]
        pose = kinematics.tool_pose(turns[0][1])
        residual_m.append(np.linalg.norm(pose.position_m - target_m))
        tilt_rad.append(np.arccos(np.clip(-pose.approach[2], -1, 1)))
        took_s.append(min(seconds for seconds, _ in turns))
    return Solves(np.array(residual_m), np.array(tilt_rad), np.array(took_s))


def _timed(solver: Solver, target_m: Vector, start: Vector) -> tuple[float, Vector]:
    start_s = time.perf_counter()
    joints = solver.solve(target_m, start)
    return time.perf_counter() - start_s, joints


def reset_errors(count: int, seed: int) -> Vector:
    """Distance (count,) [m] of the simulated tool from random start positions, each commanded once and settled."""
    generator, task, settings = np.random.default_rng(seed), GraspLift(TaskSettings()), ControllerSettings()
    contract = sim_contract()
    controller = EndEffectorController(settings, contract.action_scale)
    arm = SimArm(contract.cameras, contract.control_hz, RandomisationSettings(), seed)
    arm.reset(controller.joints_at(np.array(task.settings.start_m), task.settings.start_gripper_rad))
    errors_m = []
    for _ in range(count):
        target_m = task.draw_start(generator).tool_m
        joints = controller.joints_at(target_m, task.settings.start_gripper_rad)
        for _ in range(SETTLING_PERIODS):
            arm.command(joints)
        tool_m = controller.kinematics.tool_pose(arm.read().joint_rad).position_m
        errors_m.append(np.linalg.norm(tool_m - target_m))
    arm.close()
    return np.array(errors_m)


def compare(targets: int, resets: int, peer: Solver | None, seed: int = 0) -> dict[str, Any]:
    """All figures, as the JSON object has them."""
    settings = ControllerSettings()
    ours = Kinematics(settings)
    positions = reachable(ours, settings, targets, seed)
    starts = {"near": near_starts(ours, settings, positions, seed), "far": [FAR_RAD] * targets}
    found = {name: measure(ours, ours, positions, of) for name, of in starts.items()}
    together = Solves(*(np.concatenate([getattr(of, name) for of in found.values()]) for name in _COLUMNS))
    errors_m = reset_errors(resets, seed)
    return {
        **together.figures(),
        **{name: of.figures() for name, of in found.items()},
        "mink": peer and {name: measure(peer, ours, positions, of).figures() for name, of in starts.items()},
        "reset_error_mm": float(np.median(errors_m)) * 1e3,
        "reset_error_max_mm": float(errors_m.max()) * 1e3,
        "targets": targets,
        "resets": resets,
    }


_COLUMNS = ("residual_m", "tilt_rad", "took_s")


def find_peer() -> Solver | None:
    """Mink, when it is installed; else says how to get it."""
    try:
        from bench.mink_kinematics import MinkKinematics
    except ModuleNotFoundError as error:
        if error.name not in ("mink", "qpsolvers", "daqp"):
            raise
        print(f"mink: not measured, since {error.name} is not installed; `make` installs it with the development tools")
        return None
    return MinkKinematics(ControllerSettings())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--targets", type=int, default=1000, help="targets of each kind of start")
    parser.add_argument("--resets", type=int, default=40, help="start positions of the simulated arm")
    parser.add_argument("--no-mink", action="store_true", help="only ours")
    options = parser.parse_args()
    figures = compare(options.targets, options.resets, None if options.no_mink else find_peer())
    for name, side in (("ours", figures), ("mink", figures["mink"])):
        for start in ("near", "far") if side else ():
            of = side[start]
            print(
                f"{name} {start:>4}: {of['within_1mm']:7.2%} within 1 mm, worst {of['residual_max_mm']:.3f} mm, "
                f"tilt {of['tilt_mean_deg']:.1f}° on average; {of['solve_ms']:.2f} ms, p99 {of['solve_p99_ms']:.2f} ms"
            )
    print(
        f"a start commanded once: {figures['reset_error_mm']:.2f} mm off, "
        f"at most {figures['reset_error_max_mm']:.2f} mm"
    )
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
