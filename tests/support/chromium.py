"""A headless Chromium and the pages in it, driven by DevTools: real key events, real fingers, a real focus."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from waiting import eventually

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
START_S = 60.0
ANSWER_S = 30.0

# DevTools wants of each key what the browser would have from the system: event.key, event.code, the old key code.
_KEYS = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "Escape": 27, "Enter": 13, "Backspace": 8, "Control": 17}


def found() -> str | None:
    """The program, where it is installed."""
    return next((path for path in map(shutil.which, PROGRAMS) if path), None)


class Tab:
    """One page."""

    def __init__(self, browser: Chromium, target: str, session: str) -> None:
        self._browser, self._target, self._session = browser, target, session

    def evaluate(self, script: str) -> Any:
        """The value of an expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer["result"].get("value")

    def front(self) -> None:
        """Give it the focus, which takes it from the others."""
        self.call("Page.bringToFront")

    def key_down(self, key: str, *, repeat: bool = False, ctrl: bool = False, shift: bool = False) -> None:
        """A key goes down, or repeats by itself."""
        self._key("rawKeyDown", key, autoRepeat=repeat, modifiers=2 * ctrl + 8 * shift)

    def key_up(self, key: str) -> None:
        """It goes up."""
        self._key("keyUp", key)

    def tap(self, key: str, *, shift: bool = False) -> None:
        """Both."""
        self.key_down(key, shift=shift)
        self.key_up(key)

    def touch(self, button: str) -> None:
        """A finger on a button, by its id."""
        place = f"(() => {{ const it = document.getElementById('{button}'); it.scrollIntoView({{block: 'center'}}); "
        place += "const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        x, y = self.evaluate(place)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])

    def untouch(self) -> None:
        """The finger goes."""
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def click(self, selector: str) -> None:
        """The mouse on what a CSS selector finds first."""
        place = f"(() => {{ const it = document.querySelector({json.dumps(selector)}); if (!it) return null; "
        place += "it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect(); "
        place += "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        found = self.evaluate(place)
        assert found is not None, f"{selector}: nothing on the page to click on"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", clickCount=1)

    def close(self) -> None:
        """Close it."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        """A method of DevTools upon this page."""
        return self._browser.call(method, self._session, **arguments)

    def _key(self, kind: str, key: str, **more: Any) -> None:
        code = _KEYS.get(key, ord(key.upper()[0]))
        name = key if key in _KEYS else "Space" if key == " " else f"Key{key.upper()}"
        self.call("Input.dispatchKeyEvent", type=kind, key=key, code=name, windowsVirtualKeyCode=code, **more)


class Chromium:
    """A browser without a screen, and without a profile: a context."""

    def __init__(self, folder: Path) -> None:
        program = found()
        assert program is not None
        self._folder = folder
        self._ids = itertools.count(1)
        self._exits = ExitStack()
        self._process = subprocess.Popen(
            [
                *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"),
                *("--no-first-run", "--disable-extensions", "--disable-background-networking", "--no-proxy-server"),
                *(f"--user-data-dir={folder}", "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        told = self._folder / "DevToolsActivePort"
        eventually(lambda: told.is_file() and len(told.read_text().splitlines()) == 2, "the browser", START_S)
        port, path = told.read_text().splitlines()
        opened = connect(f"ws://127.0.0.1:{port}{path}", max_size=None, proxy=None)
        self._socket: ClientConnection = self._exits.enter_context(opened)
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()
        self.signal(signal.SIGKILL)
        self._process.wait()

    def open(self, url: str, *, window: bool = True) -> Tab:
        """A page in a window of its own, or in front of the others in the last one."""
        target = self.call("Target.createTarget", url=url, newWindow=window)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Tab(self, target, session)

    def signal(self, number: int) -> None:
        """To all of its processes, such as SIGSTOP."""
        os.killpg(self._process.pid, number)

    def call(self, method: str, session: str = "", **arguments: Any) -> dict[str, Any]:
        """A method of DevTools, and its answer; what it tells without being asked is passed over."""
        asked = next(self._ids)
        message = {"id": asked, "method": method, "params": arguments} | ({"sessionId": session} if session else {})
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=ANSWER_S))
            if answer.get("id") == asked:
                assert "error" not in answer, answer
                return dict(answer["result"])
