"""`nudge crop`: choose which region of a camera the policy sees, in the browser or by numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from rich.console import Console

from console.crop.file import crop_lines, write_crop
from console.errors import ConsoleError
from console.presets.file import CONFIGS, read_preset
from console.presets.load import parse_options, take_preset
from console.settings import DEFAULT_PRESET
from policy.contract import Camera, Contract, Crop, Frozen
from robot.cameras import CameraSet, CameraSettings
from robot.cameras.contact_sheet import contact_sheet

CAMERAS_AT = ("arm", "so101", "cameras")  # in a preset

type Look = Callable[[], NDArray[np.uint8]]  # native uint8 RGB (height, width, 3)


class CropSettings(Frozen):
    """Which region of which camera. Without a number a page opens on which the region can be dragged."""

    camera: str = Field(description="Name of the camera in the contract.")
    top: int | None = Field(default=None, ge=0, description="First row of the region [px].")
    left: int | None = Field(default=None, ge=0, description="First column of the region [px].")
    height: int | None = Field(default=None, gt=0, description="Rows of the region [px].")
    width: int | None = Field(default=None, gt=0, description="Columns of the region [px].")
    picture: Path | None = Field(default=None, description="Look at this picture instead of what the camera sees now.")
    preview: Path = Field(default=Path("crop.png"), description="Where a picture of the result is written.")
    port: int = Field(default=8090, gt=0, le=65535, description="Port of the page, on 127.0.0.1 alone.")

    def crop(self, camera: Camera) -> Crop | None:
        """The region that the numbers say, the contract's where they are silent; None where all are."""
        given = self.model_dump(include={"top", "left", "height", "width"}, exclude_none=True)
        return Crop.model_validate(camera.crop.model_dump() | given) if given else None


def main(argv: list[str]) -> int:
    """Show, and write into the user's preset, which region the policy shall see."""
    preset_name, rest = take_preset(argv, DEFAULT_PRESET)
    settings = parse_options(CropSettings, rest, "nudge crop [--preset NAME_OR_PATH]")
    chooser = CropChooser(preset_name, settings)
    crop = settings.crop(chooser.camera)
    if crop is not None:
        Console().print(chooser.choose(crop), highlight=False, markup=False, soft_wrap=True)
        return 0
    from console.crop.page import serve_page

    with chooser.looking() as look:
        serve_page(chooser, look, settings.port)
    return 0


class CropChooser:
    """The camera of a preset, what it sees, and where a choice is written.

    preset: name or path as given; a preset of the user's own is written into, a shipped one never
    """

    def __init__(self, preset: str, settings: CropSettings) -> None:
        read = read_preset(preset)
        self.path = read.path
        self.contract = _contract(read.values, read.path)
        self.camera = _camera(self.contract, settings.camera)
        self._cameras = _section(read.values)
        self._settings = settings

    @contextmanager
    def looking(self) -> Iterator[Look]:
        """A context that gives a function: what the camera sees now, native uint8 RGB."""
        if self._settings.picture is not None:
            frame = _still(self._settings.picture)
            yield lambda: frame
            return
        try:
            settings = CameraSettings.model_validate(self._cameras)
        except ValidationError as error:
            raise ConsoleError(f"{self.path}: {'.'.join(CAMERAS_AT)}: {error}") from error
        own = tuple(device for device in settings.devices if device.name == self.camera.name)
        with CameraSet(settings.model_copy(update={"devices": own}), (self.camera,)) as cameras:
            yield lambda: cameras.latest()[self.camera.name].pixels

    def cropped(self, crop: Crop) -> Camera:
        """The camera with another region. Raises `ConsoleError` where that does not lie in the frame."""
        try:
            return Camera.model_validate(self.camera.model_dump() | {"crop": crop.model_dump()})
        except ValidationError as error:
            raise ConsoleError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error

    def choose(self, crop: Crop) -> str:
        """Write preview and preset, or what to paste; returns what to tell."""
        camera = self.cropped(crop)
        with self.looking() as look:
            self._settings.preview.write_bytes(contact_sheet({camera.name: look()}, [camera]))
        return f"{self._settings.preview} shows what the policy will see.\n{self.save(crop)}"

    def save(self, crop: Crop) -> str:
        """Write the region into the user's preset; returns what to tell."""
        chosen = self.cropped(crop)
        cameras = tuple(chosen if it.name == chosen.name else it for it in self.contract.cameras)
        after = self.contract.model_copy(update={"cameras": cameras})
        if after.hash == self.contract.hash:
            return f"The region is what {self.path} says already; nothing was written."
        if self.path.resolve().is_relative_to(CONFIGS):
            done = f"{self.path.name} is shipped and stays as it is; put this into a preset of your own:\n"
            done += crop_lines(cameras, extends=self.path.stem)
        else:
            write_crop(self.path, cameras, chosen.name)
            done = f"{self.path} has the new region."
        squeezed = "" if crop.height == crop.width else "\nThe region is no square: the picture will be squeezed."
        return (
            f"{done}{squeezed}\nThe contract changes from {self.contract.hash[:12]} to {after.hash[:12]}: "
            f"demonstrations, checkpoints and classifiers made before no longer fit; record again."
        )


def _still(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ConsoleError(f"{path}: got no picture, expected a PNG or JPEG of the camera's native size")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _contract(values: dict[str, Any], path: Path) -> Contract:
    try:
        return Contract.model_validate(values.get("contract", {}))
    except ValidationError as error:
        raise ConsoleError(f"{path}: its contract is not complete: {error}") from error


def _camera(contract: Contract, name: str) -> Camera:
    names = [camera.name for camera in contract.cameras]
    if name not in names:
        raise ConsoleError(f"--camera: got {name!r}, expected one of the contract's: {', '.join(names)}")
    return contract.cameras[names.index(name)]


def _section(values: Any) -> Any:
    for key in CAMERAS_AT:
        values = values.get(key, {}) if isinstance(values, dict) else {}
    return values
