"""What every arm must do alike: the simulated one, the real one's driver, and bytes that were written by hand.

The last two move the virtual arm. `truth` is what no encoder has rounded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from raw_arm import RawArm
from robot.arm import JOINT_NAMES, Arm
from robot.errors import ArmError
from robot.settings import RandomisationSettings
from robot.sim import SimArm, sim_contract
from robot.so101.calibration import MODEL_RANGES_RAD
from robot.virtual.commands import Reset
from robot.virtual.control import Remote
from virtual_arm import driven, torque_of, true_rad

Vector = NDArray[np.float64]
# Free of the table and of itself, also with each joint turned as below.
POSE_RAD = np.array([0.1, -1.0, 0.4, 1.2, -0.1, 0.6])
# No two joints alike, so that none can be taken for another.
TURN_RAD = np.array([0.30, 0.15, -0.15, -0.30, 0.45, -0.45])
SLACK_RAD = 0.03  # gravity makes a position-controlled joint sag


@dataclass(frozen=True, slots=True)
class Bench:
    """An arm, the truth about it, and whose torque is on; None where there is no torque to speak of."""

    arm: Arm
    truth: Callable[[], Vector]
    held: Callable[[], list[str]] | None = None

    def go(self, target_rad: Vector) -> Vector:
        """Command until the arm stands still; where it is."""
        before: Vector = np.full(6, np.inf)
        for _ in range(60):
            self.arm.command(target_rad)
            if self.held is not None:
                time.sleep(0.05)
            now = self.truth()
            if np.abs(now - before).max() < 2e-3:
                break
            before = now
        return self.truth()


@pytest.fixture(scope="module", params=["sim", "so101", "raw"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """An arm that has been reset to `POSE_RAD`; the last test closes it."""
    with ExitStack() as stack:
        arm: Arm
        if request.param == "sim":
            arm = simulated = SimArm(sim_contract().cameras, 10.0, RandomisationSettings(), seed=0)
            made = Bench(arm, lambda: np.array(simulated.data.qpos[simulated._desk.joints]))
        else:
            station: Remote = request.getfixturevalue("_station")
            station.tell(Reset())
            arm = stack.enter_context(driven(station)) if request.param == "so101" else RawArm(station.folder)
            made = Bench(arm, lambda: true_rad(station), lambda: torque_of(station))
        stack.callback(arm.close)
        arm.reset(POSE_RAD)
        yield made


def test_a_reset_lands(bench: Bench) -> None:
    assert bench.truth() == pytest.approx(POSE_RAD, abs=SLACK_RAD)


def test_each_joint_goes_where_it_is_told_and_is_read_as_what_it_is(bench: Bench) -> None:
    start = bench.go(POSE_RAD)
    assert bench.go(POSE_RAD + TURN_RAD) - start == pytest.approx(TURN_RAD, abs=SLACK_RAD)
    assert bench.arm.read().joint_rad == pytest.approx(bench.truth(), abs=0.01)
    bench.go(POSE_RAD)


def test_the_gripper_is_closed_at_0_open_at_1_and_ends_at_its_limit(bench: Bench) -> None:
    for target_rad, expected_rad in ((0.0, 0.0), (1.0, 1.0), (9.0, MODEL_RANGES_RAD[5, 1])):
        reached = bench.go(np.append(POSE_RAD[:5], target_rad))
        assert reached[5] == pytest.approx(expected_rad, abs=0.06), target_rad
        assert bench.arm.read().joint_rad[5] == pytest.approx(reached[5], abs=0.01)


def test_reading_does_not_wait(bench: Bench) -> None:
    begun_s = time.monotonic()
    for _ in range(20):
        bench.arm.read()
    assert time.monotonic() - begun_s < 10.0  # a read that waited for something new would wait for ever


def test_recovering_a_sound_arm_changes_nothing(bench: Bench) -> None:
    before = bench.go(POSE_RAD)
    bench.arm.recover()
    assert bench.truth() == pytest.approx(before, abs=0.01)
    if bench.held is not None:
        assert bench.held() == list(JOINT_NAMES)


def test_closing_lets_go_and_may_be_done_twice_and_nothing_is_read_afterwards(bench: Bench) -> None:
    bench.arm.close()
    bench.arm.close()
    if bench.held is not None:
        assert bench.held() == []
    with pytest.raises(ArmError, match="it has been closed"):
        bench.arm.read()
