"""The page of `nudge classifier label --page` in a real browser: keys, what they leave on the disk, a killed server."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import chromium
from chromium import Chromium, Tab
from console.stopping import Child
from judged_episodes import SESSION, write
from reward_classifier.labels import EpisodeKey, Label, LabelBook, Span
from waiting import eventually

pytestmark = pytest.mark.skipif(chromium.found() is None, reason="needs a browser: apt install chromium")

FIRST = EpisodeKey(SESSION, 0)
P, N, U = Label.POSITIVE, Label.NEGATIVE, Label.UNSURE


class Page:
    """The page in a tab, its server, and the labels on the disk."""

    def __init__(self, tab: Tab, server: Child, book: Path) -> None:
        self.tab, self.server, self.book = tab, server, book

    def labels(self) -> dict[int, Label]:
        """Of the first episode, as another process reads them."""
        with closing(LabelBook(self.book)) as book:
            return dict(book.labels().get(FIRST, {}))

    def shows(self, *texts: str) -> None:
        def seen() -> bool:
            page = " ".join(str(self.tab.evaluate("document.body.innerText")).split())
            return all(text in page for text in texts)

        eventually(seen, f"{texts} on the page")

    def has(self, labels: dict[int, Label]) -> None:
        eventually(lambda: self.labels() == labels, f"the labels {labels}")

    def drawn(self, kind: str) -> int:
        """Intervals of a label on the timeline."""
        return int(self.tab.evaluate(f"document.querySelectorAll('.timeline .run.{kind}').length"))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("labels")
    store = write(folder / "mine.sqlite", 1, 2)
    command = ["classifier", "label", "--page", "--store", str(store), "--author", "anna", "--port", "0"]
    with Child("labels", command, folder / "log") as server, Chromium(folder) as browser:
        eventually(lambda: "open http" in server.last_lines(), "the server", 60)
        url = server.last_lines(1).split()[1]
        made = Page(browser.open(url), server, folder / "mine.labels.sqlite")
        made.shows("frame 0 of 20", "you are anna")
        made.tab.front()
        ready = "document.readyState === 'complete' && document.hasFocus()"
        eventually(lambda: bool(made.tab.evaluate(ready)), "the focus, and the script that hears keys")
        yield made


# In this order: each goes on from what the one before has left.


def test_keys_mark_an_interval_and_label_it(page: Page) -> None:
    for shift in (False, False, True, True, True):
        page.tab.tap("ArrowRight", shift=shift)
    page.tab.tap("p")
    page.has(dict.fromkeys(range(2, 6), P))
    page.shows("frames 2 to 5: positive – version 1, on the disk", "frame 5 of 20", "positive by anna, version 1")
    assert page.drawn("positive") == 1


def test_a_held_key_labels_what_passes_and_one_undo_takes_all_of_it_back(page: Page) -> None:
    page.tab.key_down("n")
    page.tab.tap("ArrowRight")
    page.tab.tap("ArrowRight")
    page.tab.key_up("n")
    page.tab.tap("ArrowRight")
    page.has(dict.fromkeys(range(2, 5), P) | dict.fromkeys(range(5, 8), N))
    page.shows("frame 8 of 20")
    page.tab.tap("z")
    page.has(dict.fromkeys(range(2, 6), P))
    page.shows("taken back", "and 2 before it")


def test_a_page_that_is_loaded_anew_shows_episode_and_labels_again(page: Page) -> None:
    page.tab.call("Page.reload")
    page.shows("frame 0 of 20", "Episode cdcdcdcd/0", "4 of 21 frames · anna")
    eventually(lambda: page.drawn("positive") == 1, "the interval")


def test_what_somebody_else_says_appears_by_itself(page: Page) -> None:
    with closing(LabelBook(page.book)) as book:
        book.add([Span(FIRST, 10, 12, N)], "edit", "bert", 1)
    page.shows("7 of 21 frames · anna, bert")
    eventually(lambda: page.drawn("negative") == 1, "the interval")


def test_what_was_said_survives_a_server_that_is_killed(page: Page) -> None:
    page.tab.tap("End")
    page.tab.tap("u")
    page.shows("frame 20: unsure – version", "on the disk")
    os.kill(page.server._process.pid, signal.SIGKILL)
    assert page.labels() == dict.fromkeys(range(2, 6), P) | dict.fromkeys(range(10, 13), N) | {20: U}
