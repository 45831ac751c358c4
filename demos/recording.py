"""A recording that grows: each demonstration is checked once it is over, and only sound ones count."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from demos.checks import Checks, check_episode, forbidding
from demos.coverage import Coverage, coverage
from demos.demo_set import DemoSet
from demos.facts import EpisodeFacts
from demos.findings import EpisodeName, Finding
from demos.make_set import DEMONSTRATIONS, Watch, make_demo_set
from demos.settings import CheckSettings
from policy.contract import Contract
from policy.experience_file import EpisodeSelection, ExperienceFile
from robot.settings import TaskSettings


@dataclass(frozen=True, slots=True)
class JudgedEpisode:
    """One demonstration. found: in it alone; sound: nothing of that forbids to learn from it"""

    name: EpisodeName
    steps: int
    found: tuple[Finding, ...]
    sound: bool


class Recording:
    """The demonstrations of an experience file that somebody may be writing, as far as they were judged.

    allowed: findings that are no reason to refuse, as `demos.checks.require_sound` has them
    locked_joints: as `arm.controller.locked_joints` has them
    selection: which episodes are meant
    """

    def __init__(
        self,
        path: Path,
        contract: Contract,
        settings: CheckSettings,
        task: TaskSettings,
        locked_joints: Collection[str] = (),
        allowed: Collection[str] = (),
        selection: EpisodeSelection = DEMONSTRATIONS,
    ) -> None:
        self.path = path
        self._contract, self._settings, self._task = contract, settings, task
        self._locked_joints, self._allowed, self._selection = locked_joints, allowed, selection
        self._judged: dict[int, JudgedEpisode] = {}  # by row
        self._sound: list[EpisodeFacts] = []

    @property
    def sound(self) -> int:
        """How many demonstrations count."""
        return len(self._sound)

    @property
    def unsound(self) -> list[str]:
        """Those that do not, as findings name them."""
        return [str(it.name) for it in self._judged.values() if not it.sound]

    def judge_new(self) -> list[JudgedEpisode]:
        """Look at those that have ended since the last call, as they are on the disk."""
        with closing(ExperienceFile(self.path)) as experience:
            self._contract.require_equal(experience.contract, "this run", f"the recording {self.path}")
            new = [it for it in experience.find(self._selection).ids if it not in self._judged]
            return [self._judge(experience, row) for row in new]

    def coverage(self) -> Coverage | None:
        """Where the sound ones took place; None where the contract does not tell, or there are none."""
        return coverage(self._contract, self._sound, self._task, self._settings) if self._sound else None

    def make_set(
        self,
        demos: Path,
        name: str,
        leave_out: Collection[str] = (),
        calibrations: Sequence[Path] = (),
        watch: Watch = iter,
    ) -> DemoSet:
        """A demo set of all but those that are left out; see `make_demo_set`."""
        checks = Checks(self._contract, self._settings, self._task, self._locked_joints)
        with closing(ExperienceFile(self.path)) as experience:
            return make_demo_set(
                experience,
                demos,
                name,
                self._selection,
                checks,
                allowed=self._allowed,
                leave_out=leave_out,
                calibrations=calibrations,
                watch=watch,
            )

    def _judge(self, experience: ExperienceFile, row: int) -> JudgedEpisode:
        steps = experience.episode(row)
        facts = EpisodeFacts.of(steps)
        found = check_episode(self._contract, steps, facts, self._settings)
        sound = not forbidding(found, self._allowed)
        if sound:
            self._sound.append(facts)
        self._judged[row] = judged = JudgedEpisode(facts.name, facts.steps, tuple(found), sound)
        return judged
