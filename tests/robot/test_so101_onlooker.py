"""A real arm that is only looked at, on the virtual arm's port."""

from __future__ import annotations

import numpy as np
import pytest

from robot.arm import JOINT_NAMES
from robot.errors import BusLost
from robot.so101.onlooker import So101Onlooker
from robot.virtual.control import Remote
from virtual_arm import driven, driver_settings, torque_of, true_rad


def test_a_limp_arm_is_read_and_stays_limp(virtual: Remote) -> None:
    with So101Onlooker(driver_settings(virtual), ()) as onlooker:
        np.testing.assert_allclose(onlooker.read().joint_rad, true_rad(virtual), atol=0.01)
        assert torque_of(virtual) == []
    assert torque_of(virtual) == []


def test_a_stiff_arm_stays_stiff_and_who_drives_it_is_not_disturbed(virtual: Remote) -> None:
    with driven(virtual) as arm:
        with pytest.raises(BusLost, match="another process has it"), So101Onlooker(driver_settings(virtual), ()):
            pass
        arm.bus.close()
        with So101Onlooker(driver_settings(virtual), ()) as onlooker:
            onlooker.read()
        assert torque_of(virtual) == list(JOINT_NAMES)
