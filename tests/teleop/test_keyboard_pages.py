"""Several pages as one keyboard: never two hands at once, nothing held without a page that holds it, nothing late."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from teleop.keyboard.pages import LATE_S, SILENT_S, Heard, Page, Pages
from teleop.keyboard.settings import Keys
from waiting import Clock

KEYS = st.sampled_from(["up", "w", "esc", "no key"])
PLACE = st.integers(0, 2)


class Desk:
    """Pages, and what the keyboard has been told of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.told: list[dict[str, Any]] = []
        self.pages = Pages(Keys(), self.told.append, self.clock)

    def hears(self, page: Page, what: Any, key: str = "", *, late_s: float = 0.0) -> list[dict[str, Any]]:
        """What is told of one message."""
        before = len(self.told)
        self.pages.heed(page, Heard(what=what, key=key, sent_s=self.clock.now_s - late_s))
        return self.told[before:]


class SeveralPages(RuleBasedStateMachine):
    """Held against what was pressed where, and when it was heard."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.open: list[Page] = []
        self.down: dict[Page, set[str]] = {}
        self.heard_s: dict[Page, float] = {}

    def heard(self, page: Page) -> None:
        self.silence()
        self.heard_s[page] = self.desk.clock.now_s

    def silence(self) -> None:
        for page in self.open:
            if self.heard_s[page] < self.desk.clock.now_s - SILENT_S:
                self.down[page] = set()

    @precondition(lambda self: len(self.open) < 3)
    @rule()
    def a_page_opens(self) -> None:
        page = self.desk.pages.join()
        self.open.append(page)
        self.down[page], self.heard_s[page] = set(), self.desk.clock.now_s

    @precondition(lambda self: self.open)
    @rule(place=PLACE)
    def a_page_closes(self, place: int) -> None:
        page = self.open.pop(place % len(self.open))
        self.desk.pages.leave(page)
        del self.down[page], self.heard_s[page]

    @precondition(lambda self: self.open)
    @rule(place=PLACE, key=KEYS, late=st.booleans())
    def goes_down(self, place: int, key: str, late: bool) -> None:
        page = self.open[place % len(self.open)]
        self.heard(page)
        told = self.desk.hears(page, "down", key, late_s=LATE_S + 0.1 if late else LATE_S - 0.1)
        counts = key != "no key" and key not in self.down[page] and (key == "esc" or not late)
        assert ({"press": key} in told) == counts
        if counts:
            self.down = {other: set() for other in self.open} | {page: self.down[page] | {key}}

    @precondition(lambda self: self.open)
    @rule(place=PLACE, key=KEYS)
    def goes_up(self, place: int, key: str) -> None:
        page = self.open[place % len(self.open)]
        self.heard(page)
        self.desk.hears(page, "up", key)
        self.down[page].discard(key)

    @precondition(lambda self: self.open)
    @rule(place=PLACE, what=st.sampled_from(["focus", "blur", "beat"]))
    def tells(self, place: int, what: str) -> None:
        page = self.open[place % len(self.open)]
        self.heard(page)
        self.desk.hears(page, what)
        if what == "blur":
            self.down[page] = set()

    @rule(seconds=st.sampled_from([0.2, SILENT_S + 0.1]))
    def time_passes(self, seconds: float) -> None:
        self.desk.clock.now_s += seconds
        self.desk.pages.look()
        self.silence()

    @invariant()
    def the_keyboard_holds_what_one_page_holds_and_has_the_focus_then(self) -> None:
        down: set[str] = set()
        focused, pages = False, 0
        for told in self.desk.told:
            match told:
                case {"press": key}:
                    assert focused
                    assert key not in down
                    down.add(key)
                case {"release": key}:
                    down.remove(key)
                case {"focus": bool(now)}:
                    assert now is not focused
                    assert now or not down  # all is let go before
                    focused = now
                case {"pages": int(count)}:
                    pages = count
        assert down == set().union(*self.down.values())
        assert sum(bool(held) for held in self.down.values()) <= 1
        assert pages == len(self.open)


TestSeveralPages = SeveralPages.TestCase
TestSeveralPages.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_a_press_in_another_page_lets_go_of_what_is_held_in_the_first_before_it_counts() -> None:
    desk = Desk()
    one, other = desk.pages.join(), desk.pages.join()
    assert desk.hears(one, "down", "up") == [{"focus": True}, {"press": "up"}]
    assert desk.hears(other, "down", "w") == [{"release": "up"}, {"press": "w"}]
    assert desk.hears(one, "up", "up") == []


def test_a_press_that_was_long_on_its_way_counts_for_nothing_but_the_emergency_stop_does() -> None:
    desk = Desk()
    page = desk.pages.join()
    desk.hears(page, "focus")
    assert desk.hears(page, "down", "enter", late_s=LATE_S + 0.1) == []
    assert desk.hears(page, "down", "esc", late_s=60.0) == [{"press": "esc"}]


def test_a_page_that_holds_a_key_and_beats_no_more_holds_it_no_more_though_it_wakes_up_again() -> None:
    desk = Desk()
    page = desk.pages.join()
    desk.hears(page, "down", "up")
    desk.clock.now_s += SILENT_S + 0.1
    assert desk.hears(page, "beat") == [{"release": "up"}, {"focus": False}]
    assert desk.hears(page, "up", "up") == []
