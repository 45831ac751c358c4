"""How far a run has been sent to a service: kept in the run folder, so that nothing goes twice over a restart."""

from __future__ import annotations

import uuid
from pathlib import Path

from pydantic import Field, ValidationError

from console.mirror.settings import Service
from console.mirror.sink import Identity, SinkError
from learner.disk import write_atomically
from policy.contract import Frozen


class Sent(Frozen):
    """What one destination has of a run."""

    line: int = Field(default=1, ge=1, description="a rollback that undoes what was sent begins another one there")
    points: int = Field(default=0, ge=0, description="sent in this line")
    rollback: str = Field(default="", description="folder of the last rollback that this line knows")
    metrics_bytes: int = Field(default=0, ge=0, description="of metrics.jsonl that are dealt with")
    updates: int = Field(default=-1, ge=-1, description="of the last reading that was sent")
    episode_row: int = Field(default=0, ge=0, description="last row of the store's episodes that was looked at")
    open_rows: tuple[int, ...] = Field(default=(), description="rows up to it whose episode had no end yet")
    evaluations: tuple[str, ...] = Field(default=(), description="those that were sent, by a hash of their trials")

    def anew(self, rollback: str) -> Sent:
        """Nothing sent yet, in the line that follows."""
        return Sent(line=self.line + 1, rollback=rollback)


class _Memory(Frozen):
    id: str = Field(min_length=1)
    destinations: dict[str, Sent] = Field(default={})


class SentFile:
    """`mirror-SERVICE.json` of a run. Raise `SinkError` for a file that is none, `DiskFull` where there is no room."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.path = folder / f"mirror-{service}.json"
        self._memory = self._read()
        self._write(self._memory)  # the id is known before anything goes out under it

    def sent(self, destination: str) -> Sent:
        """How far it went there."""
        return self._memory.destinations.get(destination, Sent())

    def remember(self, destination: str, sent: Sent) -> None:
        """It is there."""
        memory = _Memory(id=self._memory.id, destinations={**self._memory.destinations, destination: sent})
        self._write(memory)
        self._memory = memory

    def identity(self, run: str, sent: Sent) -> Identity:
        """As what it goes there, in its present line."""
        if sent.line == 1:
            return Identity(self._memory.id, run, run)
        return Identity(f"{self._memory.id}-{sent.line}", f"{run}-{sent.line}", run)

    def _write(self, memory: _Memory) -> None:
        write_atomically(self.path, (memory.model_dump_json(indent=1) + "\n").encode())

    def _read(self) -> _Memory:
        if not self.path.is_file():
            return _Memory(id=uuid.uuid4().hex[:12])
        try:
            return _Memory.model_validate_json(self.path.read_bytes())
        except ValidationError as error:
            raise SinkError(
                f"{self.path}: does not say how far the run was sent ({error}); move it away, and all of the run goes "
                f"out again as a new one"
            ) from error
