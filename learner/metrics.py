"""Curves of a run: TensorBoard files and metrics.jsonl, always local, no account needed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from torch.utils.tensorboard import SummaryWriter


class MetricsLog:
    """Appends to `metrics.jsonl` and to TensorBoard files in one folder; a resumed run goes on in the same ones."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lines = (folder / "metrics.jsonl").open("a")
        self._start_s = time.monotonic()
        self._board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, updates: int, env_steps: int, values: Mapping[str, float]) -> None:
        """One reading; `wall_s` counts from the start of this process. In TensorBoard values stand over `updates`."""
        line = {
            "updates": updates,
            "env_steps": env_steps,
            "wall_s": round(time.monotonic() - self._start_s, 3),
            "metrics": dict(values),
        }
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        for name, value in {"env_steps": float(env_steps), **values}.items():
            self._board.add_scalar(f"learner/{name}", value, updates)

    def close(self) -> None:
        """Write everything out. May be called twice."""
        self._lines.close()
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
