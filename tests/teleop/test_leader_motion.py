"""The leader's arithmetic: what a hand's motion becomes, how the leader mirrors, and what tells a hand from a motor."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError

from robot.settings import ControllerSettings
from teleop.leader.clutch import Clutch, DeadZone
from teleop.leader.grab import GrabDetector, Stillness
from teleop.leader.mirror import Mirror
from teleop.leader.posture import GRAB_COUNTS_S, Order, Posture
from teleop.leader.settings import LeaderSettings
from teleop.takeover import Control

SCALE = np.array([0.02, 0.02, 0.02, 0.4], np.float32)
SETTINGS = LeaderSettings()
CONTROLLER = ControllerSettings()
NO_PLAY = LeaderSettings(dead_zone_m=0.0, dead_zone_rad=0.0)
HAND = np.array([0.25, 0.0, 0.10, 0.6])
TARGET = np.array([0.22, 0.03, 0.05, 0.5])
ORIGIN = np.zeros(6)
FEW = settings(max_examples=30)  # each drives a hand for many ticks

Vector = NDArray[np.float64]


def poses(metres: float, radians: float) -> st.SearchStrategy[Vector]:
    return arrays(np.float64, 4, elements=st.floats(-1, 1)).map(
        lambda shares: shares * np.array([metres, metres, metres, radians])
    )


def clutch(settings: LeaderSettings = SETTINGS, hand: Vector = HAND, target: Vector = TARGET) -> Clutch:
    made = Clutch(settings, CONTROLLER, SCALE)
    made.engage(hand, target)
    return made


def driven(made: Clutch, hands: list[Vector], target: Vector = TARGET) -> tuple[Vector, list[Vector]]:
    """Where an ideal follower's target ends, and the actions that brought it there."""
    actions = []
    for hand in hands:
        actions.append(made.action(hand, target).astype(np.float64))
        target = target + actions[-1] * SCALE
    return target, actions


class TestClutch:
    @FEW
    @given(hand=poses(0.5, 1.0), target=poses(0.3, 0.1))
    def test_it_engages_without_a_motion_wherever_hand_and_follower_are(self, hand: Vector, target: Vector) -> None:
        assert not clutch(hand=hand, target=target).action(hand, target).any()

    @pytest.mark.parametrize("axis", range(3))
    @pytest.mark.parametrize("way_m", [0.1, -0.1])
    def test_the_follower_goes_as_far_as_the_hand(self, axis: int, way_m: float) -> None:
        way = np.zeros(4)
        way[axis] = way_m
        # 0.1 m in 10 ticks is 0.01 m a tick, half of what an action can do.
        target, actions = driven(clutch(NO_PLAY), [HAND + way * share for share in np.linspace(0.1, 1.0, 10)])
        np.testing.assert_allclose(target - TARGET, way, atol=1e-6)
        np.testing.assert_allclose(actions, [way / 10 / SCALE] * 10, atol=1e-5)

    def test_the_play_is_all_that_is_lost_of_a_slow_motion(self) -> None:
        # 0.1 mm a tick is far below the play of 1.5 mm.
        hands = [HAND + np.array([0.0001 * tick, 0, 0, 0]) for tick in range(200)]
        target, _ = driven(clutch(), hands)
        assert target[0] - TARGET[0] == pytest.approx(0.0199 - SETTINGS.dead_zone_m, abs=1e-6)

    @FEW
    @given(shakes=st.lists(poses(SETTINGS.dead_zone_m / 2, SETTINGS.dead_zone_rad * 0.99), min_size=1, max_size=50))
    def test_noise_moves_nothing(self, shakes: list[Vector]) -> None:
        _, actions = driven(clutch(), [HAND + shake for shake in shakes])
        assert not np.any(actions)

    def test_a_fast_hand_is_caught_up_with_and_its_motion_beyond_the_leash_is_lost(self) -> None:
        made = clutch(NO_PLAY)
        there = HAND + np.array([0.2, 0, 0, 0])
        target, actions = driven(made, [there] * 6)
        # 0.06 m of leash are three full actions.
        np.testing.assert_allclose([action[0] for action in actions], [1, 1, 1, 0, 0, 0], atol=1e-5)
        assert target[0] - TARGET[0] == pytest.approx(SETTINGS.leash_m, abs=1e-6)
        # Back by a centimetre, from there: nothing has wound up.
        assert made.action(there - [0.01, 0, 0, 0], target)[0] == pytest.approx(-0.5, abs=1e-4)

    @FEW
    @given(
        hands=st.lists(poses(0.5, 2.0), min_size=1, max_size=30),
        blocked=st.lists(st.booleans(), min_size=30, max_size=30),
    )
    def test_whatever_happens_actions_are_bounded_and_the_hand_is_never_far_ahead(
        self, hands: list[Vector], blocked: list[bool]
    ) -> None:
        made, target = clutch(), TARGET
        for hand, stuck in zip(hands, blocked, strict=False):
            action = made.action(HAND + hand, target)
            assert np.abs(action).max() <= 1
            assert action.dtype == np.float32
            target = target if stuck else target + action.astype(np.float64) * SCALE
            assert (np.abs(made._wanted - target)[:3] <= SETTINGS.leash_m + 1e-9).all()
            assert CONTROLLER.gripper_low_rad - 1e-6 <= target[3] <= CONTROLLER.gripper_high_rad + 1e-6

    def test_a_motion_scale_makes_the_hand_finer(self) -> None:
        fine = LeaderSettings(dead_zone_m=0, motion_scale=0.5)
        target, _ = driven(clutch(fine), [HAND + np.array([0, 0.02, 0, 0])] * 3)
        assert target[1] - TARGET[1] == pytest.approx(0.01, abs=1e-6)


