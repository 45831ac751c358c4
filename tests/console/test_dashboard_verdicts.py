"""Who said how an episode ended, as the dashboard's list has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

from console.dashboard.pages import episode_lines
from console.dashboard.run_state import RunWatch
from console.run_folder import STORE_FILE
from console.settings import Settings
from learner.store import ExperienceStore
from policy.experience import Judgement, Reason, Source, Step
from policy.wire import pack_step
from shown_run import episode, settings_of

CLASSIFIER = "c" * 64
POLICY = [Source.POLICY, Source.POLICY]
PAYS, DOUBTS = Judgement(0.97, Reason.SUCCESS), Judgement(0.2, Reason.UNLIKELY)


def ended(index: int, opinion: Judgement | None, *, success: bool = True, terminated: bool = True) -> list[Step]:
    """An episode of two steps. opinion: of its last one"""
    *before, last = episode(index, POLICY)
    reward = float(success)
    last = replace(last, judgement=opinion, reward=reward, terminated=terminated, truncated=not terminated)
    return [*(replace(step, judgement=opinion and DOUBTS) for step in before), last]


def seen(settings: Settings, judge: str, *episodes: list[Step]) -> dict[int, tuple[str, float | None, bool]]:
    """What the list says of each, by its number."""
    settings.folder.mkdir(parents=True)
    with ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store:
        store.keep_to_judge(judge)
        store.append([pack_step(step) for steps in episodes for step in steps])
    watch = RunWatch(settings)
    state = watch.look()
    lines = episode_lines(list(state.episodes.items()), watch.verdicts())
    watch.close()
    return {
        int(line.name.split("/")[1]): (line.verdict.who, line.verdict.probability, line.verdict.disputed)
        for line in lines
    }


def test_where_a_classifier_pays_it_is_told_from_the_key_and_disputes_are_flagged(tmp_path: Path) -> None:
    rejected = ended(4, PAYS)
    rejected[-1] = replace(rejected[-1], rejected=True, reward=0.0, terminated=False, truncated=True)
    assert (
        seen(
            settings_of(tmp_path),
            CLASSIFIER,
            ended(0, PAYS),
            ended(1, DOUBTS),  # said to be a success by a key
            ended(2, PAYS, success=False),  # said to have failed
            ended(3, DOUBTS, success=False, terminated=False),  # its time was up
            rejected,
            ended(5, DOUBTS, success=False),
            episode(6, POLICY)[:1],  # has no end
        )
        == {
            0: ("classifier", 0.97, False),
            1: ("key", 0.2, True),
            2: ("key", 0.97, True),
            3: ("", 0.2, False),
            4: ("refused", 0.97, False),
            5: ("key", 0.2, False),
            6: ("", None, False),
        }
    )


@pytest.mark.parametrize(("judge", "success"), [("simulator", "simulator"), ("operator", "key")])
def test_without_a_classifier_the_simulator_or_the_key_has_paid(tmp_path: Path, judge: str, success: str) -> None:
    session = uuid5(NAMESPACE_URL, "a demo set").hex
    shared = [replace(step, id=replace(step.id, session=session, episode=9)) for step in ended(9, None)]
    found = seen(
        settings_of(tmp_path),
        judge,
        ended(0, None),
        ended(1, None, success=False),
        ended(2, None, success=False, terminated=False),
        shared,
    )
    assert found == {
        0: (success, None, False),
        1: ("key", None, False),
        2: ("", None, False),
        9: ("demo set", None, False),
    }
