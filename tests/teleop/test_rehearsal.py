"""The rehearsal: what was executed and what was measured must agree, axis by axis, before anything is recorded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from keyboard_program import contract
from teleop.rehearsal import ItemState, Rehearsal
from teleop.takeover import Control

CONTRACT = contract()
NAMES = [dimension.name for dimension in CONTRACT.proprioception]
MOVED = [*(NAMES.index(f"tool.{axis}") for axis in "xyz"), NAMES.index("joint.gripper")]
LEAD = [NAMES.index(f"lead.{axis}") for axis in ("x", "y", "z", "gripper")]
AXES = ["x", "y", "z", "gripper"]
WAYS = [sign * np.eye(4)[axis] for axis in range(4) for sign in (1, -1)]  # in the order of the items


class Arm:
    """An arm whose tool comes half of the way to its target in each step. wiring: what an action really moves."""

    def __init__(self, wiring: NDArray[np.float64] | None = None) -> None:
        self.rehearsal = Rehearsal(CONTRACT)
        self._wiring = np.eye(4) if wiring is None else wiring
        self._target: NDArray[np.float64] = np.zeros(4)  # in action units
        self._position: NDArray[np.float64] = np.zeros(4)

    def drive(self, action: NDArray[np.float64], steps: int = 6, control: Control = Control.HUMAN) -> None:
        for _ in range(steps):
            before = self._proprioception()
            self._target = self._target + self._wiring @ action
            self._position = self._position + 0.5 * (self._target - self._position)
            self.rehearsal.see(control, action, before, self._proprioception())

    def _proprioception(self) -> NDArray[np.float32]:
        values = np.zeros(len(NAMES), np.float32)
        values[MOVED] = self._position * CONTRACT.action_scale
        values[LEAD] = (self._target - self._position) * CONTRACT.action_scale
        return values

    def state(self, item: int) -> ItemState:
        return self.rehearsal.items[item].state


def test_a_sound_arm_is_done_after_every_way_and_a_takeover_and_its_release() -> None:
    arm = Arm()
    arm.drive(np.zeros(4), 1, Control.POLICY)
    assert {item.state for item in arm.rehearsal.items} == {ItemState.TODO}
    for number, way in enumerate(WAYS):
        arm.drive(way)
        done = [item.state is ItemState.DONE for item in arm.rehearsal.items]
        assert done == [*[True] * (number + 1), *[False] * (7 - number), True, False]  # taken over, never released
    arm.drive(np.zeros(4), 1, Control.RELEASING)
    assert arm.rehearsal.done
    assert all(line.startswith("✓") for line in arm.rehearsal.lines())


@pytest.mark.parametrize("axis", range(4))
def test_a_negated_axis_is_named_with_the_cure(axis: int) -> None:
    wiring = np.eye(4)
    wiring[axis, axis] = -1
    arm = Arm(wiring)
    for way in WAYS:
        arm.drive(way, 8)
        arm.drive(np.zeros(4), 4)
    contradicting = [number for number, item in enumerate(arm.rehearsal.items) if item.state is ItemState.CONTRADICTS]
    assert contradicting == [2 * axis, 2 * axis + 1]
    finding = arm.rehearsal.items[2 * axis].finding
    assert f"sent along +{AXES[axis]}, it went the other way (-" in finding
    assert "nudge calibrate" in finding


def test_swapped_axes_are_named_with_what_moved_instead() -> None:
    arm = Arm(np.eye(4)[[1, 0, 2, 3]])
    arm.drive(WAYS[0])
    assert arm.state(0) is ItemState.CONTRADICTS
    assert "sent along +x, it went along y instead" in arm.rehearsal.items[0].finding


def test_the_last_try_counts() -> None:
    arm = Arm(-np.eye(4))
    arm.drive(WAYS[0], 8)
    assert arm.state(0) is ItemState.CONTRADICTS
    arm._wiring = np.eye(4)
    arm.drive(np.zeros(4), 12)
    arm.drive(WAYS[0], 12)
    assert arm.state(0) is ItemState.DONE
    assert arm.rehearsal.items[0].finding == ""


def test_only_what_the_hand_does_counts() -> None:
    arm = Arm()
    for way in WAYS:
        arm.drive(way, control=Control.POLICY)
    assert all(item.state is ItemState.TODO for item in arm.rehearsal.items)


def test_being_in_control_from_the_start_is_no_takeover() -> None:
    arm = Arm()
    arm.drive(np.zeros(4), 1)
    assert arm.rehearsal.items[-2].state is ItemState.TODO


def test_who_presses_against_the_table_contradicts_nothing() -> None:
    arm = Arm(np.diag([1.0, 1.0, 0.0, 1.0]))
    arm.drive(WAYS[5], 30)
    assert arm.state(5) is ItemState.TODO


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 12)), max_size=12))
def test_a_sound_arm_never_contradicts_however_it_is_driven(moves: list[tuple[int, int]]) -> None:
    arm = Arm()
    for way, steps in moves:
        arm.drive(WAYS[way], steps)
    assert all(item.state is not ItemState.CONTRADICTS for item in arm.rehearsal.items)
