"""Settings from three places: the models' defaults, a preset with those it extends, and the command line; later wins.

Each command takes `--preset NAME_OR_PATH`, and every setting as `--section.name value`. Whatever does not exist or does
not fit is named with its place.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

import tyro
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from console.presets.file import CONFIGS, Keys, Preset, SettingsError, dotted, nearest, preset_names, read_preset

PRESET_OPTION = "--preset"
# `--name value` for booleans too, as in YAML; models of which one of several stands are not subcommands.
TYRO = (tyro.conf.FlagConversionOff, tyro.conf.AvoidSubcommands)
# Marks of a field of a verb's options that holds all settings: they go by their own names, and with values as above.
AMONG_OPTIONS = (tyro.conf.arg(name=""), tyro.conf.FlagConversionOff)


def load_settings[T: BaseModel](
    model: type[T], argv: list[str], default_preset: str, prog: str, folder: Path = CONFIGS
) -> T:
    """Settings from the models' defaults, then the preset chain, then `argv`; the later wins.

    argv: `[--preset NAME_OR_PATH] [--section.name value ...]`, kebab or snake
    prog: the command as typed, for its help, such as `nudge demo`
    folder: where presets lie that are given by name
    Raises `SettingsError` for the preset. A wrong option ends the process with status 2 and a message, `--help` with 0.
    """
    preset_name, rest = take_preset(argv, default_preset)
    preset = read_preset(preset_name, folder)
    return tyro.cli(
        model,
        args=rest,
        default=preset_settings(model, preset),
        prog=prog,
        description=(
            f"{PRESET_OPTION} NAME_OR_PATH: settings to start from (now {preset_name!r}; "
            f"there are {', '.join(preset_names(folder))}). Each setting below can be changed by its option."
        ),
        config=TYRO,
    )


def load_options[T: BaseModel](
    model: type[T], argv: list[str], default_preset: str, prog: str, folder: Path = CONFIGS
) -> T:
    """As `load_settings`, for a verb that has options of its own beside the settings; its booleans are `--name` alone.

    model: with the settings in a field `settings`, marked `AMONG_OPTIONS`
    """
    preset_name, rest = take_preset(argv, default_preset)
    given: dict[str, Any] = {
        name: tyro.MISSING if info.is_required() else info.get_default(call_default_factory=True)
        for name, info in model.model_fields.items()
    }
    section = _section(model.model_fields["settings"].annotation)
    assert section is not None
    given["settings"] = preset_settings(section, read_preset(preset_name, folder))
    return tyro.cli(
        model,
        args=rest,
        default=model.model_construct(**given),
        prog=prog,
        description=(
            f"{(inspect.getdoc(model) or '').strip()}\n\n"
            f"{PRESET_OPTION} NAME_OR_PATH: settings to start from (now {preset_name!r}; there are "
            f" {', '.join(preset_names(folder))}). Each setting below can be changed by its option."
        ),
        config=(tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands),
    )


def parse_options[T: BaseModel](model: type[T], argv: list[str], prog: str, *, flags: bool = False) -> T:
    """Settings of a verb that has no presets: defaults, then `argv`. A wrong option ends the process with status 2.

    flags: booleans are `--name` alone, as what is done once and not kept in a file is asked for
    """
    return tyro.cli(model, args=argv, prog=prog, config=(tyro.conf.FlagCreatePairsOff,) if flags else TYRO)


def load_preset[T: BaseModel](model: type[T], name_or_path: str, folder: Path = CONFIGS) -> T:
    """Settings of a preset alone, all required ones given. Raises `SettingsError`."""
    preset = read_preset(name_or_path, folder)
    try:
        return model.model_validate(preset.values)
    except ValidationError as error:
        raise _settings_error(model, preset, error.errors()) from error


def take_preset(argv: list[str], default_preset: str) -> tuple[str, list[str]]:
    """The value of `--preset`, and the arguments without it."""
    name, rest = default_preset, []
    arguments = iter(argv)
    for argument in arguments:
        if argument == PRESET_OPTION:
            given = next(arguments, None)
            if given is None:
                raise SettingsError(f"{PRESET_OPTION}: got nothing after it, expected the name or the path of a preset")
            name = given
        elif argument.startswith(PRESET_OPTION + "="):
            name = argument.removeprefix(PRESET_OPTION + "=")
        else:
            rest.append(argument)
    return name, rest


def preset_settings[T: BaseModel](model: type[T], preset: Preset) -> T:
    """Validated settings of a preset; what it leaves open is `tyro.MISSING`, for the command line to give.

    Raises `SettingsError` with file, line and path of each value that does not exist or does not fit.
    """
    try:
        return model.model_validate(preset.values)
    except ValidationError as error:
        # Only a whole section's field can be given by option; an item of a list in the file must be complete.
        wrong = [item for item in error.errors() if item["type"] != "missing" or _has_index(item["loc"])]
        if wrong:
            raise _settings_error(model, preset, wrong) from error
    return _with_gaps(model, preset.values)


def dump_settings(settings: BaseModel, path: Path) -> None:
    """Write all settings, resolved, as YAML that `--preset` reads back to an equal model."""
    path.write_text(settings_text(settings), encoding="utf-8")


def settings_text(settings: BaseModel) -> str:
    """The same YAML, unwritten."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def deviations(settings: BaseModel, reference: BaseModel, name: str = "paper") -> list[str]:
    """Each setting that differs from a reference, as `learner.tau: 0.01 (paper: 0.005)`."""
    ours, theirs = dict(_leaves(settings.model_dump(mode="json"))), dict(_leaves(reference.model_dump(mode="json")))
    return [
        f"{path}: {ours.get(path, 'absent')} ({name}: {theirs.get(path, 'absent')})"
        for path in dict.fromkeys((*ours, *theirs))
        if ours.get(path, "absent") != theirs.get(path, "absent")
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves by dotted path; items of a list go by their name where they have one, plain lists are one leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{item.get('name', index)}]")
    else:
        yield path, value


