"""The guard lets the project's own rooms pass, and names the distribution that stands in for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.guard import DISTRIBUTION, HOME, ROOMS, ShadowedRoom, require_own_rooms


def _write_distribution(folder: Path, name: str, *packages: str) -> None:
    """An installed distribution, as an installer leaves it: packages, and a list of its files."""
    files = []
    for package in packages:
        (folder / package).mkdir(parents=True, exist_ok=True)
        (folder / package / "__init__.py").write_text('"""A package."""\n')
        files.append(f"{package}/__init__.py,,")
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "RECORD").write_text("\n".join(files) + "\n")


def test_the_rooms_of_this_environment_pass() -> None:
    require_own_rooms()


def test_the_list_of_rooms_is_the_list_of_folders() -> None:
    folders = {path.parent.name for path in HOME.glob("*/__init__.py")}
    assert set(ROOMS) == folders


def test_a_distribution_earlier_on_the_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_distribution(tmp_path, "stage-robots", "robot")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ShadowedRoom, match=r"room 'robot'.*distribution stage-robots: uninstall"):
        require_own_rooms()


def test_a_loose_folder_earlier_on_the_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "teleop").mkdir()
    (tmp_path / "teleop" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ShadowedRoom, match=r"room 'teleop'.*PYTHONPATH") as raised:
        require_own_rooms()
    assert str(tmp_path / "teleop") in str(raised.value)


def test_a_distribution_that_shares_the_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site-packages"
    _write_distribution(site, DISTRIBUTION, *ROOMS)
    monkeypatch.setattr("sys.path", [str(site)])
    require_own_rooms(home=site)
    _write_distribution(site, "phone-teleop", "teleop")
    with pytest.raises(ShadowedRoom, match=r"room 'teleop'.*phone-teleop"):
        require_own_rooms(home=site)


def test_a_room_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShadowedRoom, match="room 'policy': Python finds no such package"):
        require_own_rooms(home=tmp_path, search=[str(tmp_path)])
