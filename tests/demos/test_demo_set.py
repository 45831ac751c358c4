"""Demo sets: whole or not there, the same wherever they are, and never changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from demonstrations import CAMERA, SESSION, Hand, changed, contract, demonstration, sound_set, write
from demos.content_hash import content_hash
from demos.demo_set import DemoSet, list_demo_sets, open_demo_set
from demos.errors import DemoSetError, DemosRefused
from demos.findings import Severity
from demos.make_set import make_demo_set
from demos.sessions import shared_session
from policy.errors import ContractMismatch
from policy.experience import StepId
from policy.experience_file import EpisodeSelection, ExperienceFile
from policy.file_lock import FileLock, LockHeld

CONTRACT = contract(size_px=16)
OTHER_SESSION = "cd" * 16


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve sound demonstrations, and a thirteenth that failed."""
    failed = demonstration(CONTRACT, 12, Hand())
    episodes = [*sound_set(CONTRACT), changed(failed, len(failed) - 1, reward=0.0)]
    return write(tmp_path_factory.mktemp("source") / "experience.sqlite", CONTRACT, episodes)


def episodes(*numbers: int) -> EpisodeSelection:
    return EpisodeSelection(session=SESSION[:8], episodes=numbers)


SOUND, EVERY = episodes(*range(12)), EpisodeSelection()


def make(source: Path, demos: Path, name: str = "lift", selection: EpisodeSelection = SOUND, **more: object) -> DemoSet:
    with closing(ExperienceFile(source)) as experience:
        return make_demo_set(experience, demos, name, selection, **more)  # type: ignore[arg-type]  # what a test gives


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> DemoSet:
    return make(source, tmp_path_factory.mktemp("demos"))


