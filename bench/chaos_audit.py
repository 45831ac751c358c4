"""After the storm: is every promised step in the store, once, in its place, byte for byte, and nothing else?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.chaos_journal import Journals, Place, made
from bench.chaos_world import Key, clipped_at, executed_at, key_of, observation_at
from learner.store import ExperienceStore
from policy.contract import Contract
from policy.experience import Observation, Step

PAGE = 64
NAMED = 20  # findings told in words


@dataclass
class Verdict:
    """What was found, counted by kind.

    sent: promised steps; stored: steps in the store
    """

    sent: int
    stored: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing was found."""
        return not self.counts

    def find(self, kind: str, where: object, what: str) -> None:
        """Note a finding; only the first are kept in words."""
        self.counts[kind] += 1
        if len(self.findings) < NAMED:
            self.findings.append(f"{kind}: {where}: {what}")


def audit(store_path: Path, contract: Contract, seed: int, journals: Journals, killed: Set[int]) -> Verdict:
    """Compare the store with what the actor's processes say. killed: the processes that were killed."""
    verdict = Verdict(sent=len(journals.promised))
    for place in sorted(journals.promised_twice):
        verdict.find("promised_twice", place, "two processes were told that this step of theirs is kept")
    there: dict[Place, Key] = {}
    with ExperienceStore(store_path, contract) as store:
        last: Step | None = None
        for step in _steps(store):
            place = (step.id.session, step.id.episode, step.id.step)
            there[place] = key_of(step.observation)
            _check_order(step, last, verdict)
            _check_origin(step, place, journals, verdict)
            _check_content(step, contract, seed, verdict)
            last = step
        verdict.stored = store.counts().env_steps
        # A killed process has cut the episode of its last step that was on disk; what was in memory alone is gone.
        last_of = {key.process: place[:2] for place, key in sorted(there.items())}
        excused = {last_of[process] for process in killed & last_of.keys()}
        for episode in store.episodes():
            if not episode.complete and (episode.session, episode.index) not in excused:
                verdict.find("unfinished", f"episode {episode.index}", "it has no end, and no kill explains that")
    for place in sorted(journals.promised.keys() - there.keys()):
        verdict.find("lost", place, "it was promised, and is not in the store")
    for key, times in Counter(there.values()).items():
        if times > 1:
            verdict.find("doubled", key, f"it is in the store {times} times")
    if verdict.stored != len(there):
        verdict.find("doubled", store_path, f"it counts {verdict.stored} steps, but has {len(there)}")
    return verdict


def _steps(store: ExperienceStore) -> Iterator[Step]:
    cursor = 0
    while page := store.read_after(cursor, PAGE):
        for cursor, step in page:  # noqa: B007  # the last one counts
            yield step


def _check_order(step: Step, last: Step | None, verdict: Verdict) -> None:
    """Each step follows the one that arrived before it, without a gap within its episode."""
    same = last is not None and step.id.episode == last.id.episode
    expected = last.id.step + 1 if last is not None and same else 0
    forward = last is None or (last.id.session == step.id.session and last.id.episode <= step.id.episode)
    if not forward or step.id.step != expected or (same and last is not None and last.last):
        verdict.find("misplaced", step.id, f"it arrived after {last.id if last else None}")


def _check_origin(step: Step, place: Place, journals: Journals, verdict: Verdict) -> None:
    """It was made, it says of itself what its maker said, and it is the one that was promised for its place."""
    found = made(step)
    if found not in journals.makers(place):
        same_key = [maker for maker in journals.makers(place) if maker.key == found.key]
        kind = "mismatched" if same_key else "foreign"
        verdict.find(kind, step.id, f"got {found}, its maker says {same_key or journals.makers(place)}")
    promised = journals.promised.get(place)
    if promised is not None and promised.key != found.key:
        verdict.find("lost", place, f"{promised.key} was promised there, but {found.key} is in the store")


def _check_content(step: Step, contract: Contract, seed: int, verdict: Verdict) -> None:
    """Frames, vectors and action are those of the world at the step's key, and the final observation one tick on."""
    key = key_of(step.observation)
    after = Key(key.process, key.reset, key.tick + 1)
    whole = (
        _equal(step.observation, observation_at(seed, key, contract))
        and np.array_equal(step.action, executed_at(seed, key, contract))
        and step.clipped == clipped_at(seed, key)
        and (step.final is None or _equal(step.final, observation_at(seed, after, contract)))
        and step.last == (step.final is not None)
    )
    if not whole:
        verdict.find("mismatched", step.id, f"its content is not that of the world at {key}")


def _equal(stored: Observation, seen: Observation) -> bool:
    return (
        stored.frames.keys() == seen.frames.keys()
        and all(np.array_equal(stored.frames[name], frame) for name, frame in seen.frames.items())
        and np.array_equal(stored.proprioception, seen.proprioception)
        and np.array_equal(stored.sim_only, seen.sim_only)
    )
