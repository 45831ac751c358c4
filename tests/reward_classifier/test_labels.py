"""Labels: what was said last counts, whatever was taken back, and nothing that was said is lost."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from judged_episodes import SESSION, outcome
from reward_classifier.errors import LabelConflict, LabelError
from reward_classifier.key_labels import key_spans, label_from_keys
from reward_classifier.labels import EpisodeKey, Label, LabelBook, Span, read_labels
from reward_classifier.settings import KeyLabelSettings

A, B = EpisodeKey(SESSION, 0), EpisodeKey(SESSION, 3)
POSITIVE, NEGATIVE, UNSURE = Label.POSITIVE, Label.NEGATIVE, Label.UNSURE
SPANS = st.builds(
    lambda key, first, length, label: Span(key, first, first + length, label),
    st.sampled_from((A, B)), st.integers(0, 6), st.integers(0, 4), st.sampled_from([*Label, None]),
)  # fmt: skip


class AgainstAModel(RuleBasedStateMachine):
    """The model keeps every state there ever was, and what each act has made of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "labels.sqlite"
        self.book = LabelBook(self.path)
        self.acts: list[list[Span] | int] = []  # what it labels, or the act that it takes back, by index
        self.states: list[dict[tuple[EpisodeKey, int], Label]] = [{}]

    def counts(self, act: int) -> bool:
        """Whether no later act that counts takes it back."""
        return not any(self.acts[later] == act and self.counts(later) for later in range(act + 1, len(self.acts)))

    def counting(self) -> list[int]:
        return [act for act in range(len(self.acts)) if self.counts(act)]

    def note(self, act: list[Span] | int) -> None:
        self.acts.append(act)
        frames: dict[tuple[EpisodeKey, int], Label] = {}
        for index in self.counting():
            spans = self.acts[index]
            for span in spans if isinstance(spans, list) else ():
                for frame in range(span.first, span.last + 1):
                    frames.pop((span.key, frame), None)
                    if span.label is not None:
                        frames[span.key, frame] = span.label
        self.states.append(frames)

    @rule(spans=st.lists(SPANS, min_size=1, max_size=3))
    def somebody_labels(self, spans: list[Span]) -> None:
        assert self.book.add(spans, "edit", "anna", 1) == len(self.acts) + 1
        self.note(spans)

    @precondition(lambda self: any(isinstance(self.acts[each], list) for each in self.counting()))
    @rule()
    def the_last_label_is_taken_back(self) -> None:
        newest = [each for each in self.counting() if isinstance(self.acts[each], list)][-1]
        self.book.undo("anna", 2)
        self.note(newest)

    @precondition(lambda self: self.acts)
    @rule(data=st.data())
    def any_act_is_taken_back(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(range(len(self.acts))))
        if index in self.counting():
            self.book.undo("bert", 3, index + 1)
            self.note(index)
        else:
            with pytest.raises(LabelError, match="expected one that counts"):
                self.book.undo("bert", 3, index + 1)

    @rule()
    def the_file_is_opened_anew(self) -> None:
        self.book.close()
        self.book = LabelBook(self.path)

    @invariant()
    def every_version_still_says_what_it_said(self) -> None:
        assert self.book.version == len(self.acts)
        for version, state in enumerate(self.states):
            found = self.book.labels(version)
            assert {(key, frame): label for key, frames in found.items() for frame, label in frames.items()} == state

    def teardown(self) -> None:
        self.book.close()
        self.folder.cleanup()


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=12, stateful_step_count=10, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.sqlite"


def test_nothing_that_was_said_can_be_changed_or_removed(path: Path) -> None:
    with closing(LabelBook(path)) as book:
        book.add([Span(A, 0, 3, POSITIVE)], "edit", "anna", 1)
    with closing(sqlite3.connect(path)) as connection:
        for statement in ("DELETE FROM spans", "DELETE FROM acts", "UPDATE spans SET label = 'negative'",
                          "UPDATE acts SET author = 'bert'"):  # fmt: skip
            with pytest.raises(sqlite3.IntegrityError, match="labels only grow"):
                connection.execute(statement)


def test_two_people_label_at_the_same_time(path: Path) -> None:
    with closing(LabelBook(path)) as anna, closing(LabelBook(path)) as bert:
        anna.add([Span(A, 0, 3, POSITIVE)], "edit", "anna", 1)
        bert.add([Span(A, 3, 5, NEGATIVE)], "edit", "bert", 2)
        assert anna.labels() == bert.labels() == {A: {0: POSITIVE, 1: POSITIVE, 2: POSITIVE, 3: NEGATIVE, 4: NEGATIVE,
                                                      5: NEGATIVE}}  # fmt: skip
        assert [(act.author, act.source) for act in anna.acts()] == [("anna", "edit"), ("bert", "edit")]


