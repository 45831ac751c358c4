"""From the deflection of sticks to an action, and the motion between two ticks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from teleop.gamepad.motion import Motion
from teleop.gamepad.settings import GamepadButtons, GamepadSettings
from teleop.gamepad.shaping import STILL, Action, action_of, shaped, shaped_stick
from teleop.gamepad.state import PadState

CURVES = st.builds(
    GamepadSettings,
    dead_zone=st.floats(0, 0.4),
    full_at=st.floats(0.5, 1),
    exponent=st.floats(1, 5),
)
DEFLECTIONS = st.floats(0, 1)
AXIS = st.floats(-1, 1)
FORWARD: Action = (1.0, 0.0, 0.0, 0.0)


class TestCurve:
    @given(CURVES, DEFLECTIONS, DEFLECTIONS)
    def test_more_deflection_is_never_less_action(self, settings: GamepadSettings, one: float, two: float) -> None:
        low, high = sorted((one, two))
        assert 0 <= shaped(low, settings) <= shaped(high, settings) <= 1

    @given(CURVES)
    def test_it_is_nothing_in_the_dead_zone_and_one_at_the_end(self, settings: GamepadSettings) -> None:
        assert shaped(0, settings) == 0
        assert shaped(settings.dead_zone, settings) == 0
        assert shaped(settings.full_at, settings) == pytest.approx(1)
        assert shaped(1, settings) == pytest.approx(1)

    @given(CURVES)
    def test_motion_starts_at_nothing_behind_the_dead_zone(self, settings: GamepadSettings) -> None:
        # The steepest curve is the straight one over 0.5 - 0.4: 1e-6 of deflection is at most 1e-5 of action.
        assert shaped(settings.dead_zone + 1e-6, settings) <= 1.1e-5

    @given(CURVES, AXIS, AXIS)
    def test_a_stick_is_odd_and_keeps_its_direction(self, settings: GamepadSettings, x: float, y: float) -> None:
        out_x, out_y = shaped_stick(x, y, settings)
        assert shaped_stick(-x, -y, settings) == (-out_x, -out_y)
        assert math.hypot(out_x, out_y) <= 1 + 1e-9
        assert out_x * y == pytest.approx(out_y * x, abs=1e-9)

    def test_numbers_worked_out_by_hand(self) -> None:
        settings = GamepadSettings(dead_zone=0.2, full_at=1.0, exponent=2.0)
        # (0.6 - 0.2) / 0.8 = 0.5, squared
        assert shaped(0.6, settings) == pytest.approx(0.25)
        # (0.36, 0.48) is 0.6 from the middle: 0.25 of action, in the direction (0.6, 0.8)
        assert shaped_stick(0.36, 0.48, settings) == pytest.approx((0.15, 0.2))


class TestAction:
    def test_each_control_moves_its_axis(self) -> None:
        settings = GamepadSettings(speed=0.5, gripper_speed=0.8)
        assert action_of(PadState(), settings) == STILL
        assert action_of(PadState(left_y=1), settings) == pytest.approx((0.5, 0, 0, 0))
        assert action_of(PadState(left_x=-1), settings) == pytest.approx((0, 0.5, 0, 0))  # to the left is +y
        assert action_of(PadState(right_y=1), settings) == pytest.approx((0, 0, 0.5, 0))
        assert action_of(PadState(right_x=1), settings) == pytest.approx((0, 0, 0, 0))
        assert action_of(PadState(right_trigger=1), settings) == pytest.approx((0, 0, 0, -0.8))
        assert action_of(PadState(left_trigger=1), settings) == pytest.approx((0, 0, 0, 0.8))
        assert action_of(PadState(left_trigger=1, right_trigger=1), settings) == pytest.approx(STILL)

    def test_the_settings_turn_it_for_a_person_opposite_the_arm(self) -> None:
        settings = GamepadSettings(
            x="left_stick_back", y="left_stick_right", z="right_stick_left", closing_trigger="left", speed=1
        )
        state = PadState(left_x=0.6, left_y=-0.8, right_x=-1, left_trigger=1)
        assert action_of(state, settings) == pytest.approx((0.8, 0.6, 1, -1))  # (0.6, 0.8) is at the end: 1

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"dead_zone": 0.9, "full_at": 0.9}, "full_at: got 0.9, expected more than the dead zone"),
            ({"x": "left_stick_left", "y": "left_stick_right"}, "expected three different axes"),
            ({"mapping": "Xbox,a:b0"}, "mapping: got 'Xbox,a:b0', expected a GUID"),
        ],
    )
    def test_settings_without_sense_are_refused(self, changes: dict[str, object], reason: str) -> None:
        with pytest.raises(ValidationError, match=reason):
            GamepadSettings.model_validate(changes)

    def test_a_button_does_one_thing(self) -> None:
        with pytest.raises(ValidationError, match="got start for several"):
            GamepadButtons(emergency_stop=("back", "start"))


class TestMotion:
    def test_a_flick_between_two_ticks_counts_for_as_long_as_it_took(self) -> None:
        motion = Motion(window_s=0.2)
        motion.add([STILL], 0.00, 0.04)
        motion.add([FORWARD], 0.04, 0.06)
        motion.add([STILL], 0.06, 0.10)
        # 20 ms of 100 ms
        assert motion.take(0.1) == pytest.approx([0.2, 0, 0, 0])
        motion.add([STILL], 0.10, 0.20)
        assert not motion.take(0.2).any()

    def test_a_flick_within_one_look_counts_too(self) -> None:
        motion = Motion(window_s=0.2)
        # Its three states share 30 ms, for nobody knows when in it they changed.
        motion.add([STILL, FORWARD, STILL], 0.00, 0.03)
        assert motion.take(0.03) == pytest.approx([1 / 3, 0, 0, 0])

    def test_a_stick_held_is_held_whole(self) -> None:
        motion = Motion(window_s=0.2)
        for look in range(20):
            motion.add([FORWARD], look * 0.005, look * 0.005 + 0.005)
        assert motion.take(0.1) == pytest.approx(FORWARD)
        assert motion.take(0.1) == pytest.approx(FORWARD), "two ticks within one look"
        motion.stop()
        assert not motion.take(0.1).any()

    def test_what_came_while_nobody_asked_is_forgotten(self) -> None:
        motion = Motion(window_s=0.2)
        motion.add([FORWARD], 0.0, 1.0)
        motion.add([STILL], 1.0, 1.2)
        assert not motion.take(1.2).any()

    @given(st.lists(st.tuples(AXIS, st.floats(1e-4, 0.01)), min_size=1, max_size=60), st.integers(1, 7))
    def test_the_ticks_add_up_to_all_that_was_asked_for(
        self, looks: list[tuple[float, float]], looks_per_tick: int
    ) -> None:
        motion, now_s, tick_s, moved = Motion(window_s=1.0), 0.0, 0.0, 0.0
        for index, (x, took_s) in enumerate(looks):
            motion.add([(x, 0, 0, 0)], now_s, now_s + took_s)
            now_s += took_s
            if (index + 1) % looks_per_tick == 0 or index + 1 == len(looks):
                moved += float(motion.take(now_s)[0]) * (now_s - tick_s)
                tick_s = now_s
        assert moved == pytest.approx(sum(x * took_s for x, took_s in looks), abs=1e-5)
        assert motion.take(now_s).dtype == np.float32
