"""`nudge crop`: by numbers into a preset of one's own, and on the page."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.crop.main import main
from console.crop.page import CropPage, Selection
from console.errors import ConsoleError
from console.presets.file import CONFIGS, SettingsError, read_preset
from console.stopping import Child
from policy.contract import Camera, Contract, Crop
from waiting import eventually

OWN = """\
# My station.
extends: sim
preset_name: mine
contract:
  control_hz: 20.0  # faster
  cameras:
    # On the gripper.
    - {name: wrist, native_height_px: 480, native_width_px: 640, crop: {top: 0, left: 80, height: 480, width: 480}}
    - name: front
      native_height_px: 480
      native_width_px: 640
      crop:
        top: 0   # the edge of the table
        left: 80
        height: 480
        width: 480
"""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "now.png"
    cv2.imwrite(str(path), np.full((480, 640, 3), 90, np.uint8))
    return path


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    return path


@pytest.fixture
def choose(tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(preset: Path | str, *options: str, seen: Path = picture) -> str:
        preview = ["--preview", str(tmp_path / "crop.png"), "--picture", str(seen)]
        assert main(["--preset", str(preset), *options, *preview]) == 0
        return capsys.readouterr().out

    return run


def cameras(preset: Path) -> dict[str, Camera]:
    found = Contract.model_validate(read_preset(str(preset)).values["contract"]).cameras
    return {camera.name: camera for camera in found}


class TestByNumbers:
    def test_only_the_numbers_of_the_file_change(
        self, preset: Path, choose: Callable[..., str], tmp_path: Path
    ) -> None:
        printed = choose(preset, "--camera", "front", "--top", "24", "--height", "400", "--width", "400")
        expected = OWN.replace("top: 0   #", "top: 24   #").replace("        height: 480", "        height: 400")
        assert preset.read_text() == expected.replace("        width: 480", "        width: 400")
        assert "demonstrations, checkpoints and classifiers made before no longer fit" in printed
        sheet = cv2.imread(str(tmp_path / "crop.png"))
        assert sheet is not None
        assert sheet.shape[0] == 360  # a picture of 320, its title, a margin

    def test_a_camera_on_one_line_is_changed_too(self, preset: Path, choose: Callable[..., str]) -> None:
        choose(preset, "--camera", "wrist", "--left", "100")
        assert preset.read_text() == OWN.replace("left: 80, height", "left: 100, height")

    @pytest.mark.parametrize("own", ["extends: sim\n", "extends: sim\ncontract:\n    # mine\n    control_hz: 20\n"])
    def test_inherited_cameras_are_written_in_full(self, tmp_path: Path, own: str, choose: Callable[..., str]) -> None:
        preset, seen = tmp_path / "short.yaml", tmp_path / "small.png"
        preset.write_text(own)
        cv2.imwrite(str(seen), np.zeros((128, 128, 3), np.uint8))
        choose(preset, "--camera", "front", "--top", "8", "--height", "64", "--width", "64", seen=seen)
        assert cameras(preset)["front"].crop == Crop(top=8, left=0, height=64, width=64)
        assert cameras(preset)["wrist"].crop == Crop(top=0, left=0, height=128, width=128)
        assert all(line in preset.read_text() for line in own.splitlines())

    def test_a_shipped_preset_stays_and_the_lines_are_printed(self, tmp_path: Path, choose: Callable[..., str]) -> None:
        before, seen = (CONFIGS / "fast.yaml").read_bytes(), tmp_path / "small.png"
        cv2.imwrite(str(seen), np.zeros((128, 128, 3), np.uint8))
        printed = choose("fast", "--camera", "wrist", "--height", "64", seen=seen)
        assert (CONFIGS / "fast.yaml").read_bytes() == before
        assert "The region is no square" in printed
        lines = printed[printed.index("extends:") : printed.index("The region is no")]
        pasted = tmp_path / "pasted.yaml"
        pasted.write_text(lines)
        assert cameras(pasted)["wrist"].crop == Crop(top=0, left=0, height=64, width=128)

    def test_the_same_region_writes_nothing(self, preset: Path, choose: Callable[..., str]) -> None:
        assert "nothing was written" in choose(preset, "--camera", "wrist", "--top", "0")

    def test_a_file_whose_form_hides_the_numbers_is_left_alone(self, preset: Path, choose: Callable[..., str]) -> None:
        # Both cameras share one crop by an anchor: changing its numbers would change the other camera too.
        text = OWN[: OWN.index("      crop:\n")].replace("crop: {", "crop: &same {") + "      crop: *same\n"
        preset.write_text(text)
        with pytest.raises(SettingsError, match=r"cannot be written into it(.|\n)*put this into it by hand"):
            choose(preset, "--camera", "wrist", "--left", "100")
        assert preset.read_text() == text
        assert sorted(path.name for path in preset.parent.glob(".*")) == []

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--camera", "side", "--top", "1"), "'side', expected one of the contract's: wrist, front"),
            (("--camera", "wrist", "--left", "161"), "the crop reaches row 480 and column 641"),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, preset: Path, choose: Callable[..., str], options: tuple[str, ...], reason: str
    ) -> None:
        with pytest.raises(ConsoleError, match=reason):
            choose(preset, *options)
        assert preset.read_text() == OWN


class TestSelection:
    @given(st.data())
    def test_however_it_is_dragged_it_lies_in_the_frame(self, data: Any) -> None:
        selection = Selection(Crop(top=0, left=80, height=480, width=480), 480, 640)
        places = st.tuples(st.floats(-50, 700), st.floats(-50, 700))
        for act in data.draw(st.lists(st.sampled_from(["begin", "drag", "end", "put"]), max_size=12)):
            if act == "end":
                selection.end()
            elif act == "put":
                edge = data.draw(st.sampled_from(["top", "left", "height", "width"]))
                selection.put(edge, data.draw(st.floats(-10, 2000)))
            else:
                getattr(selection, act)(*data.draw(places))
            Camera(name="wrist", native_height_px=480, native_width_px=640, crop=selection.crop)

    def test_from_inside_it_is_moved_and_from_outside_drawn(self) -> None:
        selection = Selection(Crop(top=100, left=100, height=200, width=200), 480, 640)
        selection.begin(150, 150)
        selection.drag(170, 140)  # 20 right, 10 up
        selection.end()
        selection.drag(500, 400)  # the mouse is up
        assert selection.crop == Crop(top=90, left=120, height=200, width=200)
        selection.begin(400, 400)
        selection.drag(350, 280)  # up and left by 50 and 120: the longer side counts
        assert selection.crop == Crop(top=280, left=280, height=120, width=120)


class TestPage:
    def test_numbers_move_the_square_and_save_writes_the_preset(self, preset: Path, picture: Path) -> None:
        from nicegui import ElementFilter, ui
        from nicegui.testing import user_simulation

        from console.crop.main import CropChooser, CropSettings

        chooser = CropChooser(str(preset), CropSettings(camera="wrist", picture=picture))

        async def visit() -> None:
            with chooser.looking() as look:
                async with user_simulation(root=lambda: CropPage(chooser, look)) as user:
                    await user.open("/")
                    with user:
                        numbers = {it.props["label"]: it for it in ElementFilter(kind=ui.number)}
                        (image,) = ElementFilter(kind=ui.interactive_image)
                    numbers["left"].value = 10
                    assert 'x="10"' in image.content
                    user.find("Save").click()
                    await user.should_see("demonstrations, checkpoints and classifiers made before no longer fit")

        asyncio.run(visit())
        assert cameras(preset)["wrist"].crop == Crop(top=0, left=10, height=480, width=480)

    @pytest.mark.slow
    def test_it_is_served_to_this_machine_alone(
        self, preset: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PYTEST_CURRENT_TEST")  # the child is no test, as which NiceGUI would start otherwise
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = ["crop", "--preset", str(preset), "--camera", "wrist", "--picture", str(picture)]
        with Child("crop", [*arguments, "--port", str(port)], tmp_path / "log") as child:

            def answer(host: str = "127.0.0.1") -> int:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": host})
                try:
                    with urllib.request.urlopen(request, timeout=20) as reply:
                        return int(reply.status) if b"drag the square" in reply.read() else 0
                except urllib.error.HTTPError as error:
                    return error.code
                except OSError:
                    return 0

            eventually(lambda: answer() == 200, child.last_lines(), within_s=60)
            assert answer("evil.example") == 400
            with socket.socket() as other, pytest.raises(ConnectionRefusedError):
                other.connect(("127.0.0.2", port))
            os.kill(child._process.pid, signal.SIGINT)
            assert child._process.wait(30) in (0, 130)