def test_what_somebody_else_has_changed_meanwhile_is_not_overruled_unseen(path: Path) -> None:
    with closing(LabelBook(path)) as anna, closing(LabelBook(path)) as bert:
        seen = anna.add([Span(A, 0, 3, POSITIVE)], "edit", "anna", 1)
        bert.add([Span(A, 3, 5, NEGATIVE)], "edit", "bert", 2)
        with pytest.raises(LabelConflict, match="frames 3 to 3: got them labelled negative by bert since version 1"):
            anna.add([Span(A, 2, 3, UNSURE)], "edit", "anna", 3, seen)
        assert anna.version == 2
        assert anna.add([Span(A, 0, 2, UNSURE)], "edit", "anna", 4, seen) == 3  # other frames
        assert anna.add([Span(A, 2, 3, UNSURE)], "edit", "anna", 5, anna.version) == 4  # seen, and said again
        bert.undo("bert", 6, 2)
        with pytest.raises(LabelConflict, match="frames 4 to 5: got them cleared"):
            anna.add([Span(A, 4, 6, POSITIVE)], "edit", "anna", 7, 4)


def test_a_stroke_of_a_held_key_is_taken_back_as_one_by_who_made_it(path: Path) -> None:
    with closing(LabelBook(path)) as book:
        book.add([Span(A, 0, 9, NEGATIVE)], "key", "anna", 1)
        book.add([Span(A, 2, 2, POSITIVE)], "edit", "anna", 2)
        for frame in (3, 4):
            book.add([Span(A, frame, frame, POSITIVE)], "hold", "anna", 3)
        book.add([Span(B, 0, 0, POSITIVE)], "edit", "bert", 4)
        assert book.undo_stroke("anna", 5) == [Span(A, frame, frame, POSITIVE) for frame in (2, 3, 4)]
        assert book.labels() == {A: dict.fromkeys(range(10), NEGATIVE), B: {0: POSITIVE}}
        with pytest.raises(LabelError, match="anna has labelled nothing by hand"):
            book.undo_stroke("anna", 6)  # what the operator's key said stays
        assert book.undo_stroke("bert", 7) == [Span(B, 0, 0, POSITIVE)]
        assert B not in book.labels()


def test_a_span_that_cannot_be_is_refused_and_nothing_is_labelled(path: Path) -> None:
    with closing(LabelBook(path)) as book:
        with pytest.raises(LabelError, match="got frames 5 to 3"):
            book.add([Span(A, 0, 1, POSITIVE), Span(A, 5, 3, POSITIVE)], "edit", "anna", 1)
        assert book.version == 0


def test_nothing_to_take_back_is_told(path: Path) -> None:
    with closing(LabelBook(path)) as book, pytest.raises(LabelError, match="there is none"):
        book.undo("anna", 1)


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE acts (version)")
    with pytest.raises(LabelError, match="expected labels"):
        LabelBook(path)


def test_labels_that_are_not_there_are_refused_and_no_file_appears(path: Path) -> None:
    with pytest.raises(LabelError, match="--from-key"):
        read_labels(path)
    assert not path.exists()
    LabelBook(path).close()
    with pytest.raises(LabelError, match="expected one of 0 to 0"):
        read_labels(path, 1)


class TestFromKeys:
    SETTINGS = KeyLabelSettings(positive_frames=3, negative_before_s=0.5)

    def test_a_success_marks_its_last_frames_and_what_was_long_before(self) -> None:
        # 10 steps, 11 frames: 8, 9, 10 show it; 0.5 s at 10 Hz are 5 frames, so 0..4 do not; 5, 6, 7 nobody knows
        spans = key_spans(outcome(steps=10), 10.0, self.SETTINGS)
        assert [(span.first, span.last, span.label) for span in spans] == [(8, 10, POSITIVE), (0, 4, NEGATIVE)]

    def test_a_failure_shows_no_success_anywhere(self) -> None:
        assert key_spans(outcome(steps=10, success=False), 10.0, self.SETTINGS) == [Span(A, 0, 10, NEGATIVE)]

    def test_a_short_success_is_positive_alone(self) -> None:
        spans = key_spans(outcome(steps=1), 10.0, self.SETTINGS)
        assert spans == [Span(A, 0, 1, POSITIVE)]

    def test_no_frame_is_both_however_the_settings_are(self) -> None:
        settings = KeyLabelSettings(positive_frames=5, negative_before_s=0.0)
        spans = key_spans(outcome(steps=10), 10.0, settings)
        assert [(span.first, span.last, span.label) for span in spans] == [(6, 10, POSITIVE), (0, 5, NEGATIVE)]

    def test_what_a_classifier_ended_teaches_none(self, path: Path) -> None:
        paid = replace(outcome(A.episode), by_classifier=True)
        with closing(LabelBook(path)) as book:
            assert label_from_keys(book, [paid], 10.0, self.SETTINGS, "anna", 1, again=True) == 0
            assert book.labels() == {}

    def test_what_a_person_said_is_left_alone_unless_asked_for(self, path: Path) -> None:
        outcomes = [outcome(index, steps=4, success=False) for index in (A.episode, B.episode)]
        with closing(LabelBook(path)) as book:
            book.add([Span(A, 2, 2, UNSURE)], "edit", "anna", 1)
            assert label_from_keys(book, outcomes, 10.0, self.SETTINGS, "anna", 2) == 1
            assert book.labels()[A] == {2: UNSURE}
            assert label_from_keys(book, outcomes, 10.0, self.SETTINGS, "anna", 3) == 0
            assert book.version == 2
            assert label_from_keys(book, outcomes, 10.0, self.SETTINGS, "anna", 4, again=True) == 2
            assert book.labels()[A] == dict.fromkeys(range(5), NEGATIVE)
