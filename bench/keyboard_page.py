"""How soon a key that is pressed in the keyboard's page is latched: through a real browser, on this machine.

    python bench/keyboard_page.py [--presses 300] [--json]

From the call that presses the key in a headless Chromium to the latch in this process: the browser's own way to the
page, the WebSocket, the process that serves the page, and the pipe. See docs/keyboard.md.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room. The browser is driven
# as in the tests.
_ROOT = Path(__file__).resolve().parents[1]
_OTHERS = [entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench")]
sys.path[:] = [str(_ROOT), *_OTHERS, str(_ROOT / "tests" / "support")]

import numpy as np  # noqa: E402 - the path comes first
import tyro  # noqa: E402

from chromium import Chromium, Tab, found  # noqa: E402
from teleop.keyboard.page_source import PageSource  # noqa: E402
from teleop.keyboard.settings import KeyboardSettings  # noqa: E402
from waiting import eventually  # noqa: E402

HEARD_S = 5.0


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    presses: int = 300
    """How often a key is pressed and let go."""
    json: bool = False
    """Print one line of JSON instead."""


class Ear:
    """When the last press was heard."""

    def __init__(self) -> None:
        self.at_s, self.heard = 0.0, threading.Event()

    def press(self, _key: str) -> None:
        """A key went down."""
        self.at_s = time.perf_counter()
        self.heard.set()


def measure(presses: int) -> list[float]:
    """How long each press took [s]."""
    ear = Ear()
    settings = KeyboardSettings.model_validate({"source": "page", "page": {"port": 0}})
    source = PageSource(settings, ear.press, lambda _: None, lambda _: None, lambda: None, drives=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, source, Chromium(Path(folder)) as browser:
        page = browser.open(source.url)
        eventually(lambda: bool(page.evaluate("document.hasFocus() && keys !== null")), "the page")
        return [_press(page, ear) for _ in range(presses)]


def _press(page: Tab, ear: Ear) -> float:
    ear.heard.clear()
    began_s = time.perf_counter()
    page.key_down("r")
    assert ear.heard.wait(HEARD_S)
    page.key_up("r")
    time.sleep(random.uniform(0.0, 0.05))  # the page's clock is set every 0.1 s, its keys are pressed at any time
    return ear.at_s - began_s


def main(settings: Settings) -> None:
    """Measure, and print the spread."""
    if found() is None:
        print("keyboard_page: no Chromium is installed here, nothing is measured: apt install chromium")
        return
    took_ms = np.array(measure(settings.presses)) * 1e3
    median, p95, p99 = np.percentile(took_ms, (50, 95, 99))
    figures = {"median_ms": median, "p95_ms": p95, "p99_ms": p99, "worst_ms": took_ms.max()}
    if settings.json:
        print(json.dumps({name: round(float(value), 2) for name, value in figures.items()} | {"presses": len(took_ms)}))
        return
    print(f"press to latch: {median:.1f} ms, 95 %: {p95:.1f}, 99 %: {p99:.1f}, worst: {took_ms.max():.1f}")


if __name__ == "__main__":
    main(tyro.cli(Settings))
