"""Presets as YAML: read them, follow `extends`, and remember on which line of which file each value stands."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from policy.errors import NudgeError

# The shipped presets; the folder lies beside the rooms, in a checkout and in an installed wheel alike.
CONFIGS = Path(__file__).resolve().parents[2] / "configs"

Keys = tuple[str | int, ...]  # ("learner", "tau"), ("contract", "cameras", 0, "name")


class SettingsError(NudgeError):
    """A preset that is missing or unreadable, or a setting that does not exist or does not fit."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands."""

    path: Path
    line: int  # counted from 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(slots=True)
class Preset:
    """The values of a preset with those it extends, and the place of each."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Keys, Place] = field(default_factory=dict)

    def place_of(self, keys: Keys) -> Place:
        """Place of the value at `keys`, or of the nearest section around it."""
        known = keys[: self.known_depth(keys)]
        return self.places.get(known, Place(self.path, 1))

    def known_depth(self, keys: Keys) -> int:
        """How many of the leading `keys` stand in a file."""
        return next(depth for depth in range(len(keys), -1, -1) if depth == 0 or keys[:depth] in self.places)


def preset_names(folder: Path = CONFIGS) -> list[str]:
    """Names of the presets in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def read_preset(name_or_path: str, folder: Path = CONFIGS) -> Preset:
    """Read a preset and those it extends, the nearest one winning.

    name_or_path: a name stands for `<folder>/<name>.yaml`; what has a slash or ends in .yaml or .yml is a path
    Raises `SettingsError` with file and line: no such preset, a circle of `extends`, no YAML, a key given twice.
    """
    return _read_chain(_locate(name_or_path, folder), folder, ())


def _read_chain(path: Path, folder: Path, below: tuple[Path, ...]) -> Preset:
    if path.resolve() in below:
        circle = " -> ".join(str(item) for item in (*below, path.resolve()))
        raise SettingsError(f"presets extend each other in a circle: {circle}; take out one `extends`")
    own = _read_one(path)
    parent_name = own.values.pop("extends", None)
    if parent_name is None:
        return own
    where = own.places.pop(("extends",))
    if not isinstance(parent_name, str):
        raise SettingsError(
            f"{where}: extends: got {parent_name!r}, expected a preset's name or path, such as `extends: sim`"
        )
    parent_path = _locate(parent_name, folder, said_at=where, beside=path.parent)
    parent = _read_chain(parent_path, folder, (*below, path.resolve()))
    return Preset(path, _merge(parent.values, own.values), _merge_places(parent, own))


def _locate(name_or_path: str, folder: Path, said_at: Place | None = None, beside: Path | None = None) -> Path:
    """The file of a preset; a relative path in an `extends` counts from the file that says so."""
    is_path = "/" in name_or_path or name_or_path.endswith((".yaml", ".yml"))
    file_name = name_or_path if is_path else f"{name_or_path}.yaml"
    path = ((beside or Path()) if is_path else folder) / Path(file_name).expanduser()
    if path.is_file():
        return path
    prefix = f"{said_at}: " if said_at else ""
    if is_path:
        raise SettingsError(
            f"{prefix}there is no preset file {path}; give an existing file, or one of the names below it"
        )
    names = preset_names(folder)
    raise SettingsError(
        f"{prefix}there is no preset {name_or_path!r}{nearest(name_or_path, names)}; "
        f"{folder} has: {', '.join(names) or 'none'}. A path to a file of your own works too"
    )


def nearest(name: str, names: list[str]) -> str:
    """`, did you mean 'x'?` for the most similar of `names`, or nothing."""
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def _read_one(path: Path) -> Preset:
    preset = Preset(path)
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{Place(path, line)}: this is not YAML: {error.problem}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: a preset is UTF-8 text; {error}") from error
    if root is None:
        return preset
    if not isinstance(root, yaml.MappingNode):
        raise SettingsError(f"{Place(path, 1)}: got one plain value or a list, expected settings as `name: value`")
    preset.values = _value(root, (), preset)
    return preset


def _value(node: yaml.Node, keys: Keys, preset: Preset) -> Any:
    """Plain Python value of a node; notes the place of each mapping entry and list item."""
    if isinstance(node, yaml.MappingNode):
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, where = str(key_node.value), Place(preset.path, key_node.start_mark.line + 1)
            if key in values:
                first = preset.places[*keys, key].line
                raise SettingsError(f"{where}: {dotted((*keys, key))} stands twice, first on line {first}; remove one")
            preset.places[*keys, key] = where
            values[key] = _value(value_node, (*keys, key), preset)
        return values
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            preset.places[*keys, index] = Place(preset.path, item.start_mark.line + 1)
        return [_value(item, (*keys, index), preset) for index, item in enumerate(node.value)]
    try:
        return yaml.SafeLoader("").construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError) as error:
        where = Place(preset.path, node.start_mark.line + 1)
        raise SettingsError(f"{where}: {dotted(keys)}: got {node.value!r}, which YAML cannot read: {error}") from error


def _merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Sections are merged name by name; anything else, lists included, is replaced."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _merge(below[key], value) if both else value
    return merged


def _merge_places(below: Preset, above: Preset) -> dict[Keys, Place]:
    """Places for `_merge`: what a list or a value replaced is gone, its former items too."""
    replaced = [keys for keys in above.places if not isinstance(_at(above.values, keys), dict)]
    kept = {
        keys: place for keys, place in below.places.items() if not any(keys[: len(gone)] == gone for gone in replaced)
    }
    return kept | above.places


def _at(values: Any, keys: Keys) -> Any:
    for key in keys:
        values = values[key]
    return values


def dotted(keys: Keys) -> str:
    """`contract.cameras[0].name` for ("contract", "cameras", 0, "name")."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text
