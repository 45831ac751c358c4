"""Experience files: which episodes are meant, and a new file that appears whole or not at all."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demos.experience_file import new_experience
from policy.errors import InvalidExperience
from policy.experience import Judgement, Reason, Source, Step
from policy.experience_file import EpisodeSelection, ExperienceFile
from policy.fakes import fake_contract, fake_episode
from policy.step_schema import StoreError

CONTRACT = fake_contract(cameras=1, proprioception=2, size_px=8)
A, B = "a" * 32, "b" * 32


def episode(session: str, number: int, source: Source = Source.DEMO) -> list[Step]:
    rng = np.random.default_rng([int(session[:2], 16), number])
    return fake_episode(CONTRACT, 3, rng, session=session, episode=number, source=source)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A: 0 demonstration, 1 policy, 2 rejected, 3 unfinished; B: 0 demonstration."""
    rejected = episode(A, 2)
    rejected[-1] = replace(rejected[-1], rejected=True)
    path = tmp_path / "experience.sqlite"
    with new_experience(path, CONTRACT) as new:
        for steps in (
            episode(A, 0),
            episode(A, 1, Source.POLICY),
            rejected,
            episode(A, 3)[:2],
            episode(B, 0),
        ):
            new.append(steps, CONTRACT)
    return path


class TestSelection:
    @pytest.mark.parametrize(
        ("selection", "expected"),
        [
            (EpisodeSelection(), [(A, 0), (A, 1), (B, 0)]),
            (EpisodeSelection(demonstrations=True), [(A, 0), (B, 0)]),
            (EpisodeSelection(rejected=True), [(A, 0), (A, 1), (A, 2), (B, 0)]),
            (EpisodeSelection(session="b"), [(B, 0)]),
            (EpisodeSelection(session="a", episodes=(1, 0)), [(A, 0), (A, 1)]),
        ],
    )
    def test_names_the_episodes_that_are_meant(
        self, path: Path, selection: EpisodeSelection, expected: list[tuple[str, int]]
    ) -> None:
        with closing(ExperienceFile(path)) as file:
            found = [file.episode(each)[0].id for each in file.choose(selection).ids]
        assert [(each.session, each.episode) for each in found] == expected

    def test_tells_a_classifiers_ends_from_those_that_a_key_made(self, tmp_path: Path) -> None:
        unlikely, success = Judgement(0.1, Reason.UNLIKELY), Judgement(0.9, Reason.SUCCESS)
        ends = [
            (1.0, True, None, False),  # nobody but the operator, or the simulator, judged
            (1.0, True, success, True),
            (0.0, False, unlikely, True),  # it ran out of time
            (1.0, True, unlikely, False),  # a key, against the classifier
            (0.0, True, success, False),
            (0.0, True, unlikely, False),
        ]
        path = tmp_path / "judged.sqlite"
        with new_experience(path, CONTRACT) as new:
            for number, (reward, terminated, judgement, _) in enumerate(ends):
                steps = [replace(step, judgement=judgement and unlikely) for step in episode(A, number)]
                steps[-1] = replace(
                    steps[-1], reward=reward, terminated=terminated, truncated=not terminated, judgement=judgement
                )
                new.append(steps, CONTRACT)
        with closing(ExperienceFile(path)) as file:
            found = [outcome.by_classifier for outcome in file.outcomes(EpisodeSelection())]
        assert found == [by_classifier for *_, by_classifier in ends]

    def test_counts_what_it_leaves_out_and_why(self, path: Path) -> None:
        with closing(ExperienceFile(path)) as file:
            chosen = file.choose(EpisodeSelection(demonstrations=True))
        assert chosen.left_out == {"unfinished": 1, "rejected": 1, "not a demonstration": 1}
        assert chosen.steps == 2 * 3

    @pytest.mark.parametrize(
        ("selection", "sentence"),
        [
            (EpisodeSelection(session="c"), "expected one of aaaaaaaa, bbbbbbbb"),
            (EpisodeSelection(episodes=(1,)), "give the session too"),
            (EpisodeSelection(session="b", episodes=(7,)), r"no episodes \[7\]"),
            (EpisodeSelection(session="a", episodes=(3,)), "1 unfinished"),
        ],
    )
    def test_says_why_none_is_meant(self, path: Path, selection: EpisodeSelection, sentence: str) -> None:
        with closing(ExperienceFile(path)) as file, pytest.raises(StoreError, match=sentence):
            file.choose(selection)


class TestANewFile:
    def test_is_there_with_nothing_beside_it(self, path: Path) -> None:
        assert [each.name for each in path.parent.iterdir()] == [path.name]

    def test_never_replaces_another(self, path: Path) -> None:
        before = path.read_bytes()
        with pytest.raises(StoreError, match="never overwrites"), new_experience(path, CONTRACT):
            pass
        assert path.read_bytes() == before

    def test_never_replaces_one_that_appeared_meanwhile(self, tmp_path: Path) -> None:
        path = tmp_path / "experience.sqlite"
        with pytest.raises(StoreError, match="meanwhile"), new_experience(path, CONTRACT):
            path.write_text("of somebody else")
        assert path.read_text() == "of somebody else"

    def test_does_not_appear_when_a_step_is_refused(self, tmp_path: Path) -> None:
        wrong = episode(A, 0)
        wrong[1] = replace(wrong[1], action=wrong[1].action + 3)
        with pytest.raises(InvalidExperience), new_experience(tmp_path / "experience.sqlite", CONTRACT) as new:
            new.append(wrong, CONTRACT)
        assert not list(tmp_path.iterdir())
