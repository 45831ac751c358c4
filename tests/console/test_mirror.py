"""`nudge mirror` with wandb and trackio themselves, offline; and what a service that hangs costs a learner."""

from __future__ import annotations

import io
import json
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from console.extras import MissingExtra
from console.learner import serve
from console.main import main
from console.mirror.child import LAST_LOOK_S, mirrors_beside
from console.mirror.follower import Mirror, follow, told_settings
from console.mirror.settings import MirrorSettings, Service, TrackioSettings, WandbSettings
from console.presets.load import dump_settings
from console.run_folder import LEARNER_SETTINGS_FILE, METRICS_FILE
from console.settings import Settings
from policy.experience import Source
from policy.file_lock import LockHeld
from shown_run import append, episode, finished_run, reading
from waiting import eventually

needs_wandb = pytest.mark.skipif(find_spec("wandb") is None, reason="needs the extra `wandb`")
needs_trackio = pytest.mark.skipif(find_spec("trackio") is None, reason="needs the extra `trackio`")


@pytest.fixture(scope="module", autouse=True)
def trackio_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where trackio keeps runs, which it reads once; and what the mirror sets in its process is taken back."""
    folder = tmp_path_factory.mktemp("trackio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(folder))
        patch.setenv("TRACKIO_SPACE_ID", "somebody/elses")  # it must not be sent there
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        yield folder


def with_mirror(settings: Settings, *to: Service, **mirror: object) -> Settings:
    """Settings of a run that is mirrored offline, in the project of its name."""
    kinds = {"wandb": WandbSettings(mode="offline"), "trackio": TrackioSettings(project=settings.run)}
    return settings.model_copy(update={"mirror": MirrorSettings.model_validate({"to": to, **kinds, **mirror})})


def in_trackio(folder: Path, project: str) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """What trackio keeps: the steps and metrics of each run of a project."""
    runs: dict[str, list[tuple[int, dict[str, float]]]] = {}
    with sqlite3.connect(folder / f"{project}.db") as database:
        for name, step, metrics in database.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id"):
            runs.setdefault(name, []).append((step, json.loads(metrics)))
    return runs


def in_wandb(folder: Path) -> tuple[set[str], list[dict[str, object]], str]:
    """What wandb has written: ids of runs, its rows in order, and all else as text."""
    from wandb.sdk.internal.datastore import DataStore

    protocol: Any = import_module("wandb.proto.wandb_internal_pb2")  # generated for several versions of protobuf
    ids: set[str] = set()
    rows: list[dict[str, object]] = []
    other = ""
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        store = DataStore()
        store.open_for_scan(str(path))
        while (data := store.scan_data()) is not None:
            record = protocol.Record()
            record.ParseFromString(data)
            if record.HasField("history"):
                items = record.history.item
                rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
            else:
                other += str(record)
            if record.HasField("run"):
                ids.add(record.run.run_id)
    return ids, rows, other


@needs_wandb
class TestWandb:
    def test_has_each_point_once_over_restarts_and_nothing_of_this_machine(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings = finished_run(tmp_path)
        argv = ["mirror", "--run", "lift", "--runs", str(tmp_path), "--to", "wandb", "--mirror.wandb.mode", "offline"]
        assert main(argv) == 0
        assert "goes to the folder wandb in the run folder alone (offline)" in capsys.readouterr().out
        assert main(argv) == 0
        assert "it has everything already" in capsys.readouterr().out
        with (settings.folder / METRICS_FILE).open("a") as file:
            file.write(reading(1200, q_mean=6.0))
        append(settings, episode(5, 4 * [Source.POLICY]))
        assert main(argv) == 0
        assert "wandb: 2 points sent" in capsys.readouterr().out
        ids, rows, other = in_wandb(settings.folder)
        assert len(ids) == 1
        assert [row["_step"] for row in rows] == list(range(10))
        assert [row["updates"] for row in rows if "updates" in row] == [200, 400, 600, 800, 1000, 1200]
        assert [row["env_steps"] for row in rows if "env_steps" in row] == [12, 16, 20, 24]
        assert rows[8]["learner/q_mean"] == 6.0
        assert 'glob_name: "learner/*"' in other  # curves over updates, not over points
        assert 'key: "learner"' in other  # the settings
        for secret in (socket.gethostname(), "token_file", "127.0.0.1", "gpu"):
            assert secret not in other, secret


@needs_trackio
class TestTrackio:
    def test_has_each_point_once_over_restarts_on_this_machine(
        self, tmp_path: Path, trackio_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        settings = finished_run(tmp_path)
        argv = ["mirror", "--run", "lift", "--runs", str(tmp_path), "--to", "trackio"]
        for more in (1200, 1400):
            assert main(argv) == 0
            assert "trackio's folder on this machine alone" in capsys.readouterr().out
            with (settings.folder / METRICS_FILE).open("a") as file:
                file.write(reading(more, q_mean=6.0))
        (points,) = in_trackio(trackio_folder, "nudge").values()
        assert [step for step, metrics in points if "learner/q_mean" in metrics] == [200, 400, 600, 800, 1000, 1200]
        assert [step for step, metrics in points if "episode/success" in metrics] == [12, 16, 20]
        assert "TRACKIO_SPACE_ID" not in os.environ

    def test_runs_of_one_name_are_kept_apart(self, tmp_path: Path, trackio_folder: Path) -> None:
        for place in ("here", "there"):
            settings = with_mirror(finished_run(tmp_path / place), "trackio", trackio=TrackioSettings(project="apart"))
            mirror = Mirror("trackio", settings, patient=True)
            assert mirror.look() == 8
            mirror.close()
        assert [len(points) for points in in_trackio(trackio_folder, "apart").values()] == [8, 8]

    def test_what_is_wrong_is_said_once_and_tried_again_until_it_goes_on(
        self, tmp_path: Path, trackio_folder: Path
    ) -> None:
        trackio = TrackioSettings(project="patience")
        settings = with_mirror(finished_run(tmp_path), "trackio", trackio=trackio, every_s=0.02, retry_s=0.02)
        metrics = settings.folder / METRICS_FILE
        good = metrics.read_text()
        metrics.write_text(good + "noise\n")
        mirror, stop, said = Mirror("trackio", settings, patient=True), threading.Event(), list[str]()
        following = threading.Thread(target=follow, args=(mirror, stop, said.append))
        following.start()
        eventually(lambda: bool(said), "what is wrong")
        time.sleep(0.2)
        assert len(said) == 1
        assert "not a metrics record after byte 0; remove the line" in said[0]
        metrics.write_text(good)
        eventually(lambda: said[-1] == "it goes on", "that it goes on")
        with metrics.open("a") as file:
            file.write(reading(1200, q_mean=6.0))
        stop.set()  # what came last goes as well
        following.join(30)
        (points,) = in_trackio(trackio_folder, "patience").values()
        assert [step for step, each in points if "learner/q_mean" in each] == [200, 400, 600, 800, 1000, 1200]


def told(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@needs_wandb
@needs_trackio
def test_beside_a_learner_one_service_that_hangs_holds_up_neither_it_nor_the_other_one(
    tmp_path: Path, trackio_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are taken, and never answered
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
        both = {"wandb": WandbSettings(mode="online"), "trackio": TrackioSettings(project="beside")}
        settings = with_mirror(finished_run(tmp_path), "wandb", "trackio", **both, finish_s=0.5, every_s=0.1)
        dump_settings(settings, settings.folder / LEARNER_SETTINGS_FILE)
        console = Console(file=io.StringIO(), width=500)
        start_s = time.monotonic()
        with mirrors_beside(settings, console):
            assert time.monotonic() - start_s < 1.0
            assert "wandb: curves, ends of episodes and settings go to the servers of Weights" in told(console)
            eventually((trackio_folder / "beside.db").is_file, "the other one", 60)
            silent.settimeout(60)
            silent.accept()[0].close()  # wandb has come, and will again
            with (settings.folder / METRICS_FILE).open("a") as file:
                file.write(reading(1200, q_mean=6.0))
            end_s = time.monotonic()
        assert time.monotonic() - end_s < LAST_LOOK_S + 0.5 + 2.0
        assert "mirror to wandb: it ended without having sent everything" in told(console)
        assert "mirror to trackio: it ended" not in told(console)
        (points,) = in_trackio(trackio_folder, "beside").values()
        assert (len(points), points[-1][0]) == (9, 1200)


class TestWhatIsMissing:
    def test_a_learner_without_the_package_says_which_extra_before_anything_is_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("console.extras.find_spec", lambda name: None)
        settings = with_mirror(finished_run(tmp_path), "wandb")
        settings = settings.model_copy(update={"run": "new"})
        with pytest.raises(
            MissingExtra, match=r"mirror\.to wandb needs the package wandb.*uv sync --inexact --extra wandb"
        ):
            serve(settings, Console(file=io.StringIO()))
        assert not settings.folder.exists()

    def test_without_a_service_nothing_is_sent_and_it_is_said(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        finished_run(tmp_path)
        assert main(["mirror", "--run", "lift", "--runs", str(tmp_path)]) == 1
        assert "neither --to nor mirror.to of run lift names a service" in capsys.readouterr().err
        assert not list(tmp_path.glob("lift/mirror-*"))

    def test_a_run_that_is_not_there_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["mirror", "--run", "none", "--runs", str(tmp_path), "--to", "wandb"]) == 1
        assert "none: there is no such run" in capsys.readouterr().err


def test_two_at_a_time_are_one_too_many(tmp_path: Path) -> None:
    settings = finished_run(tmp_path)
    first = Mirror("wandb", settings, patient=True)
    with pytest.raises(LockHeld, match="another process sends run lift to wandb already"):
        Mirror("wandb", settings, patient=True)
    first.close()
    Mirror("wandb", settings, patient=True).close()


def test_addresses_keys_and_ports_of_the_station_are_not_told(tmp_path: Path) -> None:
    settings = finished_run(tmp_path)
    told = told_settings(settings)
    assert told["contract_hash"] == settings.contract.hash
    assert told["learner"] == settings.learner.model_dump(mode="json")
    assert not {"service", "link", "dashboard", "arm", "teleop", "runs", "contract", "mirror"} & told.keys()
