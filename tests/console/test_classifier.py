"""`nudge classifier`: labels, training, judging on other experience, and what is told of mistakes in its use."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from console.classifier.main import REPORT_FILE
from console.labels.opinions import Opinions
from console.labels.thoughts import Origin
from console.main import main
from judged_episodes import SESSION, write
from policy.encoder import random_encoder
from policy.experience_file import EpisodeSelection, ExperienceFile
from reward_classifier.artefact import open_classifier
from reward_classifier.frames import every_frame
from reward_classifier.labels import EpisodeKey, Label, LabelBook

QUICK = (
    "--encoder.source", "random:0", "--views.views", "2", "--model.width", "16", "--model.spatial-features", "2",
    "--fit.batch-size", "16", "--fit.learning-rate", "2e-3", "--fit.most-updates", "30", "--fit.check-every", "10",
    "--fit.folds", "3", "--fit.curve-shares",
)  # fmt: skip
KEYS = ("--from-key", "--keys.positive-frames", "3", "--keys.negative-before-s", "0.5", "--author", "anna")


def nudge(*arguments: object) -> int:
    return main(["classifier", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experience to learn from and other experience, both labelled, and a classifier of the first."""
    folder = tmp_path_factory.mktemp("classifier")
    for name, seed in (("mine", 0), ("other", 9)):
        path = write(folder / f"{name}.sqlite", 6, 6, seed=seed)
        assert nudge("label", "--store", path, *KEYS) == 0
    assert nudge("train", "--store", folder / "mine.sqlite", "--out", folder / "classifiers" / "lamp", *QUICK) == 0
    return folder


def labels(folder: Path, name: str = "mine") -> LabelBook:
    return LabelBook(folder / f"{name}.labels.sqlite")


class TestLabels:
    @pytest.fixture
    def store(self, tmp_path: Path) -> Path:
        return write(tmp_path / "mine.sqlite", 1, 1)

    def test_keys_label_every_episode_once(self, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert nudge("label", "--store", store, *KEYS) == 0
        told = capsys.readouterr().out
        assert "2 of 2 episodes were labelled" in told
        # 21 frames each: of the success 3 and 15, of the failure all
        assert "version 1, 2 episodes, frames: 3 positive, 36 negative, 0 unsure" in " ".join(told.split())
        nudge("label", "--store", store, *KEYS)
        assert "0 of 2 episodes" in capsys.readouterr().out

    def test_a_person_corrects_some_frames_and_takes_it_back(self, store: Path) -> None:
        nudge("label", "--store", store, *KEYS)
        one = ("--selection.session", SESSION[:4], "--selection.episodes", 1)
        assert nudge("label", "--store", store, *one, "--frames", 3, 4, "--label", "positive") == 0
        with closing(labels(store.parent)) as book:
            assert book.labels()[EpisodeKey(SESSION, 1)][4] is Label.POSITIVE
        assert nudge("label", "--store", store, "--undo") == 0
        with closing(labels(store.parent)) as book:
            assert book.labels()[EpisodeKey(SESSION, 1)][4] is Label.NEGATIVE
            assert [act.source for act in book.acts()] == ["key", "edit", "undo"]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((), "got 0 of them, expected one of --page, --suggest, --from-key, --undo and --frames"),
            (("--from-key", "--undo"), "got 2 of them, expected one of"),
            (("--frames", 0, 3), "got 2 episodes, expected one"),
            (("--selection.session", SESSION[:4], "--selection.episodes", 1, "--frames", 0, 40), "expected at most 20"),
            (("--undo",), "there is none"),
            (("--suggest",), "expected --classifier FOLDER"),
        ],
    )
    def test_what_cannot_be_meant_is_told(
        self, store: Path, arguments: tuple[object, ...], said: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge("label", "--store", store, *arguments) == 1
        assert said in " ".join(capsys.readouterr().err.split())


class TestTraining:
    def test_a_classifier_comes_with_a_page_that_needs_no_network(self, folder: Path) -> None:
        page = (folder / "classifiers" / "lamp" / REPORT_FILE).read_text()
        assert "would be paid for without success" in page
        assert page.count("<svg") == 3
        assert "http" not in page.replace("http://www.w3.org", "")
        assert SESSION not in page  # who knows a whole session can speak for its actor
        assert SESSION not in (folder / "classifiers" / "lamp" / "classifier.json").read_text()

    def test_experience_without_labels_is_refused_and_stays_without(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = write(tmp_path / "mine.sqlite", 1, 1)
        assert nudge("train", "--store", store, "--out", tmp_path / "out", *QUICK) == 1
        assert "nudge classifier label --from-key" in " ".join(capsys.readouterr().err.split())
        assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.sqlite"]

    def test_a_folder_that_is_there_is_refused_before_anything_is_encoded(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert nudge("train", "--store", folder / "mine.sqlite", "--out", folder / "classifiers" / "lamp", *QUICK) == 1
        assert "expected a new one" in capsys.readouterr().err


class TestEvaluation:
    def test_it_is_judged_on_other_experience(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        command = ("eval", folder / "classifiers" / "lamp", "--store", folder / "other.sqlite",
                   "--encoder.source", "random:0", "--report", folder / "eval.html")  # fmt: skip
        assert nudge(*command, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["episodes"]["false_positives"], found["episodes"]["found"]) == (0, 6)
        assert found["drift"] == []
        assert "would be paid for without success" in (folder / "eval.html").read_text()
        assert nudge(*command) == 0
        assert "false positives" in capsys.readouterr().out

    def test_what_it_learned_from_is_refused(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lamp, mine = folder / "classifiers" / "lamp", folder / "mine.sqlite"
        assert nudge("eval", lamp, "--store", mine, "--encoder.source", "random:0") == 1
        assert "--unseen" in capsys.readouterr().err

    def test_it_is_listed(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert nudge("list", "--folder", folder / "classifiers") == 0
        assert "lamp" in capsys.readouterr().out
        assert nudge("list", "--folder", folder / "classifiers", "--json") == 0
        (found,) = json.loads(capsys.readouterr().out)["classifiers"]
        assert found["path"].endswith("lamp")
        assert nudge("list", "--folder", folder) == 0
        assert "no classifier is there" in capsys.readouterr().out


class TestWhichFramesToLabelNext:
    def test_of_experience_without_labels_it_asks_where_it_would_pay(
        self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = (
            "label",
            "--suggest",
            "--classifier",
            folder / "classifiers" / "lamp",
            "--encoder.source",
            "random:0",
        )
        capsys.readouterr()
        assert nudge(*command, "--store", folder / "other.sqlite", "--labels", tmp_path / "none.sqlite") == 0
        told = capsys.readouterr().out
        assert told.count("would be paid") == 6  # each success, and no failure
        assert "cdcdcdcd/5" in told
        assert "cdcdcdcd/6" not in told
        assert not (tmp_path / "none.sqlite").exists()

    def test_of_episodes_that_it_learned_from_the_networks_are_asked_that_had_not_seen_them(self, folder: Path) -> None:
        classifier = open_classifier(folder / "classifiers" / "lamp")
        with closing(ExperienceFile(folder / "mine.sqlite")) as experience:
            opinions = Opinions(classifier, every_frame(experience, {}, experience.outcomes(EpisodeSelection())))
            assert not list(opinions.look(experience, random_encoder(0)))  # nothing is left to be looked at
        told = opinions.of(0)
        assert told is not None
        np.testing.assert_array_equal(told, classifier.facts.data.out_of_fold[0])
        assert {opinions.origin(episode) for episode in range(12)} == {Origin.HELD_OUT}
