"""The keys: each exists and stands for one thing, the document shows them as they are, and nothing loads too early."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from teleop.keyboard.settings import KeyboardSettings, Keys
from teleop.keyboard.table import key_lines, key_table

DOCUMENT = Path(__file__).parents[2] / "docs/keyboard.md"


@pytest.mark.parametrize("key", ["banana", "W", "", " ", "ab", "\x1b"])
def test_what_is_no_key_is_refused_with_those_that_are(key: str) -> None:
    with pytest.raises(ValidationError, match=r"open: no key is called .*page_up"):
        Keys(open=key)


def test_a_key_for_two_things_is_refused_with_both() -> None:
    with pytest.raises(ValidationError, match="open and emergency_stop: 'esc' stands for both"):
        Keys(open="esc")


@pytest.mark.parametrize("key", ["e", "ц", "page_up", "5", "["])
def test_characters_of_any_script_and_named_keys_will_do(key: str) -> None:
    assert KeyboardSettings.model_validate({"keys": {"open": key}}).keys.open == key


def test_the_document_shows_the_keys_as_they_are() -> None:
    text = DOCUMENT.read_text()
    for keys, purpose in key_table(Keys(), drives=True):
        assert f"| {keys} | {purpose} |" in text


def test_beside_another_device_the_table_has_no_motions() -> None:
    assert len(key_lines(Keys(), drives=True)) == 10
    assert len(key_lines(Keys(), drives=False)) == 6
    assert key_lines(Keys(pause="f"), drives=False)[4] == "f          pause, and go on"


def test_loading_the_keyboard_loads_no_pynput() -> None:
    code = "import sys, teleop.keyboard.device; sys.exit('pynput' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=DOCUMENT.parents[1], check=False).returncode == 0
