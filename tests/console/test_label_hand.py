"""What keys do on the page of labels, without the page; and what its shapes are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from console.labels.desk import LabelDesk
from console.labels.drawing import cursor, curve, episode_row, intervals, strip
from console.labels.hand import LabelHand
from judged_episodes import outcome, write
from policy.experience_file import EpisodeSelection
from reward_classifier.hard_frames import Suggestion, Why
from reward_classifier.label_acts import EDIT, HOLD, KEY, UNDO, Act
from reward_classifier.labels import Label, LabelBook, Said, Span

P, N, U = Label.POSITIVE, Label.NEGATIVE, Label.UNSURE


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A success and a failure of 21 frames each."""
    return write(tmp_path_factory.mktemp("labels") / "mine.sqlite", 1, 1)


@pytest.fixture
def desk(store: Path, tmp_path: Path) -> Iterator[LabelDesk]:
    desk = LabelDesk(store, tmp_path / "labels.sqlite", EpisodeSelection())
    yield desk
    desk.close()


@pytest.fixture
def hand(desk: LabelDesk) -> LabelHand:
    return LabelHand(desk, "anna", 0)


def labels(desk: LabelDesk, place: int = 0) -> dict[int, Label]:
    """As another process reads them."""
    with closing(LabelBook(desk.book.path)) as book:
        return dict(book.labels().get(desk.key(place), {}))


class TestKeys:
    def test_a_label_goes_to_the_frame_that_is_seen_and_is_on_the_disk(self, desk: LabelDesk, hand: LabelHand) -> None:
        hand.go(4)
        hand.press(N)
        assert labels(desk) == {4: N} == {frame: said.label for frame, said in desk.said(0).items()}
        assert hand.told.text.endswith("frame 4: negative – version 1, on the disk")

    def test_an_interval_is_marked_from_where_one_was(self, desk: LabelDesk, hand: LabelHand) -> None:
        hand.go(6)
        for _ in range(3):
            hand.step(-1, extend=True)
        assert hand.interval == (3, 6)
        hand.press(P)
        assert labels(desk) == dict.fromkeys(range(3, 7), P)
        assert not hand.marked

    def test_what_passes_while_a_key_is_held_gets_its_label_and_nothing_after(
        self, desk: LabelDesk, hand: LabelHand
    ) -> None:
        hand.press(P)
        hand.step(1)
        hand.step(2)
        hand.go(10)  # a jump passes nothing
        hand.step(-1)
        hand.release()
        hand.step(1)
        assert labels(desk) == dict.fromkeys([0, 1, 2, 3, 9], P)
        assert [act.source for act in desk.book.acts()] == [EDIT, HOLD, HOLD, HOLD]

    def test_at_the_ends_nothing_more_is_said(self, desk: LabelDesk, hand: LabelHand) -> None:
        hand.go(20)
        hand.press(U)
        hand.step(1)
        assert (hand.frame, desk.version) == (20, 1)

    def test_clearing_takes_labels_away(self, desk: LabelDesk, hand: LabelHand) -> None:
        hand.go(2)
        hand.go(5, extend=True)
        hand.press(N)
        hand.go(3)
        hand.press(None)
        assert labels(desk) == dict.fromkeys([2, 4, 5], N)

    def test_undoing_takes_a_stroke_back_and_shows_where_it_was(self, desk: LabelDesk, hand: LabelHand) -> None:
        hand.go(7)
        hand.press(P)
        hand.step(1)
        hand.show(1)
        hand.undo()
        assert (hand.place, hand.frame, labels(desk)) == (0, 7, {})
        assert "taken back" in hand.told.text
        hand.undo()
        assert hand.told.trouble
        assert [act.source for act in desk.book.acts()] == [EDIT, HOLD, UNDO, UNDO]


class TestTwoPages:
    def test_see_what_the_other_has_said(self, store: Path, desk: LabelDesk) -> None:
        with closing(LabelDesk(store, desk.book.path, EpisodeSelection())) as other:
            LabelHand(other, "bert", 1).press(N)
            assert not desk.said(1)
            assert desk.refresh()
            assert desk.said(1)[0].act.author == "bert"
            assert not desk.refresh()

    def test_never_overrule_what_they_have_not_seen(self, store: Path, desk: LabelDesk, hand: LabelHand) -> None:
        with closing(LabelDesk(store, desk.book.path, EpisodeSelection())) as other:
            LabelHand(other, "bert", 0).press(N)
            hand.press(P)
            assert "labelled negative by bert" in hand.told.text
            assert hand.held is None
            assert labels(desk) == {0: N} == {frame: said.label for frame, said in desk.said(0).items()}
            hand.press(P)  # now it has been seen
            assert labels(desk) == {0: P}


def test_hopping_visits_all_suggestions_and_then_the_first_again(
    desk: LabelDesk, hand: LabelHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not hand.hop()
    assert "no classifier has judged these" in hand.told.text
    suggested = [Suggestion(1, 6, Why.DOUBT, 0.5, ""), Suggestion(0, 2, Why.DOUBT, 0.4, "")]
    monkeypatch.setattr(desk, "suggestions", lambda: suggested)
    places = []
    for _ in range(3):
        assert hand.hop()
        places.append((hand.place, hand.frame))
    assert places == [(1, 6), (0, 2), (1, 6)]


def by(author: str, label: Label, source: str = KEY) -> Said:
    return Said(label, Act(1, source, author, 0, None))


class TestShapes:
    SAID = {0: by("anna", N), 1: by("anna", N), 2: by("bert", N), 5: by("bert", P)}  # noqa: RUF012

    def test_neighbours_are_one_interval_while_label_and_author_are_the_same(self) -> None:
        found = [(each.first, each.last, each.said and each.said.label) for each in intervals(self.SAID, 8)]
        assert found == [(0, 1, N), (2, 2, N), (3, 4, None), (5, 5, P), (6, 7, None)]

    def test_an_interval_lies_where_its_frames_are(self) -> None:
        drawn = strip(self.SAID, 8)
        assert drawn.count("<i ") == 3
        assert 'class="run negative" style="left: 0.000%; width: 25.000%"' in drawn  # 2 of 8
        assert (
            'class="run positive" style="left: 62.500%; width: 12.500%" title="frames 5 to 5: positive, bert"' in drawn
        )

    def test_the_curve_is_a_step_for_each_frame(self) -> None:
        drawn = curve(np.array([0.0, 0.25]), 0.6, 2)
        assert '<polyline points="0,100.0 1,100.0 1,75.0 2,75.0"/>' in drawn
        assert 'style="top: 40.0%"><span>0.60</span>' in drawn
        assert "has not looked" in curve(None, 0.6, 2)

    def test_what_is_marked_is_seen_beside_the_cursor(self) -> None:
        assert 'class="marked" style="left: 25.000%; width: 50.000%"' in cursor(5, (2, 5), 8)
        assert "marked" not in cursor(5, None, 8)

    def test_an_episode_tells_how_many_are_labelled_and_by_whom_and_nothing_is_believed(self) -> None:
        row = episode_row(outcome(3, steps=7), {**self.SAID, 6: by("<script>", U)}, 2)
        assert "5 of 8 frames · &lt;script&gt;, anna, bert" in row
        assert "<script>" not in row


def test_a_span_reads_like_a_sentence(desk: LabelDesk) -> None:
    assert str(Span(desk.key(0), 2, 4, None)) == "episode cdcdcdcd/0, frames 2 to 4: cleared"
