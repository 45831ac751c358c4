"""The keyboard through a page in a real browser without a screen, and the process that serves it."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

import chromium
from chromium import Chromium, Tab
from keyboard_program import NOWHERE, contract
from teleop.errors import TeleopError
from teleop.events import EventLatch, TeleopEvent
from teleop.keyboard.device import Keyboard
from teleop.keyboard.settings import KeyboardSettings
from teleop.keyboard.shown import ShownOperator
from teleop.person import PersonAtDevice
from teleop.settings import TeleopSettings
from teleop.takeover import Control
from waiting import eventually

STILL, AWAY = [0.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0]
PROGRAM = """
import time
from teleop.keyboard.page_source import PageSource
from teleop.keyboard.settings import KeyboardSettings
settings = KeyboardSettings.model_validate({"page": {"port": 0}})
with PageSource(settings, print, print, print, print, drives=True) as page:
    print(page.url, flush=True)
    time.sleep(600)
"""
in_a_browser = pytest.mark.skipif(chromium.found() is None, reason="needs a browser: apt install chromium")


class Desk:
    """The keyboard, and what was pressed."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, drives: bool = True) -> None:
        self.stops: list[str] = []
        self.latch = EventLatch(self.stops.append)
        settings = KeyboardSettings.model_validate({"source": "page", "page": {"host": host, "port": port}})
        self.keyboard = Keyboard(settings, contract(), self.latch, drives=drives)

    @property
    def action(self) -> list[float]:
        return [float(value) for value in self.keyboard.read(NOWHERE).action]

    @property
    def gone(self) -> bool:
        return self.keyboard.read(NOWHERE).age_s == math.inf

    @property
    def url(self) -> str:
        return next(word for word in self.keyboard.source.split() if word.startswith("http:"))

    @property
    def process(self) -> int:
        page = self.keyboard._page
        assert page is not None
        return page._process.pid

    def moves(self, action: list[float]) -> None:
        eventually(lambda: self.action == action, f"the action {action}")

    def events(self, tab: Tab) -> list[TeleopEvent]:
        """All up to now: those before a pause that is pressed after them."""
        tab.tap("p")
        events: list[TeleopEvent] = []
        eventually(lambda: TeleopEvent.PAUSE in self._collect(events), "the pause")
        return events[:-1]

    def _collect(self, events: list[TeleopEvent]) -> list[TeleopEvent]:
        events += self.latch.take()
        return events


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.keyboard:
        yield desk


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(desk: Desk, browser: Chromium) -> Tab:
    return opened(desk, browser)


def opened(desk: Desk, browser: Chromium) -> Tab:
    page = browser.open(desk.url)
    eventually(lambda: bool(page.evaluate("typeof keys === 'object' && keys !== null")), "the page")
    return page


@pytest.fixture
def focused(desk: Desk, page: Tab) -> Tab:
    page.front()
    eventually(lambda: bool(page.evaluate("document.hasFocus()")), "the focus")
    assert desk.events(page) == []
    desk.stops.clear()
    desk.moves(STILL)
    return page


def shown(page: Tab) -> tuple[str, str, str]:
    title, text = page.evaluate("[...at('state').children].map((it) => it.textContent)")
    kind = page.evaluate("at('state').className")
    return str(kind), str(title), str(text)