class TestGripper:
    def test_both_jaws_arrive_at_their_ends_together_from_wherever_they_engaged(self) -> None:
        hand, target = HAND.copy(), TARGET.copy()
        hand[3], target[3] = 0.2, 0.5
        made = clutch(NO_PLAY, hand, target)
        for end_rad in (CONTROLLER.gripper_low_rad, CONTROLLER.gripper_high_rad):
            way = np.linspace(hand[3], end_rad, 20)
            for jaw_rad in way:
                hand[3] = jaw_rad
                target, _ = driven(made, [hand.copy()], target)
            target, _ = driven(made, [hand] * 3, target)
            assert target[3] == pytest.approx(end_rad, abs=1e-4)

    def test_a_hand_beyond_the_end_comes_back_without_play(self) -> None:
        made = clutch(NO_PLAY)
        closed = HAND.copy()
        closed[3] = -0.17  # the leader closes farther than the follower's target goes
        target, _ = driven(made, [closed] * 5)
        assert target[3] == pytest.approx(CONTROLLER.gripper_low_rad, abs=1e-5)
        opening = closed + np.array([0, 0, 0, 0.1])
        assert made.action(opening, target)[3] > 0.2

    @FEW
    @given(jaws=st.lists(st.floats(-0.17, 1.7), min_size=1, max_size=40))
    def test_a_closed_hand_closes_and_an_open_one_opens(self, jaws: list[float]) -> None:
        made = clutch()
        hands = [np.append(HAND[:3], jaw_rad) for jaw_rad in jaws]
        target, _ = driven(made, hands)
        for jaw_rad, end_rad in ((-0.17, CONTROLLER.gripper_low_rad), (1.7, CONTROLLER.gripper_high_rad)):
            ways = [np.append(HAND[:3], angle) for angle in np.linspace(hands[-1][3], jaw_rad, 10)]
            target, _ = driven(made, ways + [ways[-1]] * 4, target)
            if abs(hands[-1][3] - jaw_rad) > 2 * SETTINGS.dead_zone_rad:
                assert target[3] == pytest.approx(end_rad, abs=1e-4)
            hands = ways