# --- required settings that a preset leaves open ------------------------------------------------------------------


def _with_gaps[T: BaseModel](model: type[T], values: dict[str, Any]) -> T:
    """A model whose given values are valid, unvalidated as a whole, `tyro.MISSING` where nothing is given."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        section = _section(info.annotation)
        if section is not None and (name in values or info.is_required()):
            fields[name] = _filled(section, values.get(name, {}))
        elif name in values:
            # The field's own constraints and conversions, "3e-4" to a float for one.
            annotation: Any = Annotated[info.annotation, info]
            fields[name] = TypeAdapter(annotation).validate_python(values[name])
        else:
            fields[name] = tyro.MISSING if info.is_required() else info.get_default(call_default_factory=True)
    return model.model_construct(**fields)


def _filled(section: type[BaseModel], values: Any) -> BaseModel:
    try:
        return section.model_validate(values)
    except ValidationError:
        return _with_gaps(section, values)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model, where a field is exactly one model."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


# --- what is wrong, in words --------------------------------------------------------------------------------------


def _settings_error(model: type[BaseModel], preset: Preset, errors: list[ErrorDetails]) -> SettingsError:
    lines = dict.fromkeys(_line(model, preset, error) for error in errors)
    return SettingsError("\n".join(lines))


def _line(model: type[BaseModel], preset: Preset, error: ErrorDetails) -> str:
    keys: Keys = error["loc"]
    if error["type"] == "missing":
        return f"{preset.place_of(keys)}: {dotted(keys)}: nothing is given, expected a value; set it there"
    # For a union pydantic appends the tried type to the location; it is no setting.
    keys = keys[: preset.known_depth(keys)]
    start = f"{preset.place_of(keys)}: {dotted(keys) or 'settings'}"
    if error["type"] == "extra_forbidden":
        return f"{start}: there is no such setting{_suggestion(model, keys)}"
    if error["type"] == "value_error" and isinstance(error["input"], dict):
        return f"{start}: {error['msg'].removeprefix('Value error, ')}"
    expected = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{start}: got {error['input']!r} ({type(error['input']).__name__}), expected: {expected}"


def _suggestion(model: type[BaseModel], keys: Keys) -> str:
    """The nearest name in the same section, else the same name in another one."""
    section, name = keys[:-1], str(keys[-1])
    everywhere = list(_paths(model))
    around = tuple(key for key in section if isinstance(key, str))
    siblings = [path[-1] for path in everywhere if path[:-1] == around]
    elsewhere = [".".join(path) for path in everywhere if path[-1] == name]
    return (
        nearest(name, siblings)
        or (f", did you mean {' or '.join(map(repr, elsewhere[:3]))}?" if elsewhere else "")
        or f"; this section has: {', '.join(siblings)}"
    )


def _paths(model: type[BaseModel], below: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Path of each setting and section below a model; a list of models counts as one section."""
    for name, info in model.model_fields.items():
        yield (*below, name)
        for inner in _models_in(info.annotation):
            yield from _paths(inner, (*below, name))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if _section(annotation) is not None:
        yield annotation
    elif get_origin(annotation) in (Union, types.UnionType, Annotated, tuple, list):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _has_index(keys: Keys) -> bool:
    return any(isinstance(key, int) for key in keys)
