"""The actor's own journal: what it made, and what it was promised is kept. Independent of all that is tested.

What one process wrote, the next never touches. A line without an end was not said.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from bench.chaos_world import Key, key_of
from policy.experience import Step

Place = tuple[str, int, int]  # session, episode, step


@dataclass(frozen=True)
class Made:
    """A step as the control loop handed it to the link, without what the key says."""

    key: Key
    source: int
    reward: float
    terminated: bool
    truncated: bool
    policy_version: int
    monotonic_ns: int
    wall_ns: int


def made(step: Step) -> Made:
    """What is to be remembered of a step; the reward as the wire carries it."""
    return Made(
        key=key_of(step.observation),
        source=int(step.source),
        reward=float(np.float32(step.reward)),
        terminated=step.terminated,
        truncated=step.truncated,
        policy_version=step.policy_version,
        monotonic_ns=step.monotonic_ns,
        wall_ns=step.wall_ns,
    )


class Journal:
    """One process's journal, open for writing."""

    def __init__(self, folder: Path, process: int) -> None:
        path = folder / f"journal-{process:04d}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)

    def made(self, step: Step) -> None:
        """The step exists; nobody has promised anything yet."""
        key, *rest = astuple(made(step))
        self._write(["made", _place(step), key, *rest])

    def taken(self, steps: Iterable[Step]) -> None:
        """These steps count as taken: they are never to be lost."""
        self._write(["taken", *(_place(step) for step in steps)])

    def close(self) -> None:
        """No more of it."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, entry: Sequence[Any]) -> None:
        os.write(self._file, json.dumps(entry).encode() + b"\n")


def _place(step: Step) -> Place:
    return step.id.session, step.id.episode, step.id.step


@dataclass
class Journals:
    """All journals of a run.

    made: what each process made, by place; promised: what each promised place holds
    promised_twice: places that two processes have promised, which no learner could keep both
    """

    made: list[dict[Place, Made]] = field(default_factory=list)
    promised: dict[Place, Made] = field(default_factory=dict)
    promised_twice: set[Place] = field(default_factory=set)

    def makers(self, place: Place) -> list[Made]:
        """All that was ever made for a place: several, when one that was not promised yet died with its process."""
        return [steps[place] for steps in self.made if place in steps]


def read_journals(folder: Path) -> Journals:
    """What the processes of a run have written, in their order; a process that came to nothing has an empty one."""
    found = Journals()
    paths = sorted(folder.glob("journal-*.jsonl"))
    count = 1 + max((int(path.stem.removeprefix("journal-")) for path in paths), default=-1)
    found.made = [{} for _ in range(count)]
    for path in paths:
        steps = found.made[int(path.stem.removeprefix("journal-"))]
        *whole, _torn = path.read_text().split("\n")
        for line in whole:
            kind, *rest = json.loads(line)
            if kind == "made":
                place, key, *fields = rest
                steps[tuple(place)] = Made(Key(*key), *fields)
                continue
            for place in map(tuple, rest):
                if place in found.promised:
                    found.promised_twice.add(place)
                found.promised[place] = steps[place]
    return found