@FEW
@given(hands=st.lists(poses(0.3, 1.0), min_size=1, max_size=30))
def test_a_dead_zone_follows_no_farther_behind_than_its_play(hands: list[Vector]) -> None:
    zone = DeadZone(0.01, 0.05)
    zone.begin(np.zeros(4))
    way: Vector = np.zeros(4)
    for hand in hands:
        way = way + zone.moved(hand)
        assert np.linalg.norm(hand[:3] - way[:3]) <= 0.01 + 1e-9
        assert abs(hand[3] - way[3]) <= 0.05 + 1e-9


class TestMirror:
    def test_it_goes_to_the_follower_no_faster_than_set(self) -> None:
        mirror = Mirror(speed_rad_s=1.0, lead_rad=0.3)
        follower = np.array([0.5, -0.25, 0, 0, 0, 1.0])
        mirror.begin(ORIGIN)
        joints: Vector = ORIGIN
        ways = []
        for _ in range(60):
            goal = mirror.step(follower, joints, 0.02)
            ways.append(np.abs(goal - joints).max())
            joints = goal
        assert max(ways) == pytest.approx(0.02)
        np.testing.assert_allclose(joints, follower)
        assert np.flatnonzero(np.array(ways) < 1e-9)[0] == 50  # 1 rad at 0.02 a step

    def test_a_hand_that_holds_it_back_is_not_hit_when_it_lets_go(self) -> None:
        mirror = Mirror(speed_rad_s=1.0, lead_rad=0.3)
        mirror.begin(ORIGIN)
        for _ in range(200):
            goal = mirror.step(np.full(6, 1.5), ORIGIN, 0.02)
        assert goal.max() == pytest.approx(0.3)

    @FEW
    @given(
        joints=arrays(np.float64, (20, 6), elements=st.floats(-1.6, 1.6)),
        follower=arrays(np.float64, 6, elements=st.floats(-1.6, 1.6)),
    )
    def test_its_goals_are_always_near_the_joints(self, joints: Vector, follower: Vector) -> None:
        mirror = Mirror(speed_rad_s=1.5, lead_rad=0.3)
        mirror.begin(joints[0])
        for measured in joints:
            assert np.abs(mirror.step(follower, measured, 0.1) - measured).max() <= 0.3 + 1e-9


