"""Setting up a fresh clone: what the scripts may assume of the Python that runs them, and what they choose."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"


@pytest.mark.parametrize("script", sorted(TOOLS.glob("*.py")), ids=lambda path: path.name)
def test_a_script_is_written_for_python_3_8_and_its_standard_library(script: Path) -> None:
    tree = ast.parse(script.read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {path.stem for path in TOOLS.glob("*.py")}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names | ours


def test_the_versions_that_are_looked_for_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    from bootstrap import PYTHON_VERSIONS, uv_environment

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (PYTHON_VERSIONS, project["requires-python"]) == (("3.12", "3.13"), ">=3.12,<3.14")
    assert PYTHON_VERSIONS[0] == (ROOT / ".python-version").read_text().strip()
    monkeypatch.setenv("VIRTUAL_ENV", "/another/environment")
    monkeypatch.setenv("UV_PYTHON", "3.9")
    environment = uv_environment()
    assert environment["UV_PROJECT_ENVIRONMENT"] == str(ROOT / ".venv")
    assert not {"VIRTUAL_ENV", "UV_PYTHON"} & set(environment)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS draws through its own framework")
def test_a_machine_that_runs_these_tests_can_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TOOLS)
    from rendering import ensure_rendering

    ensure_rendering()


def test_make_alone_lists_every_verb() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True, env=_outside_make())
    assert [line.split()[1] for line in done.stdout.splitlines()] == (
        ["help", "demo", "test", "test-slow", "check", "format", "lock", "docs", "bench", "clean"]
    )


def _outside_make() -> dict[str, str]:
    """Without what a `make` that runs these tests hands down."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
