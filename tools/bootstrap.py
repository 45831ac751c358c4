"""Set up a fresh clone, or lock its packages. Standard library only, any Python from 3.8 on.

    bootstrap.py sync     find uv and a Python, check headless drawing, fill ./.venv exactly as uv.lock says
    bootstrap.py lock     write uv.lock anew from pyproject.toml, whatever index this user prefers

`make` calls it; nothing has to be installed beforehand but make, git and some python3.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from rendering import RenderingMissing, ensure_rendering

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
STAMP = VENV / "set-up"
PRIVATE_UV = ROOT / ".uv"

# The range of pyproject.toml's requires-python; the first is preferred.
PYTHON_VERSIONS = ("3.12", "3.13")
OLDEST_UV = (0, 7)
UV_REQUIREMENT = "uv>=0.9"
# Large, and needed by few people; who wants it says: uv sync --inexact --extra NAME.
LEFT_OUT = ("rerun",)
PIP_INSTALL = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
# What a user may have set for other projects; none of it may reach the lock.
INDEX_VARIABLES = (
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_EXCLUDE_NEWER",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_STRATEGY",
    "UV_INDEX_URL",
    "UV_NO_INDEX",
    "UV_PRERELEASE",
    "UV_RESOLUTION",
)


class SetupError(Exception):
    """Setting up cannot go on; the message says what is missing and what to do."""


def main(arguments: list[str]) -> int:
    """Run one verb; returns the exit status."""
    verbs = {"sync": sync, "lock": lock}
    if len(arguments) != 1 or arguments[0] not in verbs:
        print(f"usage: bootstrap.py {'|'.join(verbs)}", file=sys.stderr)
        return 2
    try:
        verbs[arguments[0]]()
    except (SetupError, RenderingMissing) as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    return 0


def sync() -> None:
    """Fill ./.venv with the locked packages, extras too, and touch the stamp that `make` looks at."""
    ensure_rendering()
    uv = find_uv()
    extras = ["--all-extras", *(f"--no-extra={extra}" for extra in LEFT_OUT)]
    command = [uv, "sync", "--frozen", *extras, *python_option(uv)]
    print("setup: filling .venv from uv.lock (several gigabytes the first time)", flush=True)
    if subprocess.run(command, cwd=ROOT, env=uv_environment()).returncode != 0:
        raise SetupError(
            "uv could not fill .venv; its message stands above. Packages come from the network unless uv's cache has "
            "them: check the connection or the proxy, then run make again"
        )
    STAMP.write_text("written by tools/bootstrap.py after a complete sync; make compares its time with uv.lock's\n")


def lock() -> None:
    """Write uv.lock from pyproject.toml and nothing else: no user's index, no user's settings of uv."""
    uv = find_uv()
    environment = {key: value for key, value in uv_environment().items() if key not in INDEX_VARIABLES}
    environment["UV_NO_CONFIG"] = "1"
    if subprocess.run([uv, "lock", *python_option(uv)], cwd=ROOT, env=environment).returncode != 0:
        raise SetupError("uv could not lock; its message stands above")


def uv_environment() -> dict[str, str]:
    """The environment for uv: ./.venv is the one environment, and no other active one confuses it."""
    environment = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "UV_PYTHON")}
    environment["UV_PROJECT_ENVIRONMENT"] = str(VENV)
    return environment


# --- uv ---------------------------------------------------------------------------------------------------------


def find_uv() -> str:
    """Path of a uv that is new enough: the user's, or a private one in ./.uv."""
    private = (PRIVATE_UV / "bin" / "uv", PRIVATE_UV / "packages" / "bin" / "uv")
    for candidate in (shutil.which("uv"), *map(str, private)):
        if candidate and os.access(candidate, os.X_OK) and _uv_version(candidate) >= OLDEST_UV:
            return candidate
    print(f"setup: no uv {_dotted(OLDEST_UV)} or newer on PATH; installing a private one into ./.uv", flush=True)
    for python in _pythons():
        for install, uv in ((_uv_in_a_venv, private[0]), (_uv_in_a_folder, private[1])):
            shutil.rmtree(PRIVATE_UV, ignore_errors=True)
            if install(python) and os.access(uv, os.X_OK):
                return str(uv)
    shutil.rmtree(PRIVATE_UV, ignore_errors=True)
    raise SetupError(
        "uv is not on PATH, and no Python here can install it: neither `python3 -m venv` nor `python3 -m pip` gets it "
        "(their messages stand above). Do one of these, then run make again:\n"
        "  install uv as its documentation says: https://docs.astral.sh/uv/\n"
        "  Debian, Ubuntu  sudo apt-get install --yes python3-venv python3-pip\n"
        "  Fedora          sudo dnf install python3-pip\n"
        "  Arch            sudo pacman -S uv\n"
        "and, if the messages speak of the network, check the connection or the proxy"
    )


