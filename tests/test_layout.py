"""The rooms keep the import rule, and each says what lives there."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))


def test_imports_point_one_way() -> None:
    # In a process of its own: it silences every logger that is there.
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(linter, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_import_rule_knows_every_room() -> None:
    assert sorted(PROJECT["tool"]["importlinter"]["root_packages"]) == ROOMS


def test_the_wheel_holds_every_room() -> None:
    assert set(ROOMS) <= set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_lives_there(room: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))


@pytest.mark.parametrize("folder", [*ROOMS, "bench", "tests", "tools"])
def test_every_file_begins_with_a_sentence(folder: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert not silent