@in_a_browser
class TestInABrowser:
    def test_a_key_moves_the_arm_as_long_as_it_is_held(self, desk: Desk, focused: Tab) -> None:
        focused.key_down("ArrowUp")
        desk.moves(AWAY)
        for _ in range(3):
            focused.key_down("ArrowUp", repeat=True)
        focused.key_down("s")
        desk.moves([0.5, 0.0, -0.5, 0.0])
        focused.key_up("s")
        desk.moves(AWAY)
        time.sleep(1.2)  # its beats keep it held
        assert desk.action == AWAY
        focused.key_up("ArrowUp")
        desk.moves(STILL)

    def test_a_tap_shorter_than_a_tick_moves_one_tick(self, desk: Desk, focused: Tab) -> None:
        focused.tap("d")
        assert desk.events(focused) == []  # all has arrived
        assert [desk.action, desk.action] == [[0.0, 0.0, 0.0, 0.5], STILL]

    def test_each_event_key_counts_once_however_long_it_is_held(self, desk: Desk, focused: Tab) -> None:
        for key in (" ", "Enter", "Backspace", "r"):
            focused.key_down(key)
            focused.key_down(key, repeat=True)
            focused.key_up(key)
        names = ("TOGGLE", "SUCCESS", "FAILURE", "RERECORD")
        assert desk.events(focused) == [TeleopEvent[name] for name in names]

    def test_esc_stops_with_ctrl_held_too_with_which_other_keys_are_the_browsers(
        self, desk: Desk, focused: Tab
    ) -> None:
        focused.key_down("Enter", ctrl=True)
        focused.key_up("Enter")
        assert desk.events(focused) == []
        for ctrl in (False, True):
            focused.key_down("Escape", ctrl=ctrl)
            focused.key_up("Escape")
        eventually(lambda: desk.stops == ["keyboard: esc", "keyboard: esc"], "the stops")

    def test_losing_the_focus_lets_go_and_regaining_it_does_not_take_up_what_is_still_held(
        self, desk: Desk, focused: Tab, browser: Chromium
    ) -> None:
        focused.key_down("ArrowUp")
        desk.moves(AWAY)
        elsewhere = browser.open("about:blank", window=False)
        desk.moves(STILL)
        elsewhere.close()
        focused.front()
        focused.key_down("ArrowUp", repeat=True)
        assert desk.events(focused) == []
        assert desk.action == STILL
        focused.key_up("ArrowUp")
        focused.key_down("ArrowUp")
        desk.moves(AWAY)
        focused.key_up("ArrowUp")
        desk.moves(STILL)

    def test_a_finger_on_a_button_is_a_key(self, desk: Desk, focused: Tab) -> None:
        focused.touch("forward")
        desk.moves(AWAY)
        focused.untouch()
        desk.moves(STILL)
        focused.touch("rerecord")
        focused.untouch()
        assert desk.events(focused) == [TeleopEvent.RERECORD]
        focused.touch("emergency_stop")
        focused.untouch()
        eventually(lambda: desk.stops == ["keyboard: esc"], "the stop")

    def test_a_press_in_a_second_page_takes_the_arm_from_the_first(
        self, desk: Desk, focused: Tab, browser: Chromium
    ) -> None:
        second = opened(desk, browser)
        focused.front()
        focused.key_down("ArrowUp")
        desk.moves(AWAY)
        second.touch("open")
        desk.moves([0.0, 0.0, 0.0, 0.5])
        second.close()
        desk.moves(STILL)
        focused.key_up("ArrowUp")
        assert not desk.gone

    def test_who_drives_and_what_is_awaited_stand_there_in_words_and_colours(self, desk: Desk, focused: Tab) -> None:
        desk.keyboard.follow(Control.HUMAN, NOWHERE)
        eventually(lambda: shown(focused) == ("human", "you drive", ""), "who drives")
        desk.keyboard.ask("demonstration: begin it")
        eventually(lambda: shown(focused) == ("awaited", "waiting for you", "demonstration: begin it"), "the wish")
        desk.keyboard.ask("")
        desk.keyboard.follow(Control.POLICY, NOWHERE)
        eventually(lambda: shown(focused) == ("policy", "the policy drives", ""), "who drives")
        assert "away from the base" in focused.evaluate("at('table').textContent")

    def test_a_person_begins_a_demonstration_in_the_page_and_reads_there_that_it_has_begun(
        self, desk: Desk, focused: Tab
    ) -> None:
        person = ShownOperator(PersonAtDevice(desk.keyboard, desk.latch, TeleopSettings()), desk.keyboard)
        assert person.awaits(NOWHERE, demonstrating=True)
        eventually(lambda: shown(focused)[1] == "waiting for you" and "begins it" in shown(focused)[2], "the wish")
        focused.tap(" ")
        eventually(lambda: not person.awaits(NOWHERE, demonstrating=True), "the takeover")
        person.begin_episode(demonstrating=True)
        assert person.poll(NOWHERE).control is Control.HUMAN
        eventually(lambda: shown(focused)[1] == "you drive", "who drives")
        desk.keyboard.follow(Control.POLICY, NOWHERE)

    def test_a_browser_that_hangs_lets_go_and_does_not_take_up_again(
        self, desk: Desk, focused: Tab, browser: Chromium
    ) -> None:
        focused.key_down("ArrowUp")
        desk.moves(AWAY)
        browser.signal(signal.SIGSTOP)
        try:
            desk.moves(STILL)
        finally:
            browser.signal(signal.SIGCONT)
        # If the process has given the browser up meanwhile, its page must find that out before a key counts again.
        eventually(lambda: shown(focused)[1] == "the policy drives", "the page is connected")
        assert desk.events(focused) == []
        assert desk.action == STILL
        focused.key_up("ArrowUp")

    def test_a_process_that_dies_is_a_device_that_is_gone_and_comes_back_without_what_was_pressed_meanwhile(
        self, desk: Desk, focused: Tab
    ) -> None:
        focused.key_down("ArrowUp")
        desk.moves(AWAY)
        os.kill(desk.process, signal.SIGKILL)
        eventually(lambda: desk.gone and desk.action == STILL, "gone")
        eventually(lambda: shown(focused)[1] == "no connection", "the page's word for it")
        focused.tap("Enter")
        focused.tap("Escape")
        eventually(lambda: not desk.gone and shown(focused)[1] == "the policy drives", "back, at the same URL")
        focused.key_down("ArrowUp", repeat=True)
        assert desk.events(focused) == []
        assert desk.stops == []
        assert desk.action == STILL
        focused.key_up("ArrowUp")

    def test_beyond_loopback_the_url_that_is_printed_opens_the_page(self, browser: Chromium) -> None:
        desk = Desk("0.0.0.0", drives=False)
        with desk.keyboard:
            page = opened(desk, browser)
            page.front()
            page.tap("ArrowUp")
            page.tap("r")
            assert desk.events(page) == [TeleopEvent.RERECORD]
            assert desk.action == STILL
            assert page.evaluate("at('motions').hidden")
            page.close()
            eventually(lambda: desk.gone, "nobody has the page open")


