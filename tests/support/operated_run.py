"""A run as its operator has it: a real learner with its dashboard, and a real actor on the simulated arm."""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from console.presets.load import dump_settings, load_preset
from console.run_folder import STORE_FILE
from console.settings import Settings
from console.stopping import Child
from learner.checkpoint_folder import CHECKPOINTS, list_checkpoints, updates_of
from learner.store import EpisodeRecord, StoreReader
from links import free_port
from policies import ENCODER

DEMONSTRATIONS = 2
_EPISODE_ENDED = re.compile(r"^ *(\d+)  (?:demonstration|episode) (\d+):", re.MULTILINE)


def small_settings(runs: Path) -> Settings:
    """The `fast` preset in small, at the pace of a real arm, at ports that stay the same from start to start.

    Nobody waits long: a demonstration takes 2 s, the operator helps after half a second without progress.
    """
    fast, learner_port = load_preset(Settings, "fast"), free_port()
    given = {
        "runs": runs,
        "run": "small",
        "loop": {"demo_episodes": DEMONSTRATIONS, "pace": "realtime", "niceness": 0, "realtime_priority": 0},
        "task": {"max_episode_steps": 40},
        "operator": {"explore_steps": (4, 6), "patience_steps": 3},
        "link": {"address": f"127.0.0.1:{learner_port}", "connect_timeout_s": 120.0, "backoff_max_s": 0.5},
        "service": {"port": learner_port},
        "dashboard": {"port": free_port(), "refresh_s": 0.1},
        "learner": {
            "encoder": {"source": ENCODER},
            "features": {"views": 2, "reduced_channels": 16},
            "network": {"head_width": 8, "hidden": (16,)},
            "sac": {"batch_size": 32},
            "trainer": {
                "demo_episodes": DEMONSTRATIONS,
                "utd": 1.0,
                "publish_every_updates": 10,
                "log_every_updates": 10,
                "checkpoint_every_updates": 20,
                "checkpoints_kept": 100,
                "threads": 1,
            },
        },
    }
    return Settings.model_validate(_merged(fast.model_dump(), given))


class OperatedRun:
    """Its processes, which somebody starts, stops and kills; none outlives this."""

    def __init__(self, runs: Path) -> None:
        self.settings = small_settings(runs)
        self._preset = runs / "small.yaml"
        dump_settings(self.settings, self._preset)
        self.settings.folder.mkdir()
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def folder(self) -> Path:
        return self.settings.folder

    @property
    def url(self) -> str:
        """Of the dashboard, whichever process serves it."""
        return f"http://127.0.0.1:{self.settings.dashboard.port}"

    def start(self, *arguments: str) -> Child:
        """`nudge` with these arguments; its output goes to `VERB.log`."""
        verb = arguments[0]
        named = os.environ.pop("PYTEST_CURRENT_TEST", None)  # as a part of a test NiceGUI would start otherwise
        try:
            return self._exits.enter_context(Child(verb, arguments, self.settings.runs / f"{verb}.log"))
        finally:
            if named is not None:
                os.environ["PYTEST_CURRENT_TEST"] = named

    def start_with_settings(self, verb: str) -> Child:
        """A verb with the settings of this run."""
        return self.start(verb, "--preset", str(self._preset))

    def steps(self) -> int:
        """In the store."""
        with StoreReader(self.folder / STORE_FILE) as store:
            return store.counts().env_steps

    def episodes(self) -> list[EpisodeRecord]:
        """In the store."""
        with StoreReader(self.folder / STORE_FILE) as store:
            return store.episodes()

    def checkpoints(self) -> list[int]:
        """By their updates."""
        return [updates_of(folder) for folder in list_checkpoints(self.folder / CHECKPOINTS)]

    def told_episodes(self) -> list[tuple[int, int]]:
        """What the actor has told of: (environment steps so far, index) of each episode."""
        told = (self.settings.runs / "actor.log").read_text()
        return [(int(steps), int(index)) for steps, index in _EPISODE_ENDED.findall(told)]


def kill(child: Child) -> None:
    """As when the machine takes the memory back: without a word."""
    os.kill(child._process.pid, signal.SIGKILL)
    child._process.wait()


def _merged(below: dict[str, object], above: dict[str, object]) -> dict[str, object]:
    merged = dict(below)
    for name, value in above.items():
        there = merged.get(name)
        merged[name] = _merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return merged
