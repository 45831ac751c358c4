"""The leader arm on a virtual one, and an ideal follower: each is driven by the rule of who is in control."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.kinematics import Kinematics
from robot.settings import ControllerSettings
from robot.sim import sim_contract
from robot.virtual.commands import FollowPath, MoveHand, Plug, ReleaseHand, State
from robot.virtual.control import Remote
from teleop.errors import TeleopError
from teleop.events import EventLatch, TeleopEvent
from teleop.leader.arm import LeaderArm
from teleop.leader.settings import LeaderSettings
from teleop.person import PersonAtDevice
from teleop.settings import TeleopSettings
from teleop.takeover import Control, Decision, OperatorView
from waiting import eventually

Vector = NDArray[np.float64]
CONTRACT, CONTROLLER = sim_contract(), ControllerSettings()
KINEMATICS = Kinematics(CONTROLLER)
PATIENCE_S = 30.0
TICK_S = 0.025
START_RAD = KINEMATICS.solve(np.array([0.25, 0.0, 0.10]), np.array([0.0, 0.0, 0.0, 1.4, 0.0, 0.6]))


def leader_settings(virtual: Remote, **changes: Any) -> LeaderSettings:
    """Patient with a busy machine; only a key releases."""
    given = {
        "port": virtual.folder / "leader",
        "calibration_dir": virtual.folder / "calibration",
        "answer_timeout_s": 0.1,
        "tries": 10,
        "release_after_s": 0.0,
        "mirror_rad_s": 6.0,
        **changes,
    }
    return LeaderSettings.model_validate(given)


class Session:
    """An ideal follower, whose target and tool are one, driven by a person with the leader; the policy never moves."""

    def __init__(self, virtual: Remote, **changes: Any) -> None:
        self.virtual, self.stops = virtual, list[str]()
        self.latch = EventLatch(self.stops.append)
        self.leader = LeaderArm(leader_settings(virtual, **changes), CONTRACT, CONTROLLER, self.latch)
        # On a busy machine the leader's thread may be left waiting for longer than a person would accept.
        self.person = PersonAtDevice(self.leader, self.latch, TeleopSettings(stale_s=5.0))
        self.joint_rad = START_RAD.copy()
        self.target = np.append(KINEMATICS.tool_pose(START_RAD).position_m, START_RAD[5])  # (4,)

    def view(self) -> OperatorView:
        seen = np.concatenate([self.joint_rad[:5], self.target[3:], self.target[:3], np.zeros(4)])
        return OperatorView(seen.astype(np.float32), np.zeros(0, np.float32))

    def tick(self) -> Decision:
        decision = self.person.poll(self.view())
        if decision.action is not None:
            assert np.abs(decision.action).max() <= 1
            self.target = self.target + decision.action.astype(np.float64) * CONTRACT.action_scale
        time.sleep(TICK_S)
        return decision

    def tick_until(self, holds: Callable[[Decision], bool]) -> list[Decision]:
        decisions: list[Decision] = []
        deadline_s = time.monotonic() + PATIENCE_S
        while not decisions or not holds(decisions[-1]):
            assert time.monotonic() < deadline_s, decisions[-1:]
            decisions.append(self.tick())
        return decisions

    def settle(self) -> None:
        """Until the leader mirrors the follower and may be grabbed."""
        self.tick_until(lambda _: self.leader.read(self.view()).settled)
        self.tick()

    def grab(self) -> None:
        """Deflect it, and drive."""
        self.settle()
        self.move_hand(self.true_rad() + np.array([0, 0, 0, 0, 0.4, 0]), speed_rad_s=4.0)
        self.tick_until(lambda decision: decision.control is Control.HUMAN)
        self.rest()

    def rest(self) -> None:
        """Until the hand is where it wants to be, and the follower too."""
        before = None
        deadline_s = time.monotonic() + PATIENCE_S
        while before is None or not np.allclose(before, self.target, atol=1e-6):
            assert time.monotonic() < deadline_s, (before, self.target)
            before = self.target.copy()
            for _ in range(6):
                self.tick()

    def arm(self) -> dict[str, Any]:
        found: dict[str, Any] = self.virtual.tell(State())["arms"]["leader"]
        return found

    def true_rad(self) -> Vector:
        return np.array([self.arm()["joint_rad"][name] for name in JOINT_NAMES])

    def torque(self) -> set[bool]:
        return set(self.arm()["has_torque"].values())

    def move_hand(self, joint_rad: Vector, speed_rad_s: float = 1.0) -> None:
        joints = dict(zip(JOINT_NAMES, joint_rad.tolist(), strict=True))
        self.virtual.tell(MoveHand.model_validate({"joint_rad": joints, "speed_rad_s": speed_rad_s}))


@pytest.fixture
def session(virtual: Remote) -> Iterator[Session]:
    made = Session(virtual)
    with made.leader:
        yield made


def test_it_mirrors_the_follower_with_little_torque_and_is_limp_before_and_after(virtual: Remote) -> None:
    session = Session(virtual)
    with session.leader:
        time.sleep(0.1)
        assert session.torque() == {False}
        assert not session.leader.read(session.view()).settled
        session.settle()
        eventually(lambda: session.true_rad() == pytest.approx(START_RAD, abs=0.01))
        session.joint_rad = START_RAD + np.array([0.3, -0.2, 0.1, -0.1, 0.0, 0.0])
        session.target[3] = 0.9
        session.settle()
        goal = np.append(session.joint_rad[:5], 0.9)
        session.tick_until(lambda _: session.true_rad() == pytest.approx(goal, abs=0.01))
        assert session.torque() == {True}
        assert session.tick().control is Control.POLICY
    assert session.torque() == {False}


def test_a_grab_makes_it_limp_and_takes_over_without_a_motion(session: Session) -> None:
    session.settle()
    session.move_hand(session.true_rad() + np.array([0, 0, 0.5, 0, 0, 0]), speed_rad_s=4.0)
    decisions = session.tick_until(lambda decision: decision.control is not Control.POLICY)
    assert decisions[-1].control is Control.HUMAN  # limp already: it never had to be waited for
    assert session.torque() == {False}
    assert decisions[-1].action is not None
    assert not decisions[-1].action.any()
    session.rest()
    # A hand that rests: the encoders' noise is no motion.
    decisions = [session.tick() for _ in range(10)]
    assert all(decision.action is not None and np.abs(decision.action).max() < 1e-4 for decision in decisions)


def test_the_follower_goes_where_the_hand_goes_axis_by_axis(session: Session) -> None:
    session.grab()
    for axis in range(4):
        hand_rad, before = session.true_rad(), session.target.copy()
        wanted = np.append(KINEMATICS.tool_pose(hand_rad).position_m, hand_rad[5])
        wanted[axis] += 0.03 if axis < 3 else 0.2
        there_rad = KINEMATICS.solve(wanted[:3], hand_rad)
        there_rad[5] = wanted[3]
        session.move_hand(there_rad)
        session.rest()
        way = np.zeros(4)
        way[axis] = 0.03 if axis < 3 else 0.2
        # A millimetre and a half of play, and the way of the joints is not quite straight.
        np.testing.assert_allclose((session.target - before)[:3], way[:3], atol=0.004)
        assert (session.target - before)[3] == pytest.approx(way[3], abs=0.05)


def test_a_fast_hand_is_followed_with_full_actions_that_do_not_wind_up(session: Session) -> None:
    session.grab()
    hand_rad, before = session.true_rad(), session.target.copy()
    session.move_hand(hand_rad - np.array([0.8, 0, 0, 0, 0, 0]), speed_rad_s=20)  # 0.2 m to the left, at once
    session.rest()
    way_m = float(session.target[1] - before[1])
    assert 0.04 < way_m <= 0.1  # the leash is 0.06 m, and some ticks have passed on the way
    session.move_hand(session.true_rad() + np.array([0.1, 0, 0, 0, 0, 0]), speed_rad_s=20)
    session.rest()
    # It comes back at once, by as much as the hand: 0.25 m · (sin 0.7 - sin 0.8) = -0.018 m.
    assert session.target[1] - before[1] - way_m == pytest.approx(-0.018, abs=0.006)


def test_a_release_stiffens_it_where_it_is_and_it_goes_back_without_a_jump(virtual: Remote) -> None:
    session = Session(virtual, mirror_rad_s=1.5)
    with session.leader:
        session.grab()
        session.move_hand(session.true_rad() + np.array([0.5, 0, 0, 0.4, 0, 0.0]))
        session.rest()
        session.latch.press(TeleopEvent.RELEASE, "a key")
        assert session.tick().control is Control.RELEASING
        # Who still holds it feels its pull, and is not taken for somebody who takes over.
        decisions = [session.tick() for _ in range(12)]
        assert {decision.control for decision in decisions} == {Control.RELEASING}
        assert session.torque() == {True}
        held_rad = session.true_rad()
        session.virtual.tell(ReleaseHand())
        samples = [(time.monotonic(), held_rad)]
        while session.tick().control is Control.RELEASING:
            samples.append((time.monotonic(), session.true_rad()))
        # Its goals were at most 0.3 rad ahead; then no faster than 1.5 rad/s.
        first_s, _ = samples[0]
        for at_s, joint_rad in samples:
            assert np.abs(joint_rad - held_rad).max() < 0.3 + 1.7 * (at_s - first_s) + 0.05
        assert session.tick().control is Control.POLICY
        assert np.abs(session.true_rad() - session.view().proprioception[:6]).max() < 0.1


def test_a_key_takes_over_once_the_torque_is_off(session: Session) -> None:
    session.settle()
    session.latch.press(TeleopEvent.TOGGLE, "a key")
    decision = session.tick()
    assert decision.control is Control.ALIGNING
    assert decision.action is None
    decisions = session.tick_until(lambda decision: decision.control is Control.HUMAN)
    assert session.torque() == {False}
    assert decisions[-1].action is not None
    assert not decisions[-1].action.any()
    before = session.target.copy()
    session.rest()
    np.testing.assert_allclose(session.target, before, atol=1e-6)  # nobody has moved the leader
    session.latch.press(TeleopEvent.TOGGLE, "a key")
    session.tick_until(lambda decision: decision.control is Control.POLICY)
    assert session.torque() == {True}


def test_a_hand_that_keeps_still_gives_the_arm_back(virtual: Remote) -> None:
    session = Session(virtual, release_after_s=0.4)
    with session.leader:
        session.settle()
        hand_rad = session.true_rad()
        swing = [{"shoulder_pan": float(hand_rad[0] + way_rad)} for way_rad in (0.0, 0.4, 0.0, 0.3)]
        points = tuple(zip((0.0, 0.2, 0.4, 1.2), swing, strict=True))
        virtual.tell(FollowPath.model_validate({"points": points}))
        session.tick_until(lambda decision: decision.control is Control.HUMAN)
        session.tick_until(lambda decision: decision.control is Control.RELEASING)
        assert session.true_rad()[0] == pytest.approx(hand_rad[0] + 0.3, abs=0.02)  # not before the hand was there
        virtual.tell(ReleaseHand())
        session.tick_until(lambda decision: decision.control is Control.POLICY)


def test_one_that_is_unplugged_is_silent_and_mirrors_again_once_it_is_back(session: Session) -> None:
    session.grab()
    session.virtual.tell(Plug(arm="leader", plugged_in=False))
    session.virtual.tell(ReleaseHand())
    decisions = session.tick_until(lambda decision: decision.control is Control.RELEASING)
    assert "leader arm: gone" in decisions[-1].lost
    assert session.leader.read(session.view()).age_s > 0
    assert not session.leader.read(session.view()).ready
    session.virtual.tell(Plug(arm="leader", plugged_in=True))
    session.tick_until(lambda decision: decision.control is Control.POLICY)
    assert session.torque() == {True}
    assert session.leader.read(session.view()).age_s < 5


def test_between_episodes_a_grab_begins_a_demonstration(session: Session) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not session.leader.read(session.view()).settled:
        assert "`take over` with the leader arm" in session.person.awaits(session.view(), demonstrating=True)
        assert time.monotonic() < deadline_s
        time.sleep(TICK_S)
    session.move_hand(session.true_rad() + np.array([0.5, 0, 0, 0, 0, 0]), speed_rad_s=4.0)
    while session.person.awaits(session.view(), demonstrating=True):
        assert time.monotonic() < deadline_s
        time.sleep(TICK_S)
    session.person.begin_episode(demonstrating=True)
    assert session.tick().control is Control.HUMAN


class TestRefusals:
    def test_a_port_that_is_not_there(self, tmp_path: Path, virtual: Remote) -> None:
        for port, told in ((None, "teleop.leader.port"), (tmp_path / "ttyACM7", "there is no such device")):
            session = Session(virtual, port=port)
            with pytest.raises(TeleopError, match=f"leader arm: .*{told}"), session.leader:
                pass

    def test_a_calibration_that_is_another_arms(self, tmp_path: Path, virtual: Remote) -> None:
        (tmp_path / "leader.json").write_text((virtual.folder / "calibration" / "follower.json").read_text())
        session = Session(virtual, calibration_dir=tmp_path)
        with pytest.raises(TeleopError, match="this file is not of this arm"), session.leader:
            pass
        assert session.torque() == {False}

    def test_a_calibration_without_the_whole_range_of_a_joint(self, tmp_path: Path, virtual: Remote) -> None:
        joints = json.loads((virtual.folder / "calibration" / "leader.json").read_text())
        joints["elbow_flex"]["range_max"] -= 800
        (tmp_path / "leader.json").write_text(json.dumps(joints))
        session = Session(virtual, calibration_dir=tmp_path)
        with pytest.raises(TeleopError, match="elbow_flex: got a range of"), session.leader:
            pass
