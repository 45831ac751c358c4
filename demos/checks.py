"""All checks over a set of demonstrations, told one episode after the other: pictures are never all in memory.

findings    what a check says, and how grave it is
facts       what is kept of an episode
motion_checks, ending_checks, frame_checks    of one episode
looks, set_checks, coverage                   of all together
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from demos.coverage import Coverage, coverage
from demos.ending_checks import check_ending, check_timing
from demos.errors import DemosRefused
from demos.facts import EpisodeFacts
from demos.findings import Finding, Severity
from demos.frame_checks import check_frames
from demos.looks import Looks
from demos.motion_checks import check_motion
from demos.set_checks import check_coverage, check_dimensions, check_lengths
from demos.settings import CheckSettings
from policy.contract import Contract
from policy.experience import Step
from robot.settings import TaskSettings

SHOWN = 10  # findings in a refusal


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks have come to. coverage: None where the contract does not tell where an episode took place"""

    findings: tuple[Finding, ...]
    episodes: tuple[EpisodeFacts, ...]
    coverage: Coverage | None

    @property
    def refused(self) -> list[Finding]:
        """Those for which nothing should be learned from the set as it is."""
        return forbidding(self.findings)


class Checks:
    """Told each episode in turn.

    locked_joints: as `arm.controller.locked_joints` has them; they may stand still
    """

    def __init__(
        self,
        contract: Contract,
        settings: CheckSettings | None = None,
        task: TaskSettings | None = None,
        locked_joints: Collection[str] = (),
    ) -> None:
        self._contract = contract
        self._settings = settings or CheckSettings()
        self._task = task or TaskSettings()
        self._locked_joints = locked_joints
        self._findings: list[Finding] = []
        self._episodes: list[EpisodeFacts] = []
        self._looks = Looks(contract)

    def see(self, steps: Sequence[Step]) -> list[Finding]:
        """The next episode, all of its steps; what is found in it alone."""
        episode = EpisodeFacts.of(steps)
        found = check_episode(self._contract, steps, episode, self._settings)
        self._looks.see(episode.name, steps)
        self._episodes.append(episode)
        self._findings += found
        return found

    def finish(self) -> Checked:
        """What is found in all of them. Raise `DemosRefused` where there were none."""
        if not self._episodes:
            raise DemosRefused("demonstrations: got no episode, expected at least one; choose others, or record some")
        whole = self._settings.whole
        covered = coverage(self._contract, self._episodes, self._task, self._settings)
        found = [
            *self._findings,
            *self._looks.findings(self._settings.frames.looks),
            *check_dimensions(self._contract, self._episodes, self._locked_joints, whole),
            *check_lengths(self._episodes, whole),
            *(check_coverage(covered) if covered is not None else ()),
        ]
        return Checked(tuple(found), tuple(self._episodes), covered)


def check_episode(
    contract: Contract, steps: Sequence[Step], episode: EpisodeFacts, settings: CheckSettings
) -> list[Finding]:
    """What is found in one episode alone. steps: all of it; episode: what is kept of them"""
    return [
        *check_ending(episode),
        *check_motion(contract, episode, settings.motion),
        *check_timing(contract, episode, settings.timing),
        *check_frames(contract, steps, episode, settings.frames),
    ]


def forbidding(findings: Iterable[Finding], allowed: Collection[str] = ()) -> list[Finding]:
    """Those for which nothing should be learned, but for what is allowed by its name or by that of its check."""
    return [it for it in findings if it.severity is Severity.REFUSE and not {it.name, it.check} & set(allowed)]


def require_sound(checked: Checked, allowed: Collection[str] = ()) -> None:
    """Raise `DemosRefused` for findings that refuse, unless they are allowed by name.

    allowed: names of findings (`success:e1f0d6a3/12`) or of checks (`success`); one that fits none is refused too, so
        that no slip of the pen waves through what it did not mean
    """
    fitting = {finding.name for finding in checked.findings} | {finding.check for finding in checked.findings}
    strange = sorted(set(allowed) - fitting)
    if strange:
        raise DemosRefused(
            f"allowed: got {', '.join(strange)}, expected names of what was found: "
            f"{', '.join(sorted(fitting)) or 'there is nothing'}"
        )
    left = forbidding(checked.findings, allowed)
    if left:
        lines = "\n".join(f"  {finding}" for finding in left[:SHOWN])
        more = f"\n  and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        raise DemosRefused(
            f"demonstrations: got {len(left)} findings that forbid learning from them:\n{lines}{more}\n"
            f"Leave those episodes out, or allow by name what you know to be sound: "
            f"{', '.join(sorted({finding.name for finding in left})[:SHOWN])}"
        )