@pytest.fixture
def copy(made: DemoSet, tmp_path: Path) -> Path:
    """The set on another machine, where somebody may write."""
    folder = tmp_path / made.facts.name / made.folder.name
    shutil.copytree(made.folder, folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def contents(path: Path, selection: EpisodeSelection = EVERY) -> list[bytes]:
    """The steps, under the names that are passed on."""
    found = []
    with closing(ExperienceFile(path)) as experience:
        for episode_id in experience.choose(selection).ids:
            for message in experience.messages(episode_id):
                message.id.session = shared_session(message.id.session)
                found.append(message.SerializeToString(deterministic=True))
    return found


class TestMaking:
    def test_it_holds_the_chosen_episodes_byte_for_byte(self, source: Path, made: DemoSet) -> None:
        assert contents(made.experience) == contents(source, SOUND)
        assert (made.facts.episodes, made.facts.steps) == (12, len(contents(made.experience)))
        assert made.folder.name == made.facts.hash[:12] == content_hash(made.experience)[:12]
        assert made.facts.contract == CONTRACT
        assert made.facts.findings == ()

    def test_nothing_in_it_tells_a_session(self, made: DemoSet) -> None:
        for path in made.folder.rglob("*"):
            assert path.is_dir() or SESSION.encode() not in path.read_bytes()

    def test_statistics_say_what_the_steps_do(self, source: Path, made: DemoSet) -> None:
        steps = [step for each in sound_set(CONTRACT) for step in each]
        jaw = np.array([step.observation.proprioception[5] for step in steps], np.float64)
        told = made.facts.proprioception["joint.gripper"]
        assert (told.min, told.max) == (jaw.min(), jaw.max())
        assert (told.mean, told.std) == pytest.approx((jaw.mean(), jaw.std()))
        assert told.q10 == pytest.approx(np.quantile(jaw, 0.1))
        assert made.facts.action["delta.z"].min == pytest.approx(-0.4)
        pictures = np.stack([step.observation.frames[CAMERA] for step in steps])
        assert made.facts.cameras[CAMERA].mean == pytest.approx(pictures.mean(axis=(0, 1, 2)))
        assert made.facts.cameras[CAMERA].std == pytest.approx(pictures.std(axis=(0, 1, 2)))
        assert made.facts.coverage is not None
        assert made.facts.coverage.counts == ((1,) * 4,) * 3

    def test_it_knows_how_the_cameras_saw_them(self, made: DemoSet) -> None:
        reference = made.reference()
        assert reference is not None
        assert reference.cameras[CAMERA].look.median.shape == (16, 16, 3)

    def test_of_few_pictures_there_is_no_reference_and_it_says_so(self, source: Path, tmp_path: Path) -> None:
        few = make(source, tmp_path, selection=episodes(0, 1))
        assert few.reference() is None
        assert "reference" in {finding.check for finding in few.facts.findings}

    def test_calibrations_go_with_it(self, source: Path, tmp_path: Path) -> None:
        calibration = tmp_path / "follower.json"
        calibration.write_text("{}")
        found = make(source, tmp_path / "demos", calibrations=[calibration])
        assert [path.read_text() for path in found.calibrations] == ["{}"]
        assert found.calibrations[0].name == "follower.json"

    def test_the_same_content_is_the_same_set_from_whatever_file(
        self, source: Path, made: DemoSet, tmp_path: Path
    ) -> None:
        between = [
            replace(step, id=StepId(OTHER_SESSION, 0, step.id.step)) for step in demonstration(CONTRACT, 50, Hand())
        ]
        strange = [between, *sound_set(CONTRACT)]
        elsewhere = make(write(tmp_path / "other.sqlite", CONTRACT, strange), tmp_path / "there")
        assert elsewhere.facts.hash == made.facts.hash
        assert make(made.experience, tmp_path / "again", selection=EVERY).facts.hash == made.facts.hash

    def test_made_again_it_is_the_one_that_is_there(self, source: Path, tmp_path: Path) -> None:
        first, again = (make(source, tmp_path, selection=episodes(0, 1, 2, 3)) for _ in range(2))
        assert first == again
        assert make(source, tmp_path, selection=episodes(0, 1, 2)).facts.hash != first.facts.hash
        assert [each.facts.episodes for each in list_demo_sets(tmp_path)] == [4, 3]

    def test_what_the_checks_forbid_is_refused_and_leaves_nothing(self, source: Path, tmp_path: Path) -> None:
        with pytest.raises(DemosRefused, match=r"success: episode abababab/12, step 25: got an end by failure"):
            make(source, tmp_path, selection=EVERY)
        assert [path.name for path in (tmp_path / "lift").iterdir()] == [".lock"]
        allowed = make(source, tmp_path, selection=EVERY, allowed=["success:abababab/12"])
        (found,) = allowed.facts.findings
        assert (found.check, found.severity) == ("success", Severity.REFUSE)
        assert found.episode == f"{shared_session(SESSION)[:8]}/12"  # as it is called in the set

    @pytest.mark.parametrize("name", ["", "Lift", "../lift", ".hidden", "a" * 65, "a/b"])
    def test_a_name_that_is_no_folder_is_refused(self, source: Path, tmp_path: Path, name: str) -> None:
        with pytest.raises(DemoSetError, match="expected lower-case letters"):
            make(source, tmp_path, name)
        assert not list(tmp_path.iterdir())

    def test_two_calibrations_of_one_name_are_refused(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text("{}")
        with pytest.raises(DemoSetError, match=r"got two of the name a\.json"):
            make(source, tmp_path, calibrations=[tmp_path / "a.json"] * 2)
        assert list_demo_sets(tmp_path) == []

    def test_a_disk_that_cannot_be_written_is_told(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "demos").write_text("no folder")
        with pytest.raises(DemoSetError, match="no demo set was made"):
            make(source, tmp_path / "demos")

    def test_one_process_makes_a_set_of_a_name_at_a_time(self, source: Path, tmp_path: Path) -> None:
        (tmp_path / "lift").mkdir()
        with FileLock(tmp_path / "lift" / ".lock", ""), pytest.raises(LockHeld, match="another process makes"):
            make(source, tmp_path)


class TestImmutable:
    def test_no_file_of_it_may_be_written(self, made: DemoSet) -> None:
        files = [path for path in made.folder.rglob("*") if path.is_file()]
        assert len(files) == 5  # experience, facts, reference.json and its two pictures
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o444 for path in files)

    def test_looking_leaves_nothing_beside_it(self, made: DemoSet) -> None:
        before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")}
        open_demo_set(made.folder)
        contents(made.experience)
        assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*")} == before

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE steps SET action = zeroblob(16) WHERE seq = 5",
            "UPDATE steps SET source = 2 WHERE seq = 5",
            "UPDATE steps SET proprioception = zeroblob(52) WHERE seq = 5",
            "UPDATE steps SET wall_ns = wall_ns + 1 WHERE seq = 5",
            "UPDATE frames SET png = (SELECT png FROM frames WHERE seq = 6) WHERE seq = 5",
            "UPDATE frames SET png = 'text' WHERE seq = 5",
            "UPDATE episodes SET rejected = 1 WHERE id = 2",
            "UPDATE episodes SET reward = 3 WHERE id = 2",
            "UPDATE contract SET body = replace(body, '10.0', '20.0')",
            "DELETE FROM episodes WHERE id = 12",
            "DELETE FROM frames",
            "DROP TABLE frames",
        ],
    )
    def test_whatever_was_changed_in_it_is_noticed(self, copy: Path, change: str) -> None:
        open_demo_set(copy, CONTRACT)
        with closing(sqlite3.connect(copy / "experience.sqlite")) as connection:
            connection.execute(change)
            connection.commit()
        with pytest.raises(DemoSetError, match=r"take another copy"):
            open_demo_set(copy, CONTRACT)

    def test_a_changed_or_missing_file_beside_it_is_noticed(self, copy: Path) -> None:
        picture = copy / "reference" / f"{CAMERA}.png"
        picture.write_bytes(picture.read_bytes()[:-1])
        with pytest.raises(DemoSetError, match=r"reference/camera0\.png is missing or has changed"):
            open_demo_set(copy)
        picture.unlink()
        with pytest.raises(DemoSetError, match=r"reference/camera0\.png is missing or has changed"):
            open_demo_set(copy)

    def test_facts_of_another_set_are_noticed(self, copy: Path) -> None:
        path = copy / "demo_set.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps(facts | {"hash": "0" * 64}))
        with pytest.raises(DemoSetError, match="somebody has changed it"):
            open_demo_set(copy)
        path.write_text("{}")
        with pytest.raises(DemoSetError, match="expected the facts of a demo set"):
            open_demo_set(copy)

    def test_nobody_appends_to_it(self, made: DemoSet) -> None:
        before = made.experience.read_bytes()
        with closing(sqlite3.connect(f"file:{made.experience}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)  # no log that others must write
        assert made.experience.read_bytes() == before


class TestOpening:
    def test_a_run_of_another_contract_is_told_the_difference(self, made: DemoSet) -> None:
        other = CONTRACT.model_copy(update={"control_hz": 20.0})
        with pytest.raises(ContractMismatch, match=r"the demo set lift .*\n  control_hz: 20.0 \(this run\) != 10.0"):
            open_demo_set(made.folder, other)

    def test_what_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(DemoSetError, match="name its folder"):
            open_demo_set(tmp_path)
        assert list_demo_sets(tmp_path / "none") == []

    def test_they_are_listed_by_name_and_age(self, source: Path, tmp_path: Path) -> None:
        for name, numbers in (("b", (0, 1)), ("a", (2, 3)), ("a", (0, 1))):
            make(source, tmp_path, name, episodes(*numbers))
        listed = list_demo_sets(tmp_path)
        assert [each.facts.name for each in listed] == ["a", "a", "b"]
        assert listed[0].facts.created < listed[1].facts.created
        assert listed[1].facts.hash == listed[2].facts.hash  # another name, the same content
