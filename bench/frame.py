"""Time of one 128x128 frame of the simulated arm: decimated visuals against the meshes as published, taking turns.

    python bench/frame.py [--json]

The cameras, lights and flags are those of `robot.sim`; only the arm's visual meshes differ.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from statistics import median

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import mujoco  # noqa: E402
import numpy as np  # noqa: E402

from robot.scene import FRAME_PX, FRONT_CAMERA, WRIST_CAMERA, build_scene  # noqa: E402
from robot.sim import picture  # noqa: E402

ROUNDS, FRAMES_DECIMATED, FRAMES_FULL = 7, 40, 2
POSE_RAD = (0.0, 0.0, 0.0, 1.4, 0.0, 0.6)


class Scene:
    """One scene with its renderer."""

    def __init__(self, *, full_visuals: bool) -> None:
        self._model = build_scene(full_visuals=full_visuals)
        self._data = mujoco.MjData(self._model)
        self._data.qpos[: len(POSE_RAD)] = POSE_RAD
        mujoco.mj_forward(self._model, self._data)
        self._renderer = mujoco.Renderer(self._model, FRAME_PX, FRAME_PX)
        self.turn(2)  # first frames upload the meshes

    def turn(self, frames: int) -> float:
        """Mean time of a frame over both cameras [ms]."""
        start_s = time.perf_counter()
        for index in range(frames):
            picture(self._renderer, self._data, (WRIST_CAMERA, FRONT_CAMERA)[index % 2])
        return (time.perf_counter() - start_s) / frames * 1e3

    def close(self) -> None:
        """Free the EGL context."""
        self._renderer.close()


def main() -> None:
    """Measure in turns and print medians."""
    decimated, full = Scene(full_visuals=False), Scene(full_visuals=True)
    rounds = [(decimated.turn(FRAMES_DECIMATED), full.turn(FRAMES_FULL)) for _ in range(ROUNDS)]
    decimated.close()
    full.close()
    ours_ms, full_ms = (median(times) for times in np.array(rounds).T.tolist())
    print(f"frame: {ours_ms:.2f} ms decimated, {full_ms:.1f} ms as published, median of {ROUNDS} rounds")
    if "--json" in sys.argv[1:]:
        print(json.dumps({"frame_ms": ours_ms, "full_frame_ms": full_ms, "ratio": full_ms / ours_ms}))


if __name__ == "__main__":
    main()
