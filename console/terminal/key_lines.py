"""Key numbers as lines of a terminal: in two columns where they fit, in one where not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from console.terminal.key_numbers import KeyNumber, Mood

MOODS: Mapping[Mood, str] = {"": "bold", "good": "bold green", "warn": "bold yellow", "bad": "bold red"}
WIDE = 130  # columns of a terminal from which on two numbers stand beside each other
_LABEL, _VALUE = 15, 9
_GAP = 2


def key_lines(numbers: Sequence[KeyNumber], width: int) -> list[Text]:
    """The numbers, one below the other; where there is room the second half beside the first."""
    if width < WIDE:
        return [_cell(each, width) for each in numbers]
    half, room = (len(numbers) + 1) // 2, (width - _GAP) // 2
    lines = [_cell(each, room) for each in numbers[:half]]
    for line, beside in zip(lines, numbers[half:], strict=False):
        line.pad_right(room + _GAP - line.cell_len)
        line.append_text(_cell(beside, room))
    return lines


def _cell(number: KeyNumber, room: int) -> Text:
    """Label, value and what it is measured against, no wider than the room."""
    line = Text()
    line.append(f"{number.label:<{_LABEL}} ", style="dim")
    line.append(f"{number.value:<{_VALUE}} ", style=MOODS[number.mood])
    line.append(number.detail, style="dim")
    line.truncate(room, overflow="ellipsis")
    return line