def _uv_in_a_venv(python: str) -> bool:
    inside = str(PRIVATE_UV / "bin" / "python")
    return _runs([python, "-m", "venv", str(PRIVATE_UV)]) and _runs([inside, *PIP_INSTALL, UV_REQUIREMENT])


def _uv_in_a_folder(python: str) -> bool:
    """Debian's python3 has no ensurepip without python3-venv, but may have pip."""
    return _runs([python, *PIP_INSTALL, "--target", str(PRIVATE_UV / "packages"), UV_REQUIREMENT])


def _uv_version(uv: str) -> tuple[int, ...]:
    said = _output([uv, "--version"])
    match = re.search(r"(\d+)\.(\d+)", said or "")
    return tuple(int(part) for part in match.groups()) if match else (0,)


# --- Python -----------------------------------------------------------------------------------------------------


def python_option(uv: str) -> list[str]:
    """The `--python` for uv: the one that ./.venv has, else one of this machine, else one that uv fetches."""
    present = str(VENV / "bin" / "python")
    if _version(present) in PYTHON_VERSIONS:
        return ["--python", present]
    # PATH and uv's own Pythons. `--system` looks past a broken ./.venv.
    for version in PYTHON_VERSIONS:
        found = _output([uv, "python", "find", "--system", "--no-python-downloads", version])
        if found and _version(found) == version:
            return ["--python", found]
    # pyenv's shims answer only for the version that is chosen; its folders hold the others.
    for version in PYTHON_VERSIONS:
        for found in _pyenv_pythons(version + ".*"):
            if _version(found) == version:
                return ["--python", found]
    print(f"setup: no Python {' or '.join(PYTHON_VERSIONS)} on this machine; asking uv to fetch one", flush=True)
    if subprocess.run([uv, "python", "install", PYTHON_VERSIONS[0]], cwd=ROOT, env=uv_environment()).returncode == 0:
        return ["--python", PYTHON_VERSIONS[0]]
    raise SetupError(
        f"Nudge needs Python {' or '.join(PYTHON_VERSIONS)}; none was found on PATH or in pyenv, and uv could not "
        "fetch one (its message stands above). Do one of these, then run make again:\n"
        "  with a network  check the connection or the proxy: uv fetches Python by itself\n"
        "  pyenv           pyenv install 3.12\n"
        "  Debian 13, Ubuntu 24.04 or newer  sudo apt-get install --yes python3 python3-venv\n"
        "  Fedora          sudo dnf install python3.12"
    )


def _pyenv_pythons(version: str) -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return [str(path) for path in sorted((root / "versions").glob(version + "/bin/python"))]


def _pythons() -> list[str]:
    """Pythons that may install uv, the one that runs this first; each once."""
    found = [sys.executable, *(shutil.which(name) or "" for name in ("python3", "python3.12", "python3.13"))]
    found += ["/usr/bin/python3", *_pyenv_pythons("3.1[0-9].*")]
    return [path for path in dict.fromkeys(found) if path and os.access(path, os.X_OK)]


def _version(python: str) -> str | None:
    """Major and minor version of a Python, or None where it does not run."""
    return _output([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])


# --- processes --------------------------------------------------------------------------------------------------


def _runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, cwd=ROOT).returncode == 0
    except OSError as error:
        print(f"setup: {command[0]}: {error}", file=sys.stderr)
        return False


def _output(command: list[str]) -> str | None:
    """What a command prints, or None where it fails or does not exist."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
