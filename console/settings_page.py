"""The page that lists every setting; `python -m console.settings_page > docs/settings.md` writes it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from console.settings import Settings

HEADER = """\
# Settings

Written by `make docs` from the models beside the code; a test compares it. Every setting can stand in a preset
(`configs/*.yaml`) or be given as an option, `--section.name value`; the later of default, preset and option wins.
Settings below `[]` are items of a list: the preset says how many there are, and an option counts them from 0
(`--contract.cameras.0.size-px 128`). What has no default must stand in the preset or be given.
"""


def settings_page(model: type[BaseModel]) -> str:
    """The Markdown page of all settings of a model, one table for each section."""
    return HEADER + "".join(_section_page(model, "", model.__doc__ or ""))


def _section_page(model: type[BaseModel], path: str, text: str) -> Iterator[str]:
    settings = [(name, info) for name, info in model.model_fields.items() if not _sections_of(info.annotation)]
    first_line = text.strip().split("\n")[0]
    yield f"\n## {f'`{path}`' if path else 'At the top'}\n\n{first_line}\n"
    if settings:
        yield "\n| setting | type | default | meaning |\n|---|---|---|---|\n"
    for name, info in settings:
        cells = (f"`{name}`", _type_text(info), _default_text(info), info.description or "")
        yield "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |\n"
    for name, info in model.model_fields.items():
        sections = _sections_of(info.annotation)
        for inner, mark in sections:
            below = (f"{path}.{name}" if path else name) + mark
            if len(sections) == 1:
                yield from _section_page(inner, below, info.description or inner.__doc__ or "")
            else:  # the field `kind` tells which of them an item is
                yield from _section_page(inner, f"{below}, {inner.model_fields['kind'].default}", inner.__doc__ or "")


def _sections_of(annotation: Any) -> list[tuple[type[BaseModel], str]]:
    """The models that a field may hold, and `[]` with each where it holds any number."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [(annotation, "")]
    origin = get_origin(annotation)
    if origin not in (tuple, list, Union, types.UnionType, Annotated):
        return []
    mark = "[]" if origin in (tuple, list) else ""
    inner = dict.fromkeys(found for argument in get_args(annotation) for found in _sections_of(argument))
    return [(model, below or mark) for model, below in inner]


def _type_text(info: FieldInfo) -> str:
    limits = [text for item in info.metadata for text in _limits(item)]
    return ", ".join((_annotation_text(info.annotation), *limits))


def _annotation_text(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_annotation_text(argument) for argument in arguments)
    if origin in (tuple, list):
        if len(arguments) == 1 or arguments[1] is Ellipsis:
            return f"any number of {_annotation_text(arguments[0])}"
        return "(" + ", ".join(_annotation_text(argument) for argument in arguments) + ")"
    if origin is Annotated:
        limits = [text for item in annotation.__metadata__ for limit in item.metadata for text in _limits(limit)]
        return ", ".join((_annotation_text(arguments[0]), *limits))
    if annotation is types.NoneType:
        return "none"
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).removeprefix("typing.")


def _limits(constraint: object) -> Iterator[str]:
    signs = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}", "min_length": "at least {}", "pattern": "`{}`"}
    for name, form in signs.items():
        value = getattr(constraint, name, None)
        if value is not None:
            yield form.format(value)


def _default_text(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=False)
    if default is PydanticUndefined:
        return "computed" if info.default_factory else "required"
    if isinstance(default, tuple):
        return f"`{' '.join(map(str, default))}`" if default else "none"
    return f"`{default}`"


if __name__ == "__main__":
    print(settings_page(Settings), end="")
