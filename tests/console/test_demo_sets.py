"""Demo sets in a run: the learner takes them in, and the actor asks its operator for so many fewer."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from actor.link import LearnerLink, Spool
from actor.link_state import Welcome
from console.demos.sets import adopt_demo_sets, demonstrations_to_record, reference_folder
from console.errors import ConsoleError
from console.presets.load import load_preset
from console.run_folder import READY_FILE, REFERENCE_FOLDER, STORE_FILE
from console.settings import Settings
from demonstrations import contract, sound_set, write
from demos.demo_set import DemoSet
from demos.errors import DemoSetError
from demos.make_set import make_demo_set
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore, StoreReader
from nudge.v1 import learner_pb2 as pb
from policy.errors import ContractMismatch
from policy.experience_file import ExperienceFile
from waiting import eventually

CONTRACT = contract(size_px=16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DemoSet:
    """Twelve demonstrations."""
    folder = tmp_path_factory.mktemp("made")
    experience = ExperienceFile(write(folder / "experience.sqlite", CONTRACT, sound_set(CONTRACT)))
    found = make_demo_set(experience, folder / "sets", "lift")
    experience.close()
    return found


@pytest.fixture
def settings(tmp_path: Path, made: DemoSet) -> Settings:
    """Of a run that learns from the set, and wants twenty demonstrations."""
    fast = load_preset(Settings, "fast")
    return fast.model_copy(update={"runs": tmp_path, "run": "small", "contract": CONTRACT, "demo_sets": (made.folder,)})


@pytest.fixture
def store(settings: Settings) -> Iterator[ExperienceStore]:
    with ExperienceStore(settings.folder / STORE_FILE, CONTRACT) as opened:
        yield opened


def console() -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    return Console(file=output, width=400), output


def welcome(shared: int) -> Welcome:
    return Welcome("small", 0, "{}", None, shared)


def test_the_learner_takes_them_once_and_tells_an_actor_how_many(
    settings: Settings, store: ExperienceStore, made: DemoSet, tmp_path: Path
) -> None:
    out, told = console()
    for _ in range(2):
        adopt_demo_sets(settings, store, out)
    first, second = told.getvalue().splitlines()
    assert first == f"demo set lift {made.facts.hash[:12]}: 12 demonstrations, 12 of them new to this run"
    assert second.endswith("12 demonstrations, none of them new to this run")
    assert store.counts().demo_episodes == 12
    server = LearnerServer(ServiceSettings(port=0), CONTRACT, "small", store, PolicyPublisher(), "{}", pb.StatusReply)
    link_settings = settings.link.model_copy(update={"address": f"127.0.0.1:{server.start()}"})
    try:
        with (
            Spool(tmp_path / "spool.sqlite", CONTRACT, link_settings) as spool,
            LearnerLink(link_settings, CONTRACT, spool) as link,
        ):
            assert demonstrations_to_record(settings, link.open(), out) == 20 - 12
    finally:
        server.stop(0)
    assert "of 20 that are wanted 8 are to be recorded" in told.getvalue()


def test_what_is_there_already_is_never_asked_for(settings: Settings) -> None:
    assert demonstrations_to_record(settings, welcome(20), console()[0]) == 0
    assert demonstrations_to_record(settings, welcome(33), console()[0]) == 0


def test_without_sets_all_are_recorded(settings: Settings) -> None:
    out, told = console()
    assert demonstrations_to_record(settings.model_copy(update={"demo_sets": ()}), welcome(0), out) == 20
    assert told.getvalue() == ""


def test_a_learner_that_was_started_without_them_is_noticed(settings: Settings) -> None:
    with pytest.raises(ConsoleError, match=r"demo_sets: got 1, but the learner at .* has no demonstration"):
        demonstrations_to_record(settings, welcome(0), console()[0])


def test_a_set_that_has_changed_or_does_not_fit_is_refused(
    settings: Settings, store: ExperienceStore, tmp_path: Path
) -> None:
    out, _ = console()
    with pytest.raises(DemoSetError, match="name its folder"):
        adopt_demo_sets(settings.model_copy(update={"demo_sets": (tmp_path / "none",)}), store, out)
    other = CONTRACT.model_copy(update={"control_hz": 20.0})
    with pytest.raises(ContractMismatch, match="the demo set lift"):
        adopt_demo_sets(settings.model_copy(update={"contract": other}), store, out)
    assert store.counts().env_steps == 0


def test_what_the_run_has_already_needs_no_second_look(
    settings: Settings, store: ExperienceStore, made: DemoSet, tmp_path: Path
) -> None:
    folder = tmp_path / "lift" / made.folder.name
    shutil.copytree(made.folder, folder)
    own = settings.model_copy(update={"demo_sets": (folder,)})
    (folder / "reference" / "camera0.png").chmod(0o644)
    (folder / "reference" / "camera0.png").write_bytes(b"")
    with pytest.raises(DemoSetError, match=r"reference/camera0\.png is missing or has changed"):
        adopt_demo_sets(own, store, console()[0])
    assert store.counts().env_steps == 0
    adopt_demo_sets(settings, store, console()[0])
    adopt_demo_sets(own, store, console()[0])  # the run has its own copy, byte for byte


class TestReference:
    def test_is_that_of_a_set_where_all_demonstrations_are_from_sets(self, settings: Settings, made: DemoSet) -> None:
        assert reference_folder(settings, 0, console()[0]) == made.folder / "reference"

    def test_is_the_runs_own_where_some_are_recorded(self, settings: Settings) -> None:
        assert reference_folder(settings, 3, console()[0]) == settings.folder / REFERENCE_FOLDER

    def test_its_absence_is_told(self, settings: Settings, tmp_path: Path) -> None:
        out, told = console()
        elsewhere = settings.model_copy(update={"demo_sets": (tmp_path / "not-here",)})
        assert reference_folder(elsewhere, 0, out) == settings.folder / REFERENCE_FOLDER
        assert "nobody will notice" in told.getvalue()


@pytest.mark.slow
def test_with_all_demonstrations_in_a_set_the_actor_goes_straight_to_training(tmp_path: Path) -> None:
    def nudge(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "console.main", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "COLUMNS": "300"},
        )

    sets = tmp_path / "sets"
    recorder = nudge("record", "--record.folder", str(sets), "--record.name", "lift", "--record.demos", "4")
    output, _ = recorder.communicate(timeout=300)
    assert recorder.returncode == 0, output
    (folder,) = (path.parent for path in sets.glob("lift/[!.]*/demo_set.json"))
    run = ("--runs", str(tmp_path), "--run", "small", "--demo-sets", str(folder), "--dashboard.with-learner", "False")
    few = ("--loop.demo-episodes", "4", "--learner.trainer.demo-episodes", "4", "--learner.trainer.utd", "1")
    learner = nudge("learner", *run, *few, "--service.port", "0")
    try:
        ready = tmp_path / "small" / READY_FILE
        eventually(lambda: ready.is_file() or learner.poll() is not None, "the learner", 120)
        address = json.loads(ready.read_text())["address"]
        actor = nudge("actor", *run, *few, "--link.address", address, "--loop.max-env-steps", "60")
        output, _ = actor.communicate(timeout=300)
        assert actor.returncode == 0, output
        assert "of 4 that are wanted 0 are to be recorded" in output
        assert "demonstration 0" not in output
    finally:
        learner.terminate()
        learner.communicate(timeout=60)
    with StoreReader(tmp_path / "small" / STORE_FILE) as found:
        kinds = [record.kind for record in found.episodes()]
    assert kinds[:4] == ["demo"] * 4
    assert set(kinds[4:]) == {"online"}
