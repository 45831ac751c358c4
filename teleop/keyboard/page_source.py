"""Keys as they go down and up in a page in the browser, which a process of its own serves."""

from __future__ import annotations

import ipaddress
import json
import logging
import os
import secrets
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Self

from teleop.errors import TeleopError
from teleop.keyboard.pages import Opening
from teleop.keyboard.settings import KeyboardSettings

SILENT_S = 1.0  # the process tells five times a second that it lives
HANGS_AFTER = 5  # silences; one alone is a busy machine, on which starting it again would take long, too
AGAIN_S = 1.0  # between two attempts to start it again
GRACE_S = 5.0

log = logging.getLogger(__name__)


class PageSource:
    """A context in which the page is served, and `on_press`, `on_release` and `on_focus` are told what happens in it.

    They are called from a thread. A process that ends or hangs is started again at the same URL; `on_lost` hears of
    its end, after which no key is held.
    """

    def __init__(
        self,
        settings: KeyboardSettings,
        on_press: Callable[[str], None],
        on_release: Callable[[str], None],
        on_focus: Callable[[bool], None],
        on_lost: Callable[[], None],
        *,
        drives: bool,
    ) -> None:
        host = settings.page.host
        token = "" if _is_loopback(host) else secrets.token_urlsafe(32)
        self._opening = Opening(host=host, port=settings.page.port, token=token, keys=settings.keys, drives=drives)
        self._on_press, self._on_release, self._on_focus, self._on_lost = on_press, on_release, on_focus, on_lost
        self._shown: dict[str, str] = {}
        self._pages = 0
        self._silent = False
        self._ended = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether a page is open that can be heard."""
        return self._pages > 0 and not self._silent

    @property
    def url(self) -> str:
        """What to open in a browser."""
        host, token = _seen_from_outside(self._opening.host), self._opening.token
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self._opening.port}/{f'?token={token}' if token else ''}"

    def __enter__(self) -> Self:
        """Serve the page. Raises `TeleopError` where that does not work."""
        self._process = self._start()
        self._woken, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._keep_serving, name="keyboard page", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        os.write(self._wake, b"x")
        self._thread.join()
        os.close(self._wake)
        os.close(self._woken)

    def show(self, control: str, wish: str) -> None:
        """Who is in control, and what the operator is awaited for; call it with what has changed only. Never waits."""
        self._shown = {"control": control, "wish": wish}
        os.write(self._wake, b"x")

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _keep_serving(self) -> None:
        try:
            while not self._listen():
                self._lose()
                _end(self._process, within_s=0)
                log.warning("keyboard: the process of the page has ended or hangs; it is started again")
                self._restart()
        finally:
            self._lose()
            _end(self._process, GRACE_S)

    def _listen(self) -> bool:
        """Hear the process until it is gone, or, then true, until the end."""
        assert self._process.stdout is not None
        heard, rest, silences = self._process.stdout.fileno(), b"", 0
        self._tell()
        while not self._ended.is_set():
            ready, _, _ = select.select([heard, self._woken], [], [], SILENT_S)
            if self._woken in ready:
                os.read(self._woken, 4096)
                self._tell()
            if heard in ready:
                data = os.read(heard, 65536)
                if not data:
                    return False
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._heed(json.loads(line))
                silences, self._silent = 0, False
            elif not ready:
                silences, self._silent = silences + 1, True
                self._on_lost()
                if silences == HANGS_AFTER:
                    return False
        return True

    def _heed(self, told: dict[str, Any]) -> None:
        match told:
            case {"press": key}:
                self._on_press(key)
            case {"release": key}:
                self._on_release(key)
            case {"focus": focused}:
                self._on_focus(focused)
            case {"pages": pages}:
                self._pages = pages

    def _tell(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(self._shown).encode() + b"\n")
        except BrokenPipeError:
            return  # it has ended: that is heard at once, and the next one is told

    def _lose(self) -> None:
        self._pages, self._silent = 0, False
        self._on_focus(False)
        self._on_lost()

    def _restart(self) -> None:
        while not self._ended.wait(AGAIN_S):
            try:
                self._process = self._start()
            except TeleopError as error:
                log.warning("%s", error)
            else:
                return

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the process and hear its port."""
        process = subprocess.Popen(
            [sys.executable, "-m", "teleop.keyboard.page_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl+C is for the parent, which parks the arm before this ends
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self._opening.model_dump_json().encode() + b"\n")
        ready = json.loads(process.stdout.readline() or '{"error": "its process died, as stands above"}')
        if "error" in ready:
            _end(process, GRACE_S)
            raise TeleopError(f"keyboard: no page can be served: {ready['error']}")
        self._opening = self._opening.model_copy(update={"port": ready["port"]})
        return process


def _end(process: subprocess.Popen[bytes], within_s: float) -> None:
    """Let it end in order with its input, or kill it after a while."""
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_loopback(host: str) -> bool:
    """Whether nothing beyond this machine can come to it; of names that is known of localhost alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _seen_from_outside(host: str) -> str:
    """The address by which others reach this machine, where it listens at all of its own."""
    if host not in ("0.0.0.0", "::"):
        return host
    family, elsewhere = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.1")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((elsewhere, 9))  # sends nothing: the system chooses the address it would send from
        except OSError:
            return socket.gethostname()
        return str(probe.getsockname()[0])
