"""Pages for people: one HTML document each that needs no network, from a template in `console/templates`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape


def page_template(name: str, **filters: Callable[..., Any]) -> jinja2.Template:
    """A template to render: what it shows is escaped, and what it names and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters, commands=commands)
    return environment.get_template(name)


def commands(text: str) -> Markup:
    """What stands between backticks as code: a terminal reads them, a page does not."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # it is escaped before
