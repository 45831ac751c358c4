"""The hands of the fault bench: they start actor and learner again and again, and do their worst to both."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from multiprocessing.process import BaseProcess
from typing import Literal, Self

from bench.chaos_processes import run_actor, run_learner, run_nudge_learner
from bench.forking import forking
from bench.proxy import BOTH, Proxy, Way
from bench.turns import BenchError
from console.run_folder import READY_FILE, SETTINGS_FILE, STORE_FILE
from console.settings import Settings
from policy.step_schema import connect_to_look

Role = Literal["actor", "learner"]
ROLES: tuple[Role, ...] = ("actor", "learner")
PROTOCOL_VERSIONS = ("1.0", "1.9")
TICK_S = 0.02
STUCK_S = 120.0  # far longer than anything takes, on a busy machine too
BROKEN_OFF_AFTER_BYTES = 30_000  # at most; a step has about 6,000
LONG_STOP_S = 14.0  # beyond keepalive's time and its time-out


class Storm:
    """Two processes, the proxy between them, and the faults. Use as a context; not safe to use from several threads.

    real_learner: `nudge learner` with its trainer, in place of one that only stores
    """

    def __init__(self, run: Settings, seed: int, *, real_learner: bool) -> None:
        self._folder, self._seed, self._real_learner = run.folder, seed, real_learner
        self._rng = random.Random(seed)
        self._context = forking()  # else most of a run would go by in imports, and most kills would hit one
        self._proxy = Proxy()
        link = run.link.model_copy(update={"address": self._proxy.address})
        self._run = run.model_copy(update={"link": link})
        self._processes: dict[Role, BaseProcess] = {}
        self._asked: set[Role] = set()  # to stop
        self._lives: Counter[Role] = Counter()
        self._not_before_s: dict[Role, float] = {}
        self.counts: Counter[str] = Counter()
        self.killed_actors: set[int] = set()
        self.unexpected: list[str] = []
        self.half_open_noticed_s: list[float] = []

    def kill(self) -> None:
        """SIGKILL one of the two: in the middle of something, while it starts, or while it stops."""
        role: Role = self._rng.choice(("actor", "actor", "learner"))
        self._ensure(role)
        match self._rng.choice(("running", "starting", "stopping")):
            case "running":
                pass
            case "starting":
                self._end(role)
                self._begin(role)
                self.wait(self._rng.uniform(0.0, 0.7), tending=False)
            case _:
                self._ask_to_stop(role)
                self.wait(self._rng.uniform(0.0, 0.2), tending=False)
        process = self._processes[role]
        process.kill()
        process.join()
        if process.exitcode == -signal.SIGKILL:
            self.counts["kills"] += 1
        self._bury(role)
        self._not_before_s[role] = time.monotonic() + self._rng.choice((0.0, 0.0, self._rng.uniform(0.0, 1.5)))

    def cut(self) -> None:
        """Break the connections: reset, broken off within a message, or refused for a while as well."""
        match self._rng.choice(("reset", "truncated", "refused")):
            case "reset":
                broken = self._proxy.cut()
            case "truncated":
                broken = self._proxy.truncate(
                    self._rng.choice(tuple(Way)), self._rng.randrange(1, BROKEN_OFF_AFTER_BYTES)
                )
            case _:
                self._proxy.refuse()
                broken = self._proxy.cut()
                self.wait(self._rng.uniform(0.0, 1.5))
                self._proxy.accept()
        self.counts["cuts"] += broken > 0

    def half_open(self) -> None:
        """Leave the connection standing and swallow what it carries; wait until the actor has noticed."""
        self.wait_for_steps(1)
        ways = self._rng.choice((BOTH, frozenset({Way.UP}), frozenset({Way.DOWN})))
        accepted, begin_s = self._proxy.accepted, time.monotonic()
        if self._proxy.halve(ways) == 0:
            return
        self._until(lambda: self._proxy.accepted > accepted, f"a half-open link ({sorted(ways, key=str)}) was noticed")
        self.half_open_noticed_s.append(time.monotonic() - begin_s)
        self.counts["half_open"] += 1

    def freeze(self) -> None:
        """Silence on the link, without any loss."""
        self._proxy.freeze()
        self.wait(self._rng.uniform(0.2, 3.0))
        self._proxy.thaw()
        self.counts["freezes"] += 1

    def slow(self) -> None:
        """A link of few bytes a second with a long way to go, for a while."""
        self._proxy.delay_s, self._proxy.bytes_per_s = self._rng.uniform(0.0, 0.3), self._rng.uniform(5e4, 1e6)
        self.wait(self._rng.uniform(0.5, 2.0))
        self._proxy.delay_s, self._proxy.bytes_per_s = 0.0, None
        self.counts["slow_links"] += 1

    def stop(self, *, long: bool = False) -> None:
        """A process stands still, as that of a machine that sleeps; a long one is beyond all patience of keepalive."""
        role: Role = "actor" if long else self._rng.choice(ROLES)
        self._ensure(role)
        process = self._processes[role]
        if process.pid is None or not process.is_alive():
            return
        os.kill(process.pid, signal.SIGSTOP)
        self.wait(LONG_STOP_S if long else self._rng.uniform(0.2, 2.0))
        os.kill(process.pid, signal.SIGCONT)
        self.counts["long_stops" if long else "stops"] += 1

    def wait(self, seconds: float, *, tending: bool = True) -> None:
        """Let time pass, and start again whoever is due."""
        end_s = time.monotonic() + seconds
        while True:
            if tending:
                self._tend()
            remaining_s = end_s - time.monotonic()
            if remaining_s <= 0:
                return
            time.sleep(min(TICK_S, remaining_s))

    def wait_for_steps(self, count: int) -> None:
        """Wait until so many more steps are in the store; raise `BenchError` when they do not come."""
        before = self._stored()
        self._until(lambda: self._stored() >= before + count, f"{count} more steps than {before} were stored")

    def calm_down(self) -> None:
        """Let the actor stop, deliver all that waits, and stop the learner."""
        self._end("actor")
        self._begin("actor", drain=True)
        self._until(
            lambda: not self._processes["actor"].is_alive(), "the actor delivered what waits", tending=("learner",)
        )
        self._asked.add("actor")
        self._bury("actor")
        self._end("learner")

    def __enter__(self) -> Self:
        self._tend()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.join()
        self._proxy.close()

    def _until(self, true: Callable[[], bool], what: str, tending: tuple[Role, ...] = ROLES) -> None:
        deadline_s = time.monotonic() + STUCK_S
        while not true():
            if time.monotonic() > deadline_s:
                raise BenchError(f"stuck: it did not happen within {STUCK_S:.0f} s that {what}; see {self._folder}")
            self._tend(tending)
            time.sleep(TICK_S)

    def _tend(self, roles: tuple[Role, ...] = ROLES) -> None:
        """Start whoever has ended, note why if nobody had asked for it, and lead the proxy to the learner."""
        for role in roles:
            if role in self._processes or time.monotonic() >= self._not_before_s.get(role, 0.0):
                self._ensure(role)
        ready = self._folder / READY_FILE
        if self._proxy.target is None and ready.is_file():
            self._proxy.target = int(json.loads(ready.read_text())["address"].rpartition(":")[2])

    def _begin(self, role: Role, *, drain: bool = False) -> None:
        life = self._lives[role]
        self._lives[role] += 1
        if role == "actor":
            process = self._context.Process(target=run_actor, args=(self._run, self._seed, life, drain), daemon=True)
        elif self._real_learner:
            arguments = (self._folder / SETTINGS_FILE, self._folder / "learner.log")
            process = self._context.Process(target=run_nudge_learner, args=arguments, daemon=True)
        else:
            version = self._rng.choice(PROTOCOL_VERSIONS)
            process = self._context.Process(
                target=run_learner, args=(self._run, self._seed, life, version), daemon=True
            )
        process.start()
        self._processes[role] = process

    def _ensure(self, role: Role) -> None:
        """Have the process run, now."""
        if role in self._processes and not self._processes[role].is_alive():
            self._bury(role)
        if role not in self._processes:
            self._begin(role)

    def _ask_to_stop(self, role: Role) -> None:
        process = self._processes[role]
        self._asked.add(role)
        process.terminate()

    def _end(self, role: Role) -> None:
        """Ask a process to stop, and wait until it has; an actor that is connecting gets a learner first."""
        self._ensure(role)
        self._ask_to_stop(role)
        tending: tuple[Role, ...] = ("learner",) if role == "actor" else ()
        self._until(lambda: not self._processes[role].is_alive(), f"the {role} stopped when it was asked to", tending)
        self._bury(role)

    def _bury(self, role: Role) -> None:
        """Note how a process has ended."""
        process = self._processes.pop(role)
        process.join()
        status = process.exitcode
        if role == "learner":
            self._proxy.target = None
            (self._folder / READY_FILE).unlink(missing_ok=True)  # a killed one leaves it
        if role == "actor" and status == -signal.SIGKILL:
            self.killed_actors.add(self._lives["actor"] - 1)
        # Asked before it could listen, a process ends by the signal itself.
        asked = role in self._asked and status in {0, -signal.SIGTERM}
        if status != -signal.SIGKILL and not asked:
            self.unexpected.append(f"{role}, life {self._lives[role] - 1}: it ended with status {status}")
        self._asked.discard(role)

    def _stored(self) -> int:
        path = self._folder / STORE_FILE
        if not path.is_file():
            return 0
        with closing(connect_to_look(path)) as store:
            try:
                return int(store.execute("SELECT COALESCE(MAX(seq), 0) FROM steps").fetchone()[0])
            except sqlite3.OperationalError:  # its tables are being made
                return 0
