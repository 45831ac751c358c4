"""Pages in browsers as one keyboard: what is held in them, and which of them has the hand. Pure."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from policy.contract import Frozen
from teleop.keyboard.settings import Keys

SILENT_S = 1.0  # a page in which keys are held beats five times as often; without a beat nobody holds them any more
LATE_S = 0.5  # a press that was so long on its way was meant for an arm that stood elsewhere


class Opening(Frozen):
    """What the process that serves the pages is told first.

    port: 0 takes a free one
    token: demanded of each page; empty: none is
    drives: whether keys move the tool
    """

    host: str
    port: int
    token: str = Field(repr=False)
    keys: Keys
    drives: bool


class Heard(Frozen):
    """One message of a page. sent_s: by the clock of `Pages`, as the page has it from what it was last told."""

    what: Literal["down", "up", "focus", "blur", "beat"]
    key: str = Field(default="", max_length=16)
    sent_s: float = -math.inf


class Page:
    """One page that is open: an identity, and what is known of it."""

    def __init__(self, now_s: float) -> None:
        self.focused = False
        self.held: set[str] = set()
        self.heard_s = now_s


class Pages:
    """Tells a keyboard's presses, releases and focus, as dictionaries: `{"press": key}` and so on.

    All pages are heard, one at a time: a press in one of them takes the hand from the others, and what is held in
    those is let go. The key of the emergency stop counts from each of them, however late.
    """

    def __init__(
        self, keys: Keys, tell: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys, self._always = frozenset(keys.model_dump().values()), keys.emergency_stop
        self._tell, self._clock = tell, clock
        self._pages: list[Page] = []

    def join(self) -> Page:
        """A page has been opened."""
        page = Page(self._clock())
        self._pages.append(page)
        self._tell({"pages": len(self._pages)})
        return page

    def leave(self, page: Page) -> None:
        """It is gone: nobody holds its keys."""
        self._blur(page)
        self._pages.remove(page)
        self._tell({"pages": len(self._pages)})

    def heed(self, page: Page, heard: Heard) -> None:
        """What a page has told."""
        self.look()  # after a silence its keys are let go first, however late that is seen
        page.heard_s = self._clock()
        match heard.what:
            case "down":
                self._press(page, heard)
            case "up":
                self._release(page, {heard.key})
            case "focus":
                self._focus(page)
            case "blur":
                self._blur(page)
            case "beat":
                pass

    def look(self) -> None:
        """Let go of what is held in pages that have fallen silent. To be called often."""
        silent_since_s = self._clock() - SILENT_S
        for page in self._pages:
            if page.held and page.heard_s < silent_since_s:
                self._blur(page)

    def _press(self, page: Page, heard: Heard) -> None:
        late = self._clock() - heard.sent_s > LATE_S
        if heard.key not in self._keys or heard.key in page.held or (late and heard.key != self._always):
            return
        for other in self._pages:
            if other is not page:
                self._release(other, other.held)
        self._focus(page)  # a button that is touched has no need of it
        page.held.add(heard.key)
        self._tell({"press": heard.key})

    def _release(self, page: Page, keys: set[str]) -> None:
        for key in sorted(keys & page.held):
            page.held.discard(key)
            self._tell({"release": key})

    def _focus(self, page: Page) -> None:
        had_it = self._focused
        page.focused = True
        if not had_it:
            self._tell({"focus": True})

    def _blur(self, page: Page) -> None:
        had_it = self._focused
        self._release(page, page.held)
        page.focused = False
        if had_it and not self._focused:
            self._tell({"focus": False})

    @property
    def _focused(self) -> bool:
        return any(page.focused for page in self._pages)