def answer(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def answers(url: str) -> bool:
    try:
        return answer(url)[0] == 200
    except urllib.error.URLError:
        return False


def refused(url: str, **headers: str) -> int:
    with pytest.raises(InvalidStatus) as caught, connect(url, additional_headers=headers, proxy=None):
        pass
    return caught.value.response.status_code


def test_beyond_loopback_a_page_without_the_token_is_refused() -> None:
    desk = Desk("0.0.0.0")
    with desk.keyboard:
        place, right = f"127.0.0.1:{urlsplit(desk.url).port}", urlsplit(desk.url).query
        assert len(right) > 32
        for wrong in ("", "?token=", f"?{right[:-1]}", f"?{right}x", "?token=%C3%A9"):
            status, told = answer(f"http://{place}/{wrong}")
            assert status == 403
            assert "expected the one in the URL that Nudge printed" in told
            assert refused(f"ws://{place}/keys{wrong}") == 403
        assert answer(f"http://{place}/?{right}")[0] == 200
        with connect(f"ws://{place}/keys?{right}", proxy=None) as keys:
            assert json.loads(keys.recv(20))["drives"]


def test_no_other_site_can_press_keys_and_what_is_no_message_ends_the_connection() -> None:
    desk = Desk()
    with desk.keyboard:
        place = urlsplit(desk.url).netloc
        assert refused(f"ws://{place}/keys", Origin="http://evil.example") == 403
        assert answer(desk.url, Host="evil.example")[0] == 400
        with connect(f"ws://{place}/keys", origin=None, proxy=None) as keys:
            eventually(lambda: not desk.gone, "a page")
            keys.send('{"what": "run"}')
            eventually(lambda: desk.gone, "its end")
        with connect(f"ws://{place}/keys", additional_headers={"Origin": f"http://{place}"}, proxy=None):
            eventually(lambda: not desk.gone, "a page")


def test_a_process_that_hangs_holds_nothing_and_one_that_dies_is_started_again_at_the_same_url() -> None:
    desk = Desk()
    with desk.keyboard:
        place = f"ws://{urlsplit(desk.url).netloc}/keys"
        with connect(place, proxy=None) as keys:
            now_s = json.loads(keys.recv(20))["now_s"]
            keys.send(json.dumps({"what": "down", "key": "up", "sent_s": now_s}))
            desk.moves(AWAY)
            os.kill(desk.process, signal.SIGSTOP)
            eventually(lambda: desk.gone and desk.action == STILL, "let go")
            os.kill(desk.process, signal.SIGCONT)
            eventually(lambda: not desk.gone, "back")
            assert desk.action == STILL
            os.kill(desk.process, signal.SIGKILL)
            eventually(lambda: desk.gone, "gone")
        eventually(lambda: answers(desk.url), "the page")
        with connect(place, proxy=None):
            eventually(lambda: not desk.gone, "a page")


def test_a_port_that_is_taken_is_refused_with_the_cure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TeleopError, match=rf"port {port} cannot be opened .*set teleop.keyboard.page to another"):
            Desk(port=port).keyboard.__enter__()


def test_the_page_ends_with_a_program_that_was_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert answer(url)[0] == 200
        process.kill()
    place = urlsplit(url)

    def ended() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((place.hostname, place.port)) != 0

    eventually(ended, "its end")
