"""What the page of labels and its server say to each other; without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from console.dashboard.access import Access
from console.dashboard.guard import Guard
from console.labels.desk import desk_as_recorded
from console.labels.site import LabelSite
from console.labels.thoughts import Origin, remembered
from console.web.listen import refused
from demos.experience_file import new_experience
from judged_episodes import contract, episode, write
from policy.errors import NudgeError
from policy.experience import Judgement, Reason, Step
from policy.experience_file import EpisodeSelection, ExperienceFile
from reward_classifier.hard_frames import Why
from reward_classifier.label_acts import EDIT, Act
from reward_classifier.labels import EpisodeKey, Label, LabelBook, Said

P, N = Label.POSITIVE, Label.NEGATIVE
LIKELY = 4  # frames before its end from which on the made-up classifier believes in an episode


def judged(index: int, *, success: bool = True, pays: bool = True) -> list[Step]:
    """An episode of 20 steps, with what a classifier of threshold 0.6 thought of each."""
    made = episode(index, success=success)

    def opinion(step: int) -> Judgement:
        if step < 20 - LIKELY:
            return Judgement(0.5 if step == 7 else 0.1, Reason.UNLIKELY)
        return Judgement(0.9 if step == 19 else 0.7, Reason.SUCCESS if pays and step == 19 else Reason.TOO_FEW)

    return [replace(step, judgement=opinion(number)) for number, step in enumerate(made)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A success and a failure of 21 frames each, which no classifier has seen."""
    return write(tmp_path_factory.mktemp("site") / "mine.sqlite", 1, 1)


