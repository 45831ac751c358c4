"""Changes a preset file of the user's own in place: its comments and its order stay."""

from __future__ import annotations

import yaml


def compose(text: str) -> yaml.Node | None:
    """The nodes of a file, which know where in the text they stand; None for an empty one."""
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    return node


def under(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """What stands under a key; None where nothing does."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def replaced(text: str, node: yaml.Node, value: str) -> str:
    """The text with a value in the place of a node."""
    return f"{text[: node.start_mark.index]}{value}{text[node.end_mark.index :]}"


def at_end(text: str, lines: str) -> str:
    """The text with lines behind it."""
    return (text if text.endswith("\n") or not text else f"{text}\n") + lines


def first_in(text: str, section: yaml.Node | None, lines: str) -> str | None:
    """The text with lines, indented as what is there, first in a section; None where it has no lines of its own."""
    if not isinstance(section, yaml.MappingNode) or section.flow_style or not section.value:
        return None
    first = section.value[0][0].start_mark
    line = first.index - first.column
    indented = "".join(f"{' ' * first.column}{it}" for it in lines.splitlines(keepends=True))
    return text[:line] + indented + text[line:]
