"""The page of a run as a person reads it: what drives, the figures, the pictures, the buttons."""

from __future__ import annotations

import json

from chromium import Chromium, Tab
from waiting import SOON_S, eventually

_THERE = "location.href !== 'about:blank' && document.readyState === 'complete'"
_FIGURE = """((label) => {
  const found = [...document.querySelectorAll('[data-part=numbers] dt')].find((each) => each.innerText === label);
  return found ? [...found.parentElement.querySelectorAll('dd')].map((each) => each.innerText) : ['', ''];
})"""
_PICTURE = """((camera) => {
  const seen = document.querySelector(`img[data-camera=${camera}]`), canvas = document.createElement('canvas');
  if (!seen.complete || !seen.naturalWidth) return '';
  [canvas.width, canvas.height] = [seen.naturalWidth, seen.naturalHeight];
  canvas.getContext('2d').drawImage(seen, 0, 0);
  return canvas.toDataURL();
})"""


class DashboardPage:
    """A tab that shows a dashboard."""

    def __init__(self, browser: Chromium, url: str) -> None:
        self.tab: Tab = browser.open(url)
        self.arrived()

    def arrived(self) -> None:
        """Wait until a page is there, after it was asked for."""
        eventually(lambda: bool(self.tab.evaluate(_THERE)), "the page")

    def text(self) -> str:
        """All that can be read."""
        return " ".join(str(self.tab.evaluate("document.body.innerText")).split())

    def shows(self, *texts: str, within_s: float = SOON_S) -> None:
        """Wait until all of it can be read."""
        eventually(lambda: all(text in self.text() for text in texts), f"{texts} on the page", within_s)

    def drives(self, who: str, within_s: float = SOON_S) -> None:
        """Wait until the band says that they do."""
        band = "document.querySelector('.band b').innerText"
        eventually(lambda: self.tab.evaluate(band) == who, f"{who!r} in control", within_s)

    def number(self, label: str) -> float:
        """A key number; -1 where there is none."""
        value = self._figure(label)[0].replace(",", "").replace("−", "-")
        return float(value) if value else -1.0

    def measured_against(self, label: str) -> str:
        """What stands below a key number."""
        return self._figure(label)[1]

    def drawing(self, part: str) -> str:
        """A part of the page, as it is drawn now."""
        return str(self.tab.evaluate(f"document.querySelector('[data-part={part}]').innerHTML"))

    def picture(self, camera: str) -> str:
        """The pixels that are seen of a camera, in some encoding; empty while there is no picture."""
        return str(self.tab.evaluate(f"{_PICTURE}({json.dumps(camera)})"))

    def press(self, word: str) -> None:
        """A button of the run's page."""
        self.tab.click(f'[data-post="/command/{word}"]')

    def turn_to(self, path: str) -> None:
        """Another page, by its link."""
        self.tab.click(f'a[href="{path}"]')
        eventually(lambda: self.tab.evaluate("location.pathname") == path, f"the page {path}")
        self.arrived()

    def _figure(self, label: str) -> tuple[str, str]:
        value, detail = self.tab.evaluate(f"{_FIGURE}({json.dumps(label)})")
        return str(value), str(detail)
