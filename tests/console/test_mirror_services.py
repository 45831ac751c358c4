"""`nudge mirror` and the learner's mirrors with the real packages, without network or account."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from console.main import main
from console.mirror.child import mirrors_beside
from console.mirror.follower import Mirror, told_settings
from console.presets import dump_settings
from console.run_folder import LEARNER_SETTINGS_FILE, METRICS_FILE
from policy.file_lock import LockHeld
from shown_run import finished_run, reading
from waiting import eventually

needs_wandb = pytest.mark.skipif(find_spec("wandb") is None, reason="wandb is not installed (extra `wandb`)")
needs_trackio = pytest.mark.skipif(find_spec("trackio") is None, reason="trackio is not installed (extra `trackio`)")

POINTS = 8  # of the finished run: five readings, three online episodes


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """trackio's folder, which it looks up once, when it is imported."""
    return tmp_path_factory.mktemp("trackio")


@pytest.fixture(autouse=True)
def _here(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(kept))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)


def mirror(runs: Path, service: str, *more: str) -> int:
    return main(["mirror", "--runs", str(runs), "--run", "lift", "--to", service, *more])


def in_trackio(kept: Path, project: str) -> list[tuple[str, int]]:
    """Name of the run and place on its axis, of each point."""
    path = kept / f"{project}.db"
    if not path.is_file():
        return []
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT run_name, step FROM metrics ORDER BY id").fetchall()
    finally:
        connection.close()


def in_wandb(folder: Path) -> tuple[set[str], list[int]]:
    """Ids and numbers of the points in its files, oldest first."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    ids, numbers = set(), []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        file: Any = DataStore()
        file.open_for_scan(str(path))
        while (data := file.scan_data()) is not None:
            record = Record.FromString(data)
            if record.HasField("run"):
                ids.add(record.run.run_id)
            for item in record.history.item:
                if "_step" in (item.key, *item.nested_key):
                    numbers.append(int(json.loads(item.value_json)))
    return ids, numbers


@needs_trackio
class TestTrackio:
    def test_gets_all_once_and_later_what_is_new_in_the_same_run(self, tmp_path: Path, kept: Path) -> None:
        settings = finished_run(tmp_path)
        project = ("--mirror.trackio.project", "verb")
        assert mirror(tmp_path, "trackio", *project) == 0
        assert [at for _, at in in_trackio(kept, "verb")] == [200, 400, 600, 800, 1000, 12, 16, 20]
        assert mirror(tmp_path, "trackio", *project) == 0
        assert len(in_trackio(kept, "verb")) == POINTS
        with (settings.folder / METRICS_FILE).open("a") as file:
            file.write(reading(1200, q_mean=6.0))
        assert mirror(tmp_path, "trackio", *project) == 0
        sent = in_trackio(kept, "verb")
        assert [at for _, at in sent][POINTS:] == [1200]
        assert len({name for name, _ in sent}) == 1

    def test_follows_beside_a_learner_to_its_last_reading(self, tmp_path: Path, kept: Path) -> None:
        settings = finished_run(tmp_path)
        chosen = settings.mirror
        trackio = chosen.trackio.model_copy(update={"project": "beside"})
        chosen = chosen.model_copy(update={"to": ("trackio",), "trackio": trackio, "every_s": 0.2})
        settings = settings.model_copy(update={"mirror": chosen})
        dump_settings(settings, settings.folder / LEARNER_SETTINGS_FILE)
        told = StringIO()
        with mirrors_beside(settings, Console(file=told, width=400)):
            eventually(lambda: len(in_trackio(kept, "beside")) == POINTS, "what was there", 60)
            with (settings.folder / METRICS_FILE).open("a") as file:
                file.write(reading(1200))
        assert [at for _, at in in_trackio(kept, "beside")][POINTS:] == [1200]
        assert "trackio's folder on this machine alone, project beside" in told.getvalue()
        assert "without having sent" not in told.getvalue()


@needs_wandb
class TestWandb:
    def test_offline_keeps_all_once_and_goes_on_under_the_same_id(self, tmp_path: Path) -> None:
        settings = finished_run(tmp_path)
        offline = ("--mirror.wandb.mode", "offline")
        assert mirror(tmp_path, "wandb", *offline) == 0
        assert mirror(tmp_path, "wandb", *offline) == 0
        assert in_wandb(settings.folder)[1] == list(range(POINTS))
        with (settings.folder / METRICS_FILE).open("a") as file:
            file.write(reading(1200, q_mean=6.0))
        time.sleep(1.1)  # wandb names the folder of a start by the second
        assert mirror(tmp_path, "wandb", *offline) == 0
        ids, numbers = in_wandb(settings.folder)
        assert (len(ids), numbers) == (1, list(range(POINTS + 1)))


@pytest.mark.parametrize("service", ["wandb", "trackio"])
def test_without_its_package_the_extra_is_named(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished_run(tmp_path)
    monkeypatch.setitem(sys.modules, service, None)  # as the import system has a package that is not there
    assert mirror(tmp_path, service) == 1
    assert f"uv sync --extra {service}" in capsys.readouterr().err


def test_without_a_service_nothing_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = finished_run(tmp_path)
    assert main(["mirror", "--runs", str(tmp_path), "--run", "lift"]) == 1
    assert "names a service" in capsys.readouterr().err
    with mirrors_beside(settings, Console(file=StringIO())):
        pass
    assert not list(settings.folder.glob("mirror-*"))


def test_two_at_a_time_are_one_too_many(tmp_path: Path) -> None:
    settings = finished_run(tmp_path)
    (settings.folder / METRICS_FILE).unlink()
    for name in settings.folder.glob("experience.sqlite*"):
        name.unlink()
    first, second = (Mirror("wandb", settings, patient=True) for _ in range(2))
    assert first.look() == 0
    with pytest.raises(LockHeld, match="another process sends this run to wandb"):
        second.look()
    first.close()
    assert second.look() == 0
    second.close()


def test_no_address_key_or_camera_of_the_station_is_told(tmp_path: Path) -> None:
    settings = finished_run(tmp_path)
    told = set(told_settings(settings))
    assert "learner" in told
    assert not told & {"service", "dashboard", "arm", "runs", "mirror", "cameras"}
