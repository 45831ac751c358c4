"""Writes a gamepad's mapping into a preset of the user's own, and leaves all else in it as it stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from console.presets.edit import at_end, compose, first_in, replaced, under
from console.presets.file import SettingsError
from learner.disk import write_atomically

MAPPING_AT = ("teleop", "gamepad", "mapping")


def write_mapping(path: Path, mapping: str) -> None:
    """Set the mapping in a preset file; its comments and its order stay.

    Raises `SettingsError` where the file is written in a form that cannot be changed in place.
    """
    text = path.read_text(encoding="utf-8")
    changed = _with_mapping(text, mapping)
    try:
        as_meant = yaml.safe_load(changed) == _set(yaml.safe_load(text) or {}, MAPPING_AT, mapping)
    except yaml.YAMLError:
        as_meant = False
    if not as_meant:
        raise SettingsError(
            f"{path}: the mapping cannot be written into it, for its form (anchors, braces or merged keys); nothing "
            f"was changed, put this into it by hand:\n{mapping_lines(mapping)}"
        )
    write_atomically(path, changed.encode())


def mapping_lines(mapping: str, extends: str = "") -> str:
    """The lines of a preset that set the mapping."""
    return (f"extends: {extends}\n" if extends else "") + _nested(MAPPING_AT, mapping)


def _with_mapping(text: str, mapping: str) -> str:
    """The text with the mapping where it stands, first in the section that is there, or at the end."""
    node, keys = compose(text), list(MAPPING_AT)
    while keys and (below := under(node, keys[0])) is not None:
        node = below
        keys.pop(0)
    if isinstance(node, yaml.ScalarNode) and not keys:
        return replaced(text, node, json.dumps(mapping))
    if len(keys) == len(MAPPING_AT):
        return at_end(text, mapping_lines(mapping))
    return first_in(text, node, _nested(tuple(keys), mapping)) or text  # which is not as meant, and refused


def _nested(keys: tuple[str, ...], value: str) -> str:
    """One line for each key, the value behind the last."""
    return "\n".join(f"{'  ' * depth}{key}:" for depth, key in enumerate(keys)) + f" {json.dumps(value)}\n"


def _set(values: dict[str, Any], keys: tuple[str, ...], value: Any) -> dict[str, Any]:
    if len(keys) == 1:
        return values | {keys[0]: value}
    below = values.get(keys[0])
    return values | {keys[0]: _set(below if isinstance(below, dict) else {}, keys[1:], value)}
