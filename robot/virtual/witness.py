"""Who sees the virtual desk while the real driver moves the virtual arm: where the cube is, as a simulator knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robot.task import CubePose
from robot.virtual.commands import PlaceCube, State
from robot.virtual.control import Remote

# It answers within a millisecond; one that does not has died.
TIMEOUT_S = 5.0


class Witness:
    """Speaks to the control socket of a station. Raises `VirtualArmError` when nobody answers there."""

    def __init__(self, control_socket: Path) -> None:
        self._remote = Remote(control_socket, TIMEOUT_S)

    def cube_state(self) -> NDArray[np.float32]:
        """What `CUBE_STATE` names (5,): position [m], yaw [rad], and 1 while both jaws touch the cube."""
        return np.array(self._remote.tell(State())["cube"], np.float32)

    def place_cube(self, pose: CubePose) -> None:
        """Lay the cube there, at once."""
        self._remote.tell(PlaceCube(x_m=pose.x_m, y_m=pose.y_m, yaw_rad=pose.yaw_rad))

    def close(self) -> None:
        """Leave; the station goes on."""
        self._remote.__exit__()
