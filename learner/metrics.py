"""Curves of a run: TensorBoard files and metrics.jsonl, always local, no account needed."""

from __future__ import annotations

import io
import json
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar

from learner.disk import AppendedFile, drop_unfinished_line, room_needed


class MetricsLog:
    """Appends to `metrics.jsonl` and to TensorBoard files in one folder; a resumed run goes on in the same ones.

    Raise `DiskFull` when there is no room; a reading that was refused may be written again. TensorBoard's own writer
    does not allow that: its thread dies of the first error, and all later readings with it.
    """

    def __init__(self, folder: Path) -> None:
        board = folder / "tensorboard"
        with room_needed(folder, "the metrics"):
            board.mkdir(parents=True, exist_ok=True)
            drop_unfinished_line(folder / "metrics.jsonl")
            self._lines = AppendedFile(folder / "metrics.jsonl")
            # A file of this name is what TensorBoard looks for; one for each process, in the order of their time.
            name = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
            self._board = AppendedFile(board / name)
        self._start_s = time.monotonic()
        self._board_begun = False

    def write(self, updates: int, env_steps: int, values: Mapping[str, float]) -> None:
        """One reading; `wall_s` counts from the start of this process. In TensorBoard values stand over `updates`."""
        line = {
            "updates": updates,
            "env_steps": env_steps,
            "wall_s": round(time.monotonic() - self._start_s, 3),
            "metrics": dict(values),
        }
        named = {f"learner/{name}": value for name, value in {"env_steps": float(env_steps), **values}.items()}
        # The curves first: when the line finds no room and comes again, a second point on the first one shows nothing.
        self._board.append(_records(updates, named, header=not self._board_begun))
        self._board_begun = True
        self._lines.append((json.dumps(line) + "\n").encode())

    def close(self) -> None:
        """Write everything out. May be called twice."""
        self._lines.close()
        self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _records(updates: int, values: Mapping[str, float], *, header: bool) -> bytes:
    """TensorBoard's records of one reading, after the one that begins a file."""
    data, now_s = io.BytesIO(), time.time()
    writer = RecordWriter(data)
    if header:
        writer.write(Event(wall_time=now_s, file_version="brain.Event:2").SerializeToString())
    for name, value in values.items():
        event = Event(wall_time=now_s, step=updates, summary=scalar(name, value))
        writer.write(event.SerializeToString())
    return data.getvalue()
