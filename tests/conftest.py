"""What every test may count on, whether `make` or pytest alone started it."""

from __future__ import annotations

import os
import sys

# Before any test imports MuJoCo, which reads it once: draw without a screen.
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")
