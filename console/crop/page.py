"""The page of `nudge crop`: what the camera sees now, a region that can be dragged, and what the policy will see.

Served on 127.0.0.1 alone. NiceGUI is imported with this module, which only the verb does.
"""

from __future__ import annotations

import base64

import cv2
import numpy as np
from nicegui import events, ui
from numpy.typing import NDArray

from console.crop.main import CropChooser, Look
from console.web.local_page import serve
from policy.contract import Crop
from policy.errors import NudgeError
from policy.preprocess import preprocess_frame
from robot.cameras.contact_sheet import share_clipped

REFRESH_S = 0.2
SHOWN_PX = 256  # the policy's picture, enlarged
SMALLEST_PX = 16
EDGES = ("top", "left", "height", "width")


class Selection:
    """The region while it is dragged: from inside it is moved, from outside a new square is drawn."""

    def __init__(self, crop: Crop, height_px: int, width_px: int) -> None:
        self.crop = crop
        self._height_px, self._width_px = height_px, width_px
        self._begun: tuple[float, float] | None = None  # where the mouse went down
        self._moved: Crop | None = None  # the region as it was then, if the mouse went down inside

    def begin(self, x_px: float, y_px: float) -> None:
        """The mouse goes down."""
        crop = self.crop
        inside = 0 <= x_px - crop.left < crop.width and 0 <= y_px - crop.top < crop.height
        self._begun, self._moved = (x_px, y_px), crop if inside else None

    def drag(self, x_px: float, y_px: float) -> None:
        """The mouse moves; nothing happens while it is up."""
        if self._begun is None:
            return
        across, down = x_px - self._begun[0], y_px - self._begun[1]
        if self._moved is not None:
            self.crop = self._within(self._moved.top + down, self._moved.left + across, *_size(self._moved))
        else:
            side = max(SMALLEST_PX, abs(across), abs(down))
            side = min(side, self._height_px, self._width_px)
            top = self._begun[1] - (side if down < 0 else 0)
            left = self._begun[0] - (side if across < 0 else 0)
            self.crop = self._within(top, left, side, side)

    def end(self) -> None:
        """The mouse goes up, or leaves."""
        self._begun = None

    def put(self, edge: str, value: float) -> None:
        """Set one of `EDGES`; the others give way where the frame ends."""
        numbers = self.crop.model_dump() | {edge: value}
        height = min(max(1, numbers["height"]), self._height_px)
        width = min(max(1, numbers["width"]), self._width_px)
        self.crop = self._within(numbers["top"], numbers["left"], height, width)

    def _within(self, top: float, left: float, height: float, width: float) -> Crop:
        rows, columns = round(height), round(width)
        return Crop(
            top=min(max(0, round(top)), self._height_px - rows),
            left=min(max(0, round(left)), self._width_px - columns),
            height=rows,
            width=columns,
        )


class CropPage:
    """One visitor's page."""

    def __init__(self, chooser: CropChooser, look: Look) -> None:
        self._chooser, self._look = chooser, look
        camera = chooser.camera
        self._selection = Selection(camera.crop, camera.native_height_px, camera.native_width_px)
        ui.label(f"{camera.name}: drag the square, or type its numbers").classes("text-lg")
        with ui.row():
            self._native = ui.interactive_image(
                on_mouse=self._on_mouse, events=["mousedown", "mousemove", "mouseup", "mouseleave"]
            ).style(f"width: {camera.native_width_px}px; max-width: 60vw")
            with ui.column():
                self._policys = ui.image().style(f"width: {SHOWN_PX}px; image-rendering: pixelated")
                self._light = ui.label()
                with ui.grid(columns=2):
                    self._numbers = {
                        edge: ui.number(
                            edge, precision=0, on_change=lambda event, edge=edge: self._on_number(edge, event)
                        )
                        for edge in EDGES
                    }
                ui.button(f"Save to {chooser.path.name}", on_click=self._save)
        self._told = ui.label().style("white-space: pre-wrap")
        self.refresh()
        ui.timer(REFRESH_S, self.refresh)

    def refresh(self) -> None:
        """Show what the camera sees now, and where the region lies."""
        try:
            frame = self._look()
        except NudgeError as error:
            self._told.text = str(error)
            return
        crop = self._selection.crop
        seen = preprocess_frame(frame, self._chooser.cropped(crop))
        dark, bright = share_clipped(seen)
        self._native.set_source(_as_url(frame))
        self._policys.set_source(_as_url(seen))
        self._light.text = f"mean {seen.mean():.0f}, too dark {dark:.1%}, too bright {bright:.1%}"
        self._draw(crop)

    def _draw(self, crop: Crop) -> None:
        self._native.set_content(
            f'<rect x="{crop.left}" y="{crop.top}" width="{crop.width}" height="{crop.height}" '
            f'fill="none" stroke="orange" stroke-width="3" />'
        )
        for edge, number in self._numbers.items():
            number.set_value(getattr(crop, edge))

    def _on_mouse(self, event: events.MouseEventArguments) -> None:
        match event.type:
            case "mousedown":
                self._selection.begin(event.image_x, event.image_y)
            case "mousemove" if event.buttons:
                self._selection.drag(event.image_x, event.image_y)
            case "mouseup" | "mouseleave":
                self._selection.end()
            case _:
                return
        self._draw(self._selection.crop)

    def _on_number(self, edge: str, event: events.ValueChangeEventArguments[float | None]) -> None:
        if event.value is None or event.value == getattr(self._selection.crop, edge):
            return
        self._selection.put(edge, event.value)
        self._draw(self._selection.crop)

    def _save(self) -> None:
        try:
            self._told.text = self._chooser.save(self._selection.crop)
        except NudgeError as error:
            self._told.text = str(error)


def serve_page(chooser: CropChooser, look: Look, port: int) -> None:
    """Serve the page until Ctrl+C."""
    serve(lambda: CropPage(chooser, look), port, "nudge crop")


def _size(crop: Crop) -> tuple[int, int]:
    return crop.height, crop.width


def _as_url(picture: NDArray[np.uint8]) -> str:
    jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