class TestGrab:
    @staticmethod
    def reads(detector: GrabDetector, joint_rad: float, load: float = 0.0, first_s: float = 0.0) -> list[bool]:
        """Three reads of 20 ms: one joint is there, its goal at 0."""
        joints, loads = ORIGIN.copy(), ORIGIN.copy()
        joints[2], loads[2] = joint_rad, load
        found = []
        for turn in range(3):
            found.append(detector.sees_a_hand(joints, loads, first_s + 0.02 * turn))
            detector.aim(ORIGIN, first_s + 0.02 * turn)
        return found

    @staticmethod
    def detector(**settings: object) -> GrabDetector:
        made = GrabDetector(LeaderSettings.model_validate(settings))
        made.begin()
        made.aim(ORIGIN, -0.02)
        return made

    def test_a_deflection_counts_once_enough_reads_agree(self) -> None:
        assert self.reads(self.detector(), 0.16) == [False, False, True]
        assert self.reads(self.detector(), -0.16) == [False, False, True]
        assert self.reads(self.detector(grab_reads=1), 0.16)[0]

    def test_a_sag_or_one_wrong_read_is_no_hand(self) -> None:
        assert not any(self.reads(self.detector(), 0.14))
        detector = self.detector()
        for turn in range(10):
            joints = np.full(6, 0.5 if turn % 3 == 0 else 0.0)
            assert not detector.sees_a_hand(joints, ORIGIN, 0.02 * turn)

    def test_a_load_counts_where_it_is_asked_for(self) -> None:
        assert not any(self.reads(self.detector(), 0.0, load=0.9))
        assert self.reads(self.detector(grab_load=0.25), 0.0, load=-0.3) == [False, False, True]
        assert not any(self.reads(self.detector(grab_load=0.25), 0.0, load=0.2))

    @FEW
    @given(
        speeds=st.lists(st.floats(-1.5, 1.5), min_size=10, max_size=60),
        lag_reads=st.integers(0, 7),  # 7 · 20 ms = 140 ms, within the window
        sag_rad=st.floats(-0.14, 0.14),
    )
    def test_a_motor_that_is_late_and_sags_is_no_hand(
        self, speeds: list[float], lag_reads: int, sag_rad: float
    ) -> None:
        detector = self.detector()
        goals = np.cumsum(np.array([0.0, *speeds]) * 0.02)
        for turn, goal in enumerate(goals):
            joint = goals[max(0, turn - lag_reads)] + sag_rad
            assert not detector.sees_a_hand(np.full(6, joint), ORIGIN, 0.02 * turn)
            detector.aim(np.full(6, goal), 0.02 * turn)

    def test_a_joint_that_stays_behind_for_longer_is_in_a_hand(self) -> None:
        detector = self.detector()
        found = []
        for turn in range(30):  # the goal walks away at 1 rad/s; what was there 0.15 s ago counts
            found.append(detector.sees_a_hand(ORIGIN, ORIGIN, 0.02 * turn))
            detector.aim(np.full(6, 0.02 * turn), 0.02 * turn)
        # Beyond 0.15 rad the goals of all the window are after 0.15 + 0.15 s: turn 15 to 18, and three reads.
        assert 15 <= found.index(True) <= 19

    def test_stillness_is_counted_from_the_last_motion(self) -> None:
        stillness = Stillness(0.02)
        assert [stillness.seconds(np.full(6, angle), at_s) for angle, at_s in ((0, 0), (0.01, 1), (0.03, 2))] == [
            *(0, 1),
            0,
        ]
        assert stillness.seconds(np.full(6, 0.04), 2.5) == 0.5
        stillness.begin()
        assert stillness.seconds(np.full(6, 0.04), 3.0) == 0

    def test_a_slow_hand_is_not_still(self) -> None:
        stillness = Stillness(0.02)
        longest = max(stillness.seconds(np.full(6, 0.001 * turn), 0.02 * turn) for turn in range(500))
        assert longest <= 0.021 / 0.001 * 0.02


class TestPosture:
    @staticmethod
    def order(control: Control, told_s: float = 0.0) -> Order:
        return Order(control, ORIGIN, told_s)

    def test_it_is_limp_until_it_is_told_something_and_in_a_hand(self) -> None:
        posture = Posture()
        assert not posture.is_stiff(None)
        stiff = {control: posture.is_stiff(self.order(control)) for control in Control}
        assert stiff == {
            Control.POLICY: True,
            Control.ALIGNING: False,
            Control.HUMAN: False,
            Control.RELEASING: True,
        }

    def test_a_grab_makes_it_limp_before_the_loop_agrees(self) -> None:
        posture = Posture()
        posture.grabbed(10.0)
        assert not posture.is_stiff(self.order(Control.POLICY, 10.05))
        assert not posture.is_stiff(self.order(Control.HUMAN, 10.15))
        assert posture.is_stiff(self.order(Control.RELEASING, 10.25))

    def test_a_grab_that_the_loop_does_not_heed_counts_for_a_moment(self) -> None:
        posture = Posture()
        posture.grabbed(10.0)
        # Nothing told since: whoever holds it goes on to hold it.
        assert not posture.is_stiff(self.order(Control.POLICY, 9.9))
        assert posture.is_stiff(self.order(Control.POLICY, 10.0 + GRAB_COUNTS_S))


def test_a_leader_that_mirrors_cannot_count_as_grabbed() -> None:
    with pytest.raises(ValidationError, match=r"settled_rad < grab_rad < lead_rad: got 0\.2, 0\.15"):
        LeaderSettings(settled_rad=0.2)
