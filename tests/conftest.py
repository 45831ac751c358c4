"""What every test may count on, whether `make` or pytest alone started it."""

from __future__ import annotations

import os
import signal
import sys

# Before any test imports MuJoCo, which reads it once: draw without a screen.
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

# A shell starts background jobs with Ctrl+C ignored, and every process under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
