"""The self-test of the scene passes on the scene that ships."""

from __future__ import annotations

import pytest

from console.selftest import main


def test_the_scene_is_sound_and_the_terminal_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--picks", "10"]) == 0
    assert capsys.readouterr().out.count("pass") == 3