class Visits:
    """A site, and what it is asked."""

    def __init__(self, path: Path, book: Path) -> None:
        self.site = LabelSite(lambda: desk_as_recorded(path, book, EpisodeSelection()), back="/episode/")
        self.app = Starlette(
            routes=[self.site.mount],
            middleware=[Middleware(Guard, access=Access(None))],
            exception_handlers={NudgeError: refused},
        )

    def ask(self, path: str, method: str = "GET", **more: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **more)

        return asyncio.run(asked())

    def act(self, hand: dict[str, Any], *acts: dict[str, Any], author: str = "anna", mark: str = "") -> dict[str, Any]:
        body = {"hand": hand, "author": author, "mark": mark, "acts": acts}
        answer = self.ask("/label/act", "POST", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "labels.sqlite"


@pytest.fixture
def visits(store: Path, book: Path) -> Iterator[Visits]:
    made = Visits(store, book)
    yield made
    made.site.close()


def labels(book: Path) -> dict[int, dict[int, Label]]:
    """By episode."""
    with closing(LabelBook(book)) as opened:
        return {key.episode: dict(frames) for key, frames in opened.labels().items()}


def test_keys_are_done_in_their_order_and_what_passes_while_one_is_held_gets_its_label(
    visits: Visits, book: Path
) -> None:
    right = {"do": "ArrowRight"}
    answer = visits.act({"row": 1}, right, {"do": "p"}, right, right, {"do": "release"}, right)
    assert labels(book) == {0: dict.fromkeys((1, 2, 3), P)}
    assert (answer["hand"]["frame"], answer["hand"]["holds"]) == (4, False)
    assert answer["label"] == ""
    assert "frame 3: positive – version 3, on the disk" in answer["told"]["text"]


def test_a_key_that_is_held_goes_on_at_a_server_that_was_started_anew(store: Path, book: Path) -> None:
    first = Visits(store, book)
    held = first.act({"row": 1}, {"do": "n"})
    first.site.close()

    second = Visits(store, book)
    answer = second.act(held["hand"], {"do": "pass"}, mark=held["lists"]["mark"])
    assert labels(book) == {0: {0: N, 1: N}}
    assert [row for row, _ in answer["lists"]["rows"]] == [1, 2]  # the mark of another process says nothing
    undone = second.act(answer["hand"], {"do": "z"}, mark=answer["lists"]["mark"])
    assert labels(book) == {}  # the whole stroke
    assert [row for row, _ in undone["lists"]["rows"]] == [1]
    second.site.close()


def test_each_label_is_its_authors_and_nobody_overrules_what_they_have_not_seen(visits: Visits, book: Path) -> None:
    visits.act({"row": 1}, {"do": "p"}, author="bert")
    refused = visits.act({"row": 1, "seen": 0}, {"do": "n"})
    assert refused["told"]["trouble"]
    assert "labelled positive by bert" in refused["told"]["text"]
    assert "bert, version 1" in refused["parts"]["now"]
    visits.act(refused["hand"], {"do": "n"})  # now it has been seen
    visits.act({"row": 1, "seen": 2}, {"do": "z"}, author="bert")
    with closing(LabelBook(book)) as opened:
        assert [act.author for act in opened.acts()] == ["bert", "anna", "bert"]
        assert opened.labels()[EpisodeKey("cd" * 16, 0)] == {0: N}


def test_marking_with_a_pointer_and_opening_by_a_click(visits: Visits, book: Path) -> None:
    drag = ({"do": "point", "at": 0.5}, {"do": "point", "at": 0.6, "shift": True})  # of 21 frames: 10 to 12
    answer = visits.act({"row": 1}, {"do": "open", "row": 2, "frame": 3}, *drag, {"do": "p"})
    assert (answer["hand"]["row"], answer["hand"]["anchor"]) == (2, None)
    assert labels(book) == {1: dict.fromkeys((10, 11, 12), P)}


def test_an_episode_that_ends_is_there_at_the_next_visit(tmp_path: Path, book: Path) -> None:
    path = write(tmp_path / "run.sqlite", 1, 0)
    visits = Visits(path, book)
    assert "0 of 1 episodes have labels" in visits.ask("/label/").text
    assert visits.ask("/label/2").status_code == 404
    (tmp_path / "run.sqlite").unlink()
    write(path, 1, 1)
    page = visits.ask("/label/2").text
    assert "0 of 2 episodes have labels" in page
    assert 'href="/episode/2"' in page
    visits.site.close()


def test_pictures_are_those_of_the_store_to_the_last_byte(visits: Visits, store: Path) -> None:
    with closing(ExperienceFile(store)) as experience:
        messages = experience.messages(2)
    for frame, seen in ((0, messages[0].observation), (20, messages[-1].final_observation)):
        (png,) = [each.png for each in seen.frames if each.camera == "camera1"]
        assert visits.ask(f"/label/frame/2/{frame}/camera1").content == png
    for nowhere in ("2/21/camera1", "2/0/none", "9/0/camera1"):
        assert visits.ask(f"/label/frame/{nowhere}").status_code == 404


def test_what_is_not_understood_or_comes_from_another_site_labels_nothing(visits: Visits, book: Path) -> None:
    body = {"hand": {"row": 1}, "author": "anna", "mark": "", "acts": [{"do": "p"}]}
    foreign = visits.ask("/label/act", "POST", json=body, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    for wrong in ({"author": " "}, {"hand": {"row": 1, "frame": -1}}, {"acts": [{"dance": 1}]}):
        assert visits.ask("/label/act", "POST", json=body | wrong).status_code == 422
    gone = visits.ask("/label/act", "POST", json=body | {"hand": {"row": 9}})
    assert (gone.status_code, "load the page anew" in gone.text) == (409, True)
    assert labels(book) == {}


class TestWhatTheRunRemembers:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """Paid, not paid though it looked like success, and one that no classifier was asked about."""
        path, within = tmp_path / "judged.sqlite", contract()
        with new_experience(path, within) as experience:
            for steps in (judged(0), judged(1, success=False, pays=False), episode(2)):
                experience.append(steps, within)
        return path

    def test_the_curve_is_that_of_the_judge_and_the_threshold_lies_where_its_reasons_change(self, path: Path) -> None:
        with closing(ExperienceFile(path)) as experience:
            recorded = remembered(path, experience.outcomes(EpisodeSelection()))
        assert recorded is not None
        assert recorded.threshold == pytest.approx(0.6)  # between 0.5, unlikely, and 0.7, likely
        assert (recorded.known, recorded.of(2), recorded.origin(0)) == (2, None, Origin.RECORDED)
        probability = recorded.of(0)
        assert probability is not None
        # Frame n was seen after step n - 1; nobody was asked about the first one.
        assert str(probability[0]) == "nan"
        assert (probability[8], probability[17], probability[20]) == (0.5, 0.7, 0.9)

    def test_what_would_be_paid_contradicts_or_is_in_doubt_is_suggested_until_a_hand_has_said(self, path: Path) -> None:
        with closing(ExperienceFile(path)) as experience:
            outcomes = experience.outcomes(EpisodeSelection())
            recorded = remembered(path, outcomes)
        assert recorded is not None
        found = {(each.why, each.episode, each.step) for each in recorded.suggestions({})}
        assert (Why.PAID, 0, 20) in found
        assert (Why.DOUBT, 1, 8) in found
        first = EpisodeKey(outcomes[0].session, 0)
        by_key = {first: dict.fromkeys(range(21), Said(N, Act(1, "key", "anna", 5, None)))}
        assert (Why.MISTAKE, 0, 20) in {(each.why, each.episode, each.step) for each in recorded.suggestions(by_key)}
        by_hand = {first: dict.fromkeys(range(21), Said(N, Act(1, EDIT, "anna", 5, None)))}
        assert 0 not in {each.episode for each in recorded.suggestions(by_hand)}

    def test_the_page_shows_it(self, path: Path, book: Path) -> None:
        visits = Visits(path, book)
        page = visits.ask("/label/1").text
        assert "would be paid" in page
        assert "threshold 0.60" in visits.act({"row": 1, "frame": 20})["parts"]["opinion"]
        assert visits.act({"row": 1})["parts"]["opinion"] == ""  # of the first frame nobody was asked
        hop = visits.act({"row": 3}, {"do": "h"})["hand"]
        assert (hop["row"], hop["frame"]) == (1, 20)
        visits.site.close()

    def test_without_any_there_is_nothing_to_remember(self, store: Path) -> None:
        with closing(ExperienceFile(store)) as experience:
            assert remembered(store, experience.outcomes(EpisodeSelection())) is None
