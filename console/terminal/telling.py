"""A line for the operator: in the terminal, and in the log of the process if it keeps one (`console.logs.logged`)."""

from __future__ import annotations

import logging

from rich.console import Console
from rich.text import Text

# What it gets stands in the terminal already, so that it goes into the log file alone.
TOLD = logging.getLogger("console.told")
TOLD.propagate = False
TOLD.addHandler(logging.NullHandler())

_STYLES = {logging.WARNING: "yellow", logging.ERROR: "red"}


def tell(console: Console, line: str | Text, level: int = logging.INFO, style: str | None = None) -> None:
    """Print a line, and log it. On a quiet console it is printed from a warning on.

    style: None has warnings yellow and errors red
    """
    said = loud(console) if level >= logging.WARNING else console
    style = _STYLES.get(level, "") if style is None else style
    # In a file a line stays one, so that it can be searched for; a terminal breaks it between two words.
    said.print(line, style=style, highlight=False, markup=False, soft_wrap=not said.is_terminal)
    TOLD.log(level, "%s", line)


def loud(console: Console) -> Console:
    """The same terminal, for what is to be read on a quiet one as well."""
    return Console(file=console.file) if console.quiet else console
