"""What pages of NiceGUI that look alike are built of; it is imported with this module."""

from __future__ import annotations

import base64
from pathlib import Path

from markupsafe import escape
from nicegui import ui

TEMPLATES = Path(__file__).parents[1] / "templates"


def tagged(tag: str, classes: str) -> ui.element:
    """An element of HTML with classes of the page's style sheet."""
    return ui.element(tag).classes(classes)


def written(classes: str, tag: str = "div") -> ui.html:
    """An element whose HTML is set as things change: only what was escaped may come there."""
    return ui.html("", sanitize=False, tag=tag).classes(classes)


def camera_picture(camera: str) -> ui.element:
    """Where a camera's picture comes, with its name below; returns the picture."""
    with tagged("div", "camera"):
        shown = ui.element("img").props(f'alt="{camera}"')
        written("", "span").set_content(escape(camera))
    return shown


def png_url(png: bytes) -> str:
    """A picture as an URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
