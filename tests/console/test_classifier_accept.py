"""`nudge classifier accept` and `disputes`: told before it is done, done whole, and frames offered for labelling."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from actor.judging import ClassifierJudge
from actor.shared_maps import SharedMaps
from classifiers import made_classifier
from console.main import main
from judged_episodes import SESSION, contract, episode
from learner.judged import read_judged
from learner.store import ExperienceStore, StoreReader
from policy.encoder import Encoder, load_encoder
from policy.experience import Judgement, Reason, Step
from policy.features import Featurizer
from policy.settings import EncoderSettings
from policy.wire import pack_step
from reward_classifier.artefact import SuccessClassifier, save_classifier
from reward_classifier.gate import Gate, Limits
from reward_classifier.labels import EpisodeKey, Label, LabelBook
from reward_classifier.rejudge import rejudge_episode
from terminals import Window

BEFORE, STEPS = "3f" * 32, 10
RANDOM = ("--encoder.source", "random:0")


def nudge(*arguments: object) -> int:
    return main(["classifier", *map(str, arguments)])


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder(EncoderSettings(source="random:0"))


@pytest.fixture(scope="module")
def classifier(encoder: Encoder) -> SuccessClassifier:
    """Pays as soon as a jaw that holds something is 6 cm high, which is after step 5 of 10."""
    jaw = Limits(dimension="joint.gripper", unit="rad", low=0.05, high=0.45)
    height = Limits(dimension="tool.z", unit="m", low=0.06, high=None)
    return made_classifier(contract(), encoder, Gate(limits=(jaw, height)))


@pytest.fixture(scope="module")
def folder(classifier: SuccessClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifiers") / "second"
    save_classifier(classifier, folder)
    return folder


def judged(index: int, *, holds: bool, end: str) -> list[Step]:
    """An episode whose judge has paid at its last step, or not, and whose end the operator has had changed, or not."""
    *steps, last = (replace(it, reward=0.0, judgement=Judgement(0.5, Reason.UNLIKELY)) for it in
                    episode(index, STEPS, success=holds))  # fmt: skip
    paid = end in ("paid", "overruled")
    return [
        *steps,
        replace(
            last,
            reward=float(end in ("paid", "success")),
            terminated=end != "cut",
            truncated=end == "cut",
            judgement=Judgement(0.5, Reason.SUCCESS if paid else Reason.UNLIKELY),
        ),
    ]


# Paid later than need be; paid for nothing; not seen; two in which the key contradicted the judge.
EPISODES = (
    judged(0, holds=True, end="paid"),
    judged(1, holds=False, end="paid"),
    judged(2, holds=True, end="cut"),
    judged(3, holds=True, end="success"),
    judged(4, holds=False, end="overruled"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "experience.sqlite"
    with ExperienceStore(path, contract()) as store:
        store.keep_to_judge(BEFORE)
        store.append([pack_step(step) for steps in EPISODES for step in steps])
    return path


def endings(path: Path) -> list[tuple[bool, int]]:
    with StoreReader(path) as store:
        return [(it.now.paid, it.now.last_step) for it in read_judged(store)]


def as_an_actor_asks(classifier: SuccessClassifier, encoder: Encoder, steps: Sequence[Step]) -> list[Judgement]:
    judge = ClassifierJudge(classifier, SharedMaps(encoder, contract()))
    judge.begin(steps[0].observation)
    final = steps[-1].final
    assert final is not None
    return [judge.opinion(seen).judgement for seen in (*(step.observation for step in steps[1:]), final)]


@pytest.mark.parametrize("seed", [None, 3])
def test_an_episode_is_judged_as_an_actor_would_have_had_it_judged(
    classifier: SuccessClassifier, encoder: Encoder, seed: int | None
) -> None:
    if seed is not None:
        classifier = made_classifier(contract(), encoder, classifier.facts.rule.gate, seed=seed)
    steps = EPISODES[0]
    anew = rejudge_episode(classifier, Featurizer(encoder, None, contract()), steps)
    live = as_an_actor_asks(classifier, encoder, steps)
    assert [it.reason for it in anew if it] == [it.reason for it in live]
    np.testing.assert_allclose([it.probability for it in anew if it], [it.probability for it in live], atol=1e-5)
    # After a fault nobody was asked, and without an end nobody knows what came of the last step.
    faulty = [*steps[:-1], replace(steps[-1], judgement=None)]
    assert rejudge_episode(classifier, Featurizer(encoder, None, contract()), faulty)[-1] is None
    assert rejudge_episode(classifier, Featurizer(encoder, None, contract()), steps[:4])[-2:] == [anew[2], None]


class TestAccept:
    def test_it_tells_what_would_change_and_changes_nothing_without_a_yes(
        self, path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = path.read_bytes()
        assert nudge("accept", folder, "--store", path, *RANDOM) == 0
        told = " ".join(capsys.readouterr().out.split())
        for sentence in (
            "judged anew 5 episodes", "gained 1 that have not succeeded", "lost 1 that succeed no more",
            "earlier 1, by 4 steps in the median, at most 4", "untouched 2 that ended as the operator said",
            "keys 2 of the operator: the classifier so far agrees with 0, this one with 2",
            f"session {SESSION[:8]}, episode 0: paid at step 9 so far, paid at step 5 by this one",
            "episode 1: paid at step 9 so far, not paid by this one",
            "episode 2: not paid so far, paid at step 5 by this one",
            "nothing was changed; add --yes",
        ):  # fmt: skip
            assert sentence in told
        assert SESSION not in told
        assert path.read_bytes() == before

    def test_it_pays_once_it_is_accepted_and_no_second_time(
        self, path: Path, folder: Path, classifier: SuccessClassifier, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge("accept", folder, "--store", path, "--yes", *RANDOM) == 0
        assert f"--judge.classifier {folder}" in " ".join(capsys.readouterr().out.split())
        assert endings(path) == [(True, 5), (False, 9), (True, 5), (True, 9), (False, 9)]
        with StoreReader(path) as store:
            judge = store.judge()
            assert judge is not None
            assert (judge.name, judge.replaced) == (classifier.facts.name, BEFORE)
        assert nudge("accept", folder, "--store", path, "--yes", *RANDOM) == 1
        assert "pays in this run already" in " ".join(capsys.readouterr().err.split())

    @pytest.mark.parametrize(
        ("answer", "accepted"), [(b"y\n", True), (b"n\n", False), (b"\n", False), (b"\x04", False)]
    )
    def test_a_person_at_a_terminal_is_asked(
        self, path: Path, folder: Path, answer: bytes, accepted: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = endings(path)
        with Window() as window, window.as_file() as keys:
            monkeypatch.setattr(sys, "stdin", keys)
            window.type(answer)
            assert nudge("accept", folder, "--store", path, *RANDOM) == 0
        assert (endings(path) != before) is accepted

    def test_a_learner_keeps_it_away(self, path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with ExperienceStore(path, contract()):
            assert nudge("accept", folder, "--store", path, "--yes", *RANDOM) == 1
            assert "a learner for one; stop it first" in " ".join(capsys.readouterr().err.split())
            assert nudge("accept", folder, "--store", path, *RANDOM) == 0  # looking is allowed

    def test_one_of_another_encoder_is_refused(
        self, path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge("accept", folder, "--store", path, "--yes", "--encoder.source", "random:1") == 1
        assert "on whose features it was trained" in " ".join(capsys.readouterr().err.split())


class TestDisputes:
    def test_each_comes_with_the_command_that_labels_its_frames(
        self, path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge("disputes", "--store", path) == 1
        told = capsys.readouterr().out
        assert "episode 3: you said success, it does not pay" in told
        assert "episode 4: you said failure, it pays at step 9" in told
        assert "2 of the newest 5 judged episodes are disputed (40%), 2 of all" in " ".join(told.split())
        assert "More than 10%" in told
        commands = [line.strip() for line in told.splitlines() if line.startswith("  nudge ")]
        for command in commands:
            assert main(shlex.split(command)[1:]) == 0
        with closing(LabelBook(path.with_suffix(".labels.sqlite"))) as book:
            labels = book.labels()
        shown = dict.fromkeys(range(7, 11), Label.POSITIVE)
        assert labels == {
            EpisodeKey(SESSION, 3): shown,
            EpisodeKey(SESSION, 4): dict.fromkeys(shown, Label.NEGATIVE),
        }

    def test_one_that_agrees_with_the_operator_has_none(
        self, path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge("accept", folder, "--store", path, "--yes", *RANDOM) == 0
        capsys.readouterr()
        assert nudge("disputes", "--store", path, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["disputed"], found["recent"], found["flagged"]) == ([], 5, False)
