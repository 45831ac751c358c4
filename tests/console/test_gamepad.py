"""`nudge gamepad`: the list, the snapshot, and a mapping made by moving each control."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from console.gamepad.file import write_mapping
from console.gamepad.main import main, show
from console.gamepad.map import Dialogue, questions, save
from console.presets.file import SettingsError, read_preset
from console.presets.load import load_preset
from console.settings import Settings
from policy.fakes import fake_contract
from teleop.errors import TeleopError
from teleop.events import EventLatch
from teleop.gamepad.device import Gamepad
from teleop.gamepad.mapping import RawState, mapping_string, moved_input
from teleop.gamepad.sdl import SdlBackend
from teleop.gamepad.settings import GamepadSettings
from virtual_pad import VirtualPad
from waiting import SOON_S, eventually

virtual = pytest.mark.skipif(sys.platform != "linux", reason="finds pygame's SDL by /proc/self/maps")
GUID = "0300000009120000010000001c010000"
MAPPING = f"{GUID},Odd Pad,leftx:a0,a:b1,"


@pytest.fixture
def pad() -> Iterator[VirtualPad]:
    with VirtualPad() as made:
        yield made


@virtual
class TestLooking:
    def test_pads_are_listed_or_their_absence(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--list"]) == 1
        assert "no gamepad" in capsys.readouterr().out
        with VirtualPad(), VirtualPad("Odd Pad", 2, known=False):
            assert main(["--list"]) == 0
        known, odd = capsys.readouterr().out.splitlines()
        assert known.startswith("Test Pad (sdl; ff")
        assert "Odd Pad" in odd
        assert "--map" in odd

    def test_where_no_terminal_is_one_snapshot_is_told(
        self, pad: VirtualPad, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pad.move("lefty", -1)
        pad.press("a")
        assert main(["--preset", "fast", "--teleop.gamepad.speed", "0.5"]) == 0
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        assert lines[0] == "pad Test Pad through sdl"
        assert "left y +1.00 │████████ x, left stick forward is +" in lines
        assert "a pressed success" in lines
        assert "rightshoulder - take over hold" in lines
        assert "action +0.50 │████ delta.x" in lines

    def test_without_a_pad_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("teleop.gamepad.search.SETTLE_S", 0.0)
        with pytest.raises(TeleopError, match="got no pad"):
            main([])

    def test_in_a_terminal_it_is_live_until_ctrl_c(self, pad: VirtualPad, monkeypatch: pytest.MonkeyPatch) -> None:
        stop = threading.Event()
        monkeypatch.setattr("console.gamepad.main.stop_event", lambda: stop)
        terminal = io.StringIO()
        console = Console(file=terminal, force_terminal=True, width=100)
        shown = threading.Thread(target=show, args=(load_preset(Settings, "fast"), console), daemon=True)
        shown.start()
        try:
            eventually(lambda: "Test Pad" in terminal.getvalue())
            pad.press("b")
            eventually(lambda: "failure" in terminal.getvalue().split("pressed")[-1])
        finally:
            stop.set()
            shown.join(SOON_S)
        assert not shown.is_alive()


class TestInputs:
    REST = RawState((0.0, 0.02, -1.0, 1.0), (False, False), ((0, 0),))

    @pytest.mark.parametrize(
        ("moved", "kind", "grows", "expected"),
        [
            (RawState((0.0, -1.0, -1.0, 1.0), (False, False), ((0, 0),)), "stick", False, "a1"),
            (RawState((0.0, 1.0, -1.0, 1.0), (False, False), ((0, 0),)), "stick", False, "a1~"),
            (RawState((0.9, 0.3, -1.0, 1.0), (False, False), ((0, 0),)), "stick", True, "a0"),
            (RawState((0.0, 0.0, -1.0, 1.0), (True, False), ((0, 0),)), "stick", True, None),
            (RawState((0.0, 0.0, 1.0, 1.0), (False, True), ((0, 0),)), "trigger", True, "a2"),
            (RawState((0.0, 0.0, 1.0, 1.0), (False, True), ((0, 0),)), "button", True, "b1"),
            (RawState((0.0, 0.0, -1.0, -1.0), (False, False), ((0, 0),)), "trigger", True, "a3~"),
            (RawState((-1.0, 0.0, -1.0, 1.0), (False, False), ((0, 0),)), "trigger", True, "-a0"),
            (RawState((1.0, 0.0, -1.0, 1.0), (False, False), ((0, 0),)), "button", True, "+a0"),
            (RawState((0.0, 0.0, -1.0, 1.0), (True, False), ((0, 0),)), "trigger", True, "b0"),
            (RawState((0.0, 0.0, -1.0, 1.0), (False, False), ((0, -1),)), "button", True, "h0.4"),
            (RawState((0.3, 0.0, -1.0, 1.0), (False, False), ((0, 0),)), "stick", True, None),
        ],
    )
    def test_what_was_moved_has_sdls_name(self, moved: RawState, kind: str, grows: bool, expected: str | None) -> None:
        assert moved_input(self.REST, moved, kind, grows=grows) == expected  # type: ignore[arg-type]

    def test_a_name_with_a_comma_breaks_no_mapping(self) -> None:
        text = mapping_string(GUID, "Maker, Inc. Pad", {"a": "b1"})
        assert text == f"{GUID},Maker  Inc. Pad,a:b1,"
        assert GamepadSettings(mapping=text).mapping == text


@virtual
def test_what_a_person_moves_becomes_the_mapping_of_the_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("QUIET_S", 0.05), ("ARRIVE_S", 0.02)):
        monkeypatch.setattr(f"console.gamepad.map.{name}", value)
    settings = GamepadSettings()
    preset = tmp_path / "mine.yaml"
    preset.write_text("extends: fast\npreset_name: mine\nteleop:\n  # on the desk\n  device: gamepad\n")
    with VirtualPad("Odd Pad", known=False, hats=1) as pad:
        moves = {
            "push the left stick to the right": lambda on: pad.move(3, on),
            "push the left stick forward, away from you": lambda on: pad.move(2, on),
            "push the right stick to the right": lambda on: pad.move(1, -on),
            "push the right stick forward, away from you": lambda on: pad.move(0, -on),
            "pull the trigger that closes the gripper": lambda on: pad.move(5, 2 * on - 1),
            "pull the trigger that opens the gripper": lambda on: pad.press(9, down=bool(on)),
            "press the button that takes over (rightshoulder)": lambda on: pad.press(2, down=bool(on)),
            "press the button that says success (a)": pad.turn_hat,
        }
        with SdlBackend() as sdl:
            joystick = sdl.raw(sdl.candidates()[0])
            said: list[str] = []
            hands: list[threading.Thread] = []

            def act(words: str) -> None:
                moves[words](1)
                threading.Event().wait(0.15)
                moves[words](0)

            def tell(text: str) -> None:
                said.append(text)
                if text in moves:
                    hands.append(threading.Thread(target=act, args=(text,)))
                    hands[-1].start()

            asked = [question for question in questions(settings) if question.words in moves]
            assert len(asked) == len(moves)
            inputs = Dialogue(joystick, tell).ask(asked)
            for hand in hands:
                hand.join()
        assert inputs == {
            "leftx": "a3",
            "lefty": "a2~",
            "rightx": "a1~",
            "righty": "a0",
            "righttrigger": "a5",
            "lefttrigger": "b9",
            "rightshoulder": "b2",
            "a": "h0.1",
        }
        told = save(mapping_string(joystick.candidate.ids[0], joystick.candidate.name, inputs), str(preset))
        assert "teleop.gamepad.mapping" in told
        assert "# on the desk" in preset.read_text()

    monkeypatch.setattr("teleop.gamepad.search.SETTLE_S", SOON_S)
    read = load_preset(Settings, str(preset)).teleop.gamepad
    with pad.coming_to(Gamepad(read, fake_contract(), EventLatch(lambda _: None))) as gamepad:
        pad.move(2, 1)
        pad.press(2)
        eventually(lambda: gamepad.seen.state.left_y == 1 and gamepad.seen.state.pressed == {"rightshoulder"})


class TestWriting:
    @pytest.mark.parametrize(
        "own",
        [
            "",
            "extends: fast\n# mine\nseed: 3",
            "extends: fast\nteleop:\n    # the desk\n    device: gamepad\nseed: 3\n",
            "teleop:\n  gamepad:\n    speed: 0.4  # slow\n",
            "teleop:\n  gamepad: {mapping: 'old', speed: 0.4}  # slow\n",
        ],
    )
    def test_only_the_mapping_of_the_file_changes(self, tmp_path: Path, own: str) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text(own)
        before = read_preset(str(path)).values
        write_mapping(path, MAPPING)
        after = read_preset(str(path)).values
        assert after["teleop"]["gamepad"].pop("mapping") == MAPPING
        before.get("teleop", {}).get("gamepad", {}).pop("mapping", None)
        assert {**before, "teleop": None} == {**after, "teleop": None}
        assert all(line in path.read_text() for line in own.splitlines() if "old" not in line)

    def test_a_shipped_preset_stays_and_the_lines_are_printed(self) -> None:
        told = save(MAPPING, "fast")
        assert "fast.yaml is shipped" in told
        lines = yaml.safe_load(told[told.index("extends:") :])
        assert lines == {"extends": "fast", "teleop": {"gamepad": {"mapping": MAPPING}}}

    def test_a_file_whose_form_does_not_allow_it_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_text("teleop: {device: gamepad}\n")
        with pytest.raises(SettingsError, match=r"cannot be written into it(.|\n)*put this into it by hand"):
            write_mapping(path, MAPPING)
        assert path.read_text() == "teleop: {device: gamepad}\n"
