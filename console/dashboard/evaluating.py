"""The button `evaluate`: `nudge eval` of the newest policy in a process beside the dashboard, for a simulated arm.

A real arm stands at another machine, and someone must lay the cube for each trial: there the command is told.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass

from console.errors import ConsoleError
from console.presets.load import PRESET_OPTION, settings_text
from console.run_folder import EVALUATION_LOG_FILE, EVALUATION_SETTINGS_FILE, POLICY_FILE
from console.settings import Settings
from console.stopping import Child
from learner.disk import write_atomically

TOLD_LINES = 3  # of its output, once it has ended


@dataclass(frozen=True, slots=True)
class EvaluationView:
    """What the page says of it.

    here: it can be started from the page; runs: it is under way; told: how far it has come, or what came of it
    failed: nothing came of it; commands: what to type at the arm's machine, where it cannot be started from here
    """

    here: bool
    runs: bool = False
    told: str = ""
    failed: bool = False
    commands: tuple[str, ...] = ()


class Evaluating:
    """One evaluation at a time, which ends with this process however that ends. Safe to use from any thread.

    settings: of the run, as they are now
    renew: has a learner that trains write down the policy that it has by now; raises `NudgeError` where it does not
    """

    def __init__(self, settings: Callable[[], Settings], renew: Callable[[], None]) -> None:
        self._settings, self._renew = settings, renew
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._stopped = False

    def start(self) -> str:
        """Begin. Raise `NudgeError` where that cannot be, and while one is under way."""
        settings = self._settings()
        folder = settings.folder
        with self._lock:
            if self._runs():
                raise ConsoleError("evaluate: one is under way; wait for it, or stop it")
            if not _is_here(settings):
                raise ConsoleError("evaluate: this arm is not simulated here; type at its machine what the page says")
            self._renew()
            if not (folder / POLICY_FILE).is_file():
                raise ConsoleError(
                    f"evaluate: there is no {folder / POLICY_FILE} yet; the learner writes it with each checkpoint"
                )
            chosen, log = folder / EVALUATION_SETTINGS_FILE, folder / EVALUATION_LOG_FILE
            write_atomically(chosen, settings_text(settings).encode())
            log.unlink(missing_ok=True)
            self._child, self._stopped = Child("evaluation", ["eval", PRESET_OPTION, str(chosen)], log), False
        return "the newest policy is evaluated"

    def stop(self) -> str:
        """End it, if one is under way. What it has tried so far is lost."""
        with self._lock:
            if not self._runs():
                return "no evaluation is under way"
            self._end()
            self._stopped = True
        return "the evaluation was stopped"

    def close(self) -> None:
        """End it. May be called twice."""
        with self._lock:
            self._end()

    def view(self) -> EvaluationView:
        """What the page says of it now."""
        settings, child = self._settings(), self._child
        if not _is_here(settings):
            return EvaluationView(here=False, commands=_commands(settings))
        if child is None or self._stopped:
            return EvaluationView(here=True)
        status = child.status
        if status is None:
            return EvaluationView(here=True, runs=True, told=child.last_lines(1) or "the policy is loaded …")
        return EvaluationView(here=True, told=child.last_lines(TOLD_LINES), failed=status != 0)

    def _runs(self) -> bool:
        return self._child is not None and self._child.status is None

    def _end(self) -> None:
        if self._child is not None:
            self._child.__exit__()


def _is_here(settings: Settings) -> bool:
    """Whether it needs nothing but this machine: the arm is simulated, and the simulator judges."""
    return settings.arm.kind == "sim" and bool(settings.contract.sim_only) and settings.task.judge != "operator"


def _commands(settings: Settings) -> tuple[str, ...]:
    """At the machine of the arm, in a folder with the preset of its actor: fetch the policy, and try it there."""
    policy = settings.folder.absolute() / POLICY_FILE
    there = f"runs/{settings.run}"
    return (
        f"mkdir -p {shlex.quote(there)}",
        f"scp LEARNER_HOST:{shlex.quote(str(policy))} {shlex.quote(there)}/",
        f"nudge eval --preset PRESET_OF_THE_ACTOR --run {shlex.quote(settings.run)}",
    )
