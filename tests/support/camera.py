"""Pictures of pages for the documents: small files, as wide as a desk's or a phone's screen."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from chromium import Tab
from waiting import eventually

DESK_PX, PHONE_PX = 1050, 390
MOST_BYTES = 150_000
COLOURS = (256, 128, 64, 32)
LOADED = "[...document.images].every((each) => !each.src || (each.complete && each.naturalWidth))"
BOX = """((selector) => {
  const box = document.querySelector(selector).getBoundingClientRect();
  return [box.x + scrollX, box.y + scrollY, box.width, box.height];
})"""


class Camera:
    """Takes pictures of tabs. folder: where they go"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(
        self,
        tab: Tab,
        name: str,
        *,
        width: int = DESK_PX,
        height: int = 0,
        of: str = "body",
        at: Callable[[], bool] = lambda: True,
    ) -> None:
        """The whole page, or a part of it.

        height: of the screen, and at most of the picture [px]; 0: as high as the page. of: a CSS selector
        at: a moment; it holds on the picture
        """
        tab.front()
        self.stand(tab, width, height)
        png = b""

        def taken() -> bool:
            nonlocal png
            if not (at() and tab.evaluate(LOADED)):
                return False
            png = self._look(tab, of, height)
            return at()

        eventually(taken, f"the moment of {name}", 600)
        data = small(png)
        (self._folder / f"{name}.png").write_bytes(data)
        print(f"{name}.png  {len(data) / 1000:.0f} kB", flush=True)

    def stand(self, tab: Tab, width: int, height: int = 0) -> None:
        """Give the page a screen of that size [px]; 0: as high as the page."""
        size = {"width": width, "deviceScaleFactor": 1, "mobile": width <= PHONE_PX}
        tab.call("Emulation.setScrollbarsHidden", hidden=True)
        tab.call("Emulation.setDeviceMetricsOverride", height=height or 700, **size)
        if not height:
            whole = int(tab.evaluate("document.documentElement.scrollHeight"))
            tab.call("Emulation.setDeviceMetricsOverride", height=whole, **size)

    def _look(self, tab: Tab, of: str, most_px: int) -> bytes:
        x, y, width, height = tab.evaluate(f"{BOX}('{of}')")
        clip = {"x": x, "y": y, "width": width, "height": min(height, most_px or height), "scale": 1}
        answer = tab.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


def small(png: bytes) -> bytes:
    """As it is where that is small, else with as many colours as leave it small; raise `ValueError` where none do."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in (None, *COLOURS):
        file = io.BytesIO()
        fewer = (
            picture
            if colours is None
            else picture.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        )
        fewer.save(file, "PNG", optimize=True)
        if file.tell() <= MOST_BYTES:
            return file.getvalue()
    raise ValueError(f"a picture of {picture.size} px: expected {MOST_BYTES} bytes at most, got more; take less of it")
