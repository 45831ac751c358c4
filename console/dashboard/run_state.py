"""What is known of a run now, from its folder and its learner. A look costs little, however long the run is."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from console.dashboard.learner_look import LearnerLook
from console.dashboard.metrics_tail import MetricsTail
from console.dashboard.verdicts import Verdicts, read_verdicts
from console.report.data import EpisodeSummary
from console.run_folder import METRICS_FILE, SPOOL_FILE, STORE_FILE
from console.settings import Settings
from learner.clipping import ClipShares
from learner.store_prune import file_bytes
from learner.store_reader import EpisodeRecord, StoreReader
from learner.store_watch import NewestStep, StoreWatch
from nudge.v1 import learner_pb2 as pb
from policy.step_schema import StoreError

STATUS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """On the disk [bytes]. spool: None where the actor runs elsewhere"""

    store: int
    spool: int | None
    free: int


@dataclass(frozen=True, slots=True)
class RunState:
    """A run at one moment.

    now_ns: this machine's clock [ns since 1970]
    step_age_s: since the newest step, by the learner's clock where it tells, else by the actor's; None before the first
    learner: what it says; None where none answers, and `learner_problem` says why, empty where none runs
    episodes: by the number of their row, in the order in which they began
    finished: another number, other completed episodes
    clipped: how often the guard clipped lately; None where no step says it
    """

    settings: Settings
    now_ns: int
    newest: NewestStep | None
    step_age_s: float | None
    learner: pb.StatusReply | None
    learner_problem: str
    episodes: Mapping[int, EpisodeRecord]
    finished: int
    clipped: ClipShares | None
    metrics: MetricsTail
    sizes: Sizes
    store_problem: str

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.settings.folder

    @property
    def alive(self) -> bool:
        """Whether a learner answers."""
        return self.learner is not None

    def summaries(self) -> list[EpisodeSummary]:
        """The episodes as the report takes them."""
        return [EpisodeSummary.model_validate(record) for record in self.episodes.values()]


class Asked(Protocol):
    """Where a learner is asked how it stands (`console.dashboard.learner_look`)."""

    def ask(self) -> pb.StatusReply | str | None:
        """What it says; why it does not answer, in words; None where none runs."""
        ...

    def close(self) -> None:
        """Ask no more."""
        ...


class RunWatch:
    """Looks at a run again and again. One thread at a time; `frame`, `cursors` and `verdicts` from any.

    learner: None asks the one of the run folder, over the wire
    ask_every_s: so often at most
    """

    def __init__(self, settings: Settings, learner: Asked | None = None, ask_every_s: float = STATUS_EVERY_S) -> None:
        self.settings = settings
        self._ask_every_s = ask_every_s
        self._store: StoreReader | None = None
        self._watch: StoreWatch | None = None
        self._inode = 0
        self._metrics = MetricsTail(settings.folder / METRICS_FILE)
        self._learner = learner or LearnerLook(settings.folder, settings.service, settings.link.tls)
        self._answer: pb.StatusReply | str | None = None
        self._asked_s = float("-inf")

    def look(self) -> RunState:
        """What is known now."""
        problem = self._look_at_store()
        self._metrics.look()
        now_s = time.monotonic()
        if now_s - self._asked_s >= self._ask_every_s:
            self._answer, self._asked_s = self._learner.ask(), now_s
        learner = self._answer if isinstance(self._answer, pb.StatusReply) else None
        newest = None if self._watch is None else self._watch.newest
        now_ns = time.time_ns()
        return RunState(
            settings=self.settings,
            now_ns=now_ns,
            newest=newest,
            step_age_s=self._step_age_s(newest, learner, now_ns),
            learner=learner,
            learner_problem=self._answer if isinstance(self._answer, str) else "",
            episodes={} if self._watch is None else self._watch.episodes,
            finished=0 if self._watch is None else self._watch.finished,
            clipped=None if self._watch is None else self._watch.clipped,
            metrics=self._metrics,
            sizes=self._sizes(),
            store_problem=problem,
        )

    @property
    def trains(self) -> bool:
        """Whether a learner answered when it was asked last. From any thread."""
        return isinstance(self._answer, pb.StatusReply)

    def frame(self, cursor: int, camera: str, *, final: bool = False) -> bytes | None:
        """A frame as PNG, as it came."""
        watch = self._watch
        return None if watch is None else watch.frame(cursor, camera, final=final)

    def cursors(self, row: int) -> list[int]:
        """Of all steps of an episode, in their order."""
        watch = self._watch
        return [] if watch is None else watch.cursors(row)

    def verdicts(self) -> Verdicts:
        """Who said how its episodes ended."""
        store = self._store
        return Verdicts(None, {}) if store is None else read_verdicts(store)

    def close(self) -> None:
        """Close the store and the channel. May be called twice."""
        self._learner.close()
        if self._store is not None:
            self._store.close()
        self._store = self._watch = None

    def _look_at_store(self) -> str:
        path = self.settings.folder / STORE_FILE
        if not path.is_file():
            return "there is no experience store yet: the learner of this run makes it"
        try:
            self._open(path)
            if self._watch is not None:
                self._watch.look()
        except StoreError as error:
            return str(error)
        return ""

    def _open(self, path: Path) -> None:
        """Open the store, and another one of this name: an earlier run moves aside for a new one."""
        inode = path.stat().st_ino
        if self._store is not None and inode == self._inode:
            return
        if self._store is not None:
            self._store.close()
            self._metrics = MetricsTail(self._metrics.path)
        self._store = StoreReader(path)
        self._watch, self._inode = StoreWatch(self._store), inode
        # What was recorded says how to read it, whichever preset somebody has given.
        self.settings = self.settings.model_copy(update={"contract": self._store.contract})

    def _step_age_s(self, newest: NewestStep | None, learner: pb.StatusReply | None, now_ns: int) -> float | None:
        if newest is None:
            return None
        if learner is not None and learner.last_step_age_s >= 0:
            return learner.last_step_age_s + time.monotonic() - self._asked_s
        return max(0.0, (now_ns - newest.wall_ns) / 1e9)

    def _sizes(self) -> Sizes:
        folder = self.settings.folder
        store, spool = folder / STORE_FILE, folder / SPOOL_FILE
        return Sizes(
            store=file_bytes(store) if store.is_file() else 0,
            spool=file_bytes(spool) if spool.is_file() else None,
            free=shutil.disk_usage(folder).free,
        )
