"""Writes the region of a camera into a preset of the user's own, and leaves all else in it as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from console.presets.edit import at_end, compose, first_in, replaced, under
from console.presets.file import SettingsError, read_preset
from learner.disk import write_atomically
from policy.contract import Camera

PLACE = ("contract", "cameras")


def write_crop(path: Path, cameras: Sequence[Camera], name: str) -> None:
    """Change the region of the camera `name` in a preset file; comments and order of the file stay.

    cameras: all of the contract, with the new region; written in full where the file inherits them, since lists of
    presets are replaced as a whole
    Raises `SettingsError` where the file is written in a form that cannot be changed in place.
    """
    text = path.read_text(encoding="utf-8")
    root = compose(text)
    crop = next(camera.crop for camera in cameras if camera.name == name)
    listed = under(under(root, PLACE[0]), PLACE[1])
    if listed is None:
        changed = _with_cameras(text, root, cameras)
    else:
        changed = _with_numbers(text, _crop_of(listed, name), crop.model_dump())
    _require_as_meant(path, changed, cameras)
    write_atomically(path, changed.encode())


def crop_lines(cameras: Sequence[Camera], extends: str = "") -> str:
    """The lines of a preset that say which regions its cameras have."""
    start = f"extends: {extends}\n" if extends else ""
    below = "".join(f"  {line}" for line in _camera_lines(cameras).splitlines(keepends=True))
    return f"{start}{PLACE[0]}:\n{below}"


def _camera_lines(cameras: Sequence[Camera]) -> str:
    return yaml.safe_dump(
        {PLACE[1]: [camera.model_dump() for camera in cameras]}, sort_keys=False, default_flow_style=None, width=1000
    )


def _crop_of(listed: yaml.Node, name: str) -> yaml.Node | None:
    for camera in listed.value:
        called = under(camera, "name")
        if called is not None and called.value == name:
            return under(camera, "crop")
    return None


def _with_numbers(text: str, crop: yaml.Node | None, numbers: dict[str, int]) -> str:
    """The text with the four numbers replaced where they stand, from the last to the first."""
    nodes = [(node, value) for key, value in numbers.items() if (node := under(crop, key)) is not None]
    for node, value in sorted(nodes, key=lambda pair: -pair[0].start_mark.index):
        text = replaced(text, node, str(value))
    return text


def _with_cameras(text: str, root: yaml.Node | None, cameras: Sequence[Camera]) -> str:
    """The text with all cameras: below `contract:` where the file has that, else at its end."""
    return first_in(text, under(root, PLACE[0]), _camera_lines(cameras)) or at_end(text, crop_lines(cameras))


def _require_as_meant(path: Path, changed: str, cameras: Sequence[Camera]) -> None:
    """Read the changed text as a preset before it replaces the file."""
    trial = path.with_name(f".{path.stem}.trial.yaml")
    try:
        trial.write_text(changed, encoding="utf-8")
        found = read_preset(str(trial.absolute())).values[PLACE[0]][PLACE[1]]
        as_meant = [Camera.model_validate(camera) for camera in found] == list(cameras)
    except SettingsError:
        as_meant = False
    finally:
        trial.unlink(missing_ok=True)
    if not as_meant:
        raise SettingsError(
            f"{path}: the region cannot be written into it, for its form (anchors, braces or merged keys); nothing was "
            f"changed, put this into it by hand:\n{crop_lines(cameras)}"
        )
