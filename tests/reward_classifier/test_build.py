"""From experience to a classifier and back from its folder: what it says of episodes, and all that it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from judged_episodes import SESSION, contract, episode, write
from policy.encoder import random_encoder
from policy.errors import ContractMismatch
from policy.experience_file import EpisodeSelection, ExperienceFile
from policy.features import Featurizer
from policy.file_lock import FileLock, LockHeld
from reward_classifier.artefact import (
    FACTS_FILE,
    WEIGHTS_FILE,
    SuccessClassifier,
    list_classifiers,
    open_classifier,
    save_classifier,
)
from reward_classifier.build import keeps_its_share, train_classifier
from reward_classifier.drift import drifted
from reward_classifier.errors import ArtefactError, TrainingRefused
from reward_classifier.evaluate import evaluate_classifier, probabilities, unseen
from reward_classifier.features import features_of, learned_rows
from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable, observations, read_frames
from reward_classifier.key_labels import label_from_keys
from reward_classifier.labels import EpisodeKey, Label, LabelBook, Labels
from reward_classifier.settings import ClassifierSettings, FitSettings, KeyLabelSettings, ModelSettings, ViewSettings

CONTRACT, ENCODER = contract(), random_encoder(0)
SETTINGS = ClassifierSettings(
    views=ViewSettings(views=2),
    model=ModelSettings(spatial_features=2, width=16, hidden=16),
    fit=FitSettings(batch_size=16, learning_rate=2e-3, most_updates=30, check_every=10, folds=3, curve_shares=(0.5,)),
)
KEYS = KeyLabelSettings(positive_frames=3, negative_before_s=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("classifier")


@pytest.fixture(scope="module")
def experience(folder: Path) -> Iterator[ExperienceFile]:
    """Six episodes that succeed and six that fail."""
    with closing(ExperienceFile(write(folder / "experience.sqlite", 6, 6))) as experience:
        yield experience


def labels_of(experience: ExperienceFile, path: Path) -> Labels:
    with closing(LabelBook(path)) as book:
        label_from_keys(book, experience.outcomes(EpisodeSelection()), 10.0, KEYS, "anna", 1)
        return book.labels()


@pytest.fixture(scope="module")
def table(experience: ExperienceFile, folder: Path) -> FrameTable:
    return read_frames(experience, labels_of(experience, folder / "labels.sqlite"))


@pytest.fixture(scope="module")
def classifier(experience: ExperienceFile, table: FrameTable, folder: Path) -> SuccessClassifier:
    return train_classifier(experience, table, 1, ENCODER, SETTINGS, folder / "features")


@pytest.fixture(scope="module")
def saved(classifier: SuccessClassifier, folder: Path) -> Path:
    save_classifier(classifier, folder / "lamp-1")
    return folder / "lamp-1"


class TestFrames:
    def test_the_table_holds_every_frame_with_its_label(self, table: FrameTable) -> None:
        assert len(table) == 12 * 21  # 20 steps and the frame after them
        first = table.rows(0)
        # 18, 19, 20 show it; 0.5 s at 10 Hz are 5 frames, so 0..14 do not
        assert table.label[first].tolist() == [0] * 15 + [-1] * 3 + [1] * 3
        assert table.label[table.rows(7)].tolist() == [0] * 21
        assert table.proprioception[first][-1] == pytest.approx([0.3, 0.09])
        assert table.success.tolist() == [True] * 6 + [False] * 6

    def test_no_more_of_a_class_are_learned_from_than_asked_for_and_from_everywhere(self, table: FrameTable) -> None:
        rows = learned_rows(table, ViewSettings(positives=6, negatives=12))
        assert (table.label[rows] == POSITIVE).sum() == 6
        assert (table.label[rows] == NEGATIVE).sum() == 12
        assert len(np.unique(table.episode[rows])) > 8

    def test_features_are_encoded_once_and_anew_when_their_views_change(
        self, experience: ExperienceFile, table: FrameTable, tmp_path: Path
    ) -> None:
        encoded: list[int] = []

        def watch(episodes: object) -> Iterator[int]:
            for index in range(len(table.outcomes)):
                encoded.append(index)
                yield index

        views = ViewSettings(views=2, positives=5, negatives=5)
        first = features_of(experience, table, ENCODER, views, 0, tmp_path, watch)
        assert np.array_equal(first.views[:, 0], first.plain[first.rows])
        frame = observations(experience, table.outcomes[0])[4]
        featurizer = Featurizer(ENCODER, None, CONTRACT)
        maps = featurizer.maps(featurizer.stack(frame.frames)[:, None])[:, 0]
        assert first.plain[4] == pytest.approx(maps.half().numpy(), rel=1e-2, abs=1e-2)
        again = features_of(experience, table, ENCODER, views, 0, tmp_path, watch)
        assert np.array_equal(first.plain, again.plain)
        assert len(encoded) == 12
        features_of(experience, table, ENCODER, views, 1, tmp_path, watch)
        assert len(encoded) == 24
        with FileLock(tmp_path / ".lock", "held"), pytest.raises(LockHeld):
            features_of(experience, table, ENCODER, views, 2, tmp_path, watch)


class TestTraining:
    def test_it_tells_the_lamp_on_episodes_that_it_has_not_seen(
        self, classifier: SuccessClassifier, folder: Path
    ) -> None:
        with closing(ExperienceFile(write(folder / "other.sqlite", 4, 4, seed=9, session="ef" * 16))) as other:
            table = read_frames(other, labels_of(other, folder / "other.labels.sqlite"))
            found = evaluate_classifier(classifier, other, table, ENCODER)
            assert found.figures.frames.accuracy > 0.95
            assert (found.figures.episodes.false_positives, found.figures.episodes.found) == (0, 4)
            assert found.drift == []
            assert len(unseen(table, classifier).outcomes) == 8

    def test_figures_and_choices_are_of_episodes_held_out(self, classifier: SuccessClassifier) -> None:
        facts = classifier.facts
        assert sorted(set(facts.data.folds)) == [0, 1, 2]
        assert facts.figures.episodes.episodes == 12
        assert [limits.dimension for limits in facts.rule.gate.limits] == ["joint.gripper", "tool.z"]
        assert [point.episodes for point in facts.figures.learning] == [2.0, 4.0]
        assert keeps_its_share(classifier)

    def test_the_same_frames_and_seed_come_to_the_same_classifier(
        self, classifier: SuccessClassifier, experience: ExperienceFile, table: FrameTable, folder: Path
    ) -> None:
        quick = SETTINGS.model_copy(update={"fit": SETTINGS.fit.model_copy(update={"curve_shares": ()})})
        again = train_classifier(experience, table, 1, ENCODER, quick, folder / "features")
        assert again.facts.weights_sha256 == classifier.facts.weights_sha256
        assert again.facts.name == classifier.facts.name
        stricter = again.facts.rule.model_copy(update={"minimum_step": again.facts.rule.minimum_step + 1})
        assert again.facts.model_copy(update={"rule": stricter}).name != classifier.facts.name
        assert again.facts.rule == classifier.facts.rule

    def test_an_episode_that_it_learned_from_may_not_judge_it_whatever_it_is_called(
        self, classifier: SuccessClassifier, folder: Path
    ) -> None:
        path = write(folder / "renamed.sqlite", 6, 6, session="ab" * 16)
        with closing(ExperienceFile(path)) as renamed:
            table = read_frames(renamed, labels_of(renamed, folder / "renamed.labels.sqlite"))
            with pytest.raises(TrainingRefused, match="12 of 12 episodes: the classifier has learned from them"):
                evaluate_classifier(classifier, renamed, table, ENCODER)
            with pytest.raises(TrainingRefused, match="none of 12 is left"):
                unseen(table, classifier)

    def test_unlabelled_experience_is_refused(self, experience: ExperienceFile) -> None:
        with pytest.raises(TrainingRefused, match=r"none of 12 episodes has any.*--from-key"):
            read_frames(experience, {})

    @pytest.mark.parametrize(
        ("labelled", "said"),
        [
            ({6: Label.NEGATIVE, 7: Label.NEGATIVE}, r"positive frames: got none .* label episodes that succeed"),
            ({0: Label.POSITIVE, 1: Label.POSITIVE, 2: Label.POSITIVE}, r"negative frames: got none .* that fail"),
            ({0: Label.POSITIVE, 7: Label.NEGATIVE}, r"positive frames: got them in 1 of 2 episodes, .* at least 3"),
        ],
    )
    def test_too_little_to_learn_from_is_refused_with_what_is_missing(
        self, experience: ExperienceFile, folder: Path, labelled: dict[int, Label], said: str
    ) -> None:
        labels = {EpisodeKey(SESSION, index): dict.fromkeys(range(21), label) for index, label in labelled.items()}
        with pytest.raises(TrainingRefused, match=said):
            train_classifier(experience, read_frames(experience, labels), 1, ENCODER, SETTINGS, folder / "features")

    def test_another_lamp_is_told(self) -> None:
        then, now = {"wrist": (100.0, 90.0, 80.0)}, {"wrist": (100.0, 90.0, 120.0)}
        assert drifted(then, then) == []
        assert "camera wrist: its colours differ by 40 levels" in drifted(then, now)[0]


class TestArtefact:
    def test_what_was_saved_says_the_same(
        self, saved: Path, classifier: SuccessClassifier, experience: ExperienceFile, table: FrameTable
    ) -> None:
        opened = open_classifier(saved, CONTRACT, ENCODER)
        assert opened.facts == classifier.facts
        ours, theirs = (probabilities(each, experience, table, ENCODER) for each in (classifier, opened))
        assert np.array_equal(ours, theirs)
        assert list_classifiers(saved.parent) == [saved]

    def test_its_judge_pays_for_an_episode_that_succeeds_and_for_no_other(self, saved: Path, folder: Path) -> None:
        opened, featurizer = open_classifier(saved), Featurizer(ENCODER, None, CONTRACT)
        for success in (True, False):
            judge, paid = opened.judge(), []
            steps = episode(77, success=success, seed=5)
            for seen in (*(step.observation for step in steps), steps[-1].final):
                assert seen is not None
                maps = featurizer.maps(featurizer.stack(seen.frames)[:, None])
                probability = float(opened.probability(maps, seen.proprioception[None])[0])
                paid.append(judge.tick(probability, seen.proprioception).pays)
            assert sum(paid) == success
            if success:
                assert paid.index(True) >= 17  # the lamp goes on at frame 17

    def test_it_never_replaces_one(self, saved: Path, classifier: SuccessClassifier) -> None:
        with pytest.raises(ArtefactError, match="never replaces one"):
            save_classifier(classifier, saved)

    def test_another_contract_is_refused_with_the_difference(self, saved: Path) -> None:
        with pytest.raises(ContractMismatch, match=r"control_hz: 20.0 \(this run\) != 10.0"):
            open_classifier(saved, contract(control_hz=20.0))

    def test_another_encoder_is_refused(self, saved: Path) -> None:
        with pytest.raises(ArtefactError, match=r"got encoder 'random:1' .* expected 'random:0'"):
            open_classifier(saved, CONTRACT, random_encoder(1))

    @pytest.fixture
    def copy(self, saved: Path, tmp_path: Path) -> Path:
        folder = tmp_path / "copy"
        folder.mkdir()
        for name in (WEIGHTS_FILE, FACTS_FILE):
            (folder / name).write_bytes((saved / name).read_bytes())
        return folder

    def test_one_wrong_byte_is_found(self, copy: Path) -> None:
        data = bytearray((copy / WEIGHTS_FILE).read_bytes())
        data[-1] ^= 1
        (copy / WEIGHTS_FILE).write_bytes(bytes(data))
        with pytest.raises(ArtefactError, match="is not what its facts say"):
            open_classifier(copy)

    @pytest.mark.parametrize("harm", ["missing", "shape", "nan"])
    def test_weights_that_do_not_fit_are_refused_even_if_somebody_wrote_their_hash(self, copy: Path, harm: str) -> None:
        import hashlib

        tensors = load_file(copy / WEIGHTS_FILE)
        if harm == "missing":
            del tensors["out.weight"]
        elif harm == "shape":
            tensors["out.weight"] = torch.zeros(1, 2, 3)
        else:
            tensors["out.weight"][:] = float("nan")
        save_file(tensors, copy / WEIGHTS_FILE)
        facts = json.loads((copy / FACTS_FILE).read_text())
        facts["weights_sha256"] = hashlib.sha256((copy / WEIGHTS_FILE).read_bytes()).hexdigest()
        (copy / FACTS_FILE).write_text(json.dumps(facts))
        with pytest.raises(ArtefactError, match=r"tensor out\.weight"):
            open_classifier(copy)

    def test_facts_that_were_changed_are_refused(self, copy: Path) -> None:
        facts = json.loads((copy / FACTS_FILE).read_text())
        facts["contract"]["control_hz"] = 20.0
        (copy / FACTS_FILE).write_text(json.dumps(facts))
        with pytest.raises(ArtefactError, match="somebody has changed it"):
            open_classifier(copy)
        (copy / FACTS_FILE).unlink()
        with pytest.raises(ArtefactError, match="expected the facts of a classifier"):
            open_classifier(copy)


def test_an_episode_without_an_end_is_no_part_of_it(folder: Path) -> None:
    """Its frames may be labelled; nobody knows yet what becomes of it."""
    from demos.experience_file import new_experience

    path = folder / "unfinished.sqlite"
    with new_experience(path, CONTRACT) as new:
        new.append(episode(0), CONTRACT)
        new.append([replace(step, final=None) for step in episode(1)[:5]], CONTRACT)
    with closing(ExperienceFile(path)) as experience:
        labels = {EpisodeKey(SESSION, index): {0: Label.NEGATIVE} for index in (0, 1)}
        assert len(read_frames(experience, labels).outcomes) == 1
