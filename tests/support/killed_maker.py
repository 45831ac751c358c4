"""Makes a demo set in a process of its own, which kills itself where a test says."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from demos.make_set import make_demo_set
from policy.experience_file import EpisodeSelection, ExperienceFile

_OPERATIONS = ("open", "os.rename", "os.mkdir", "os.chmod", "os.remove", "os.rmdir", "sqlite3.connect")


def make(source: Path, demos: Path, die_at: int = 0, die_after_episodes: int = 0) -> None:
    """Make a set. die_at: the operation on its files, counted from 1, in which the process kills itself; 0 lives"""
    if die_at:
        sys.addaudithook(_killing_at(die_at, str(demos)))

    def watch(ids: Sequence[int]) -> Iterator[int]:
        for number, episode_id in enumerate(ids):
            if die_after_episodes and number == die_after_episodes:
                os.kill(os.getpid(), signal.SIGKILL)
            yield episode_id

    with closing(ExperienceFile(source)) as experience:
        make_demo_set(experience, demos, "lift", EpisodeSelection(), watch=watch)


def _killing_at(die_at: int, below: str) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook: Python calls it before each operation on a file."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in _OPERATIONS and any(below in str(each) for each in arguments[:2]):
            seen += 1
            if seen >= die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    return hook
