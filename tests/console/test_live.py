"""`nudge classifier live`: opinions on what is seen, tick by tick, of recorded episodes and of a scripted hand."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from console.live.arm import LINGER_STEPS, MISS_EVERY, looked_at, scripted
from console.live.recorded import recorded
from console.live.show import LiveShow
from console.live.watch import Seen, Watched, watch
from console.main import main
from console.presets.load import load_preset
from console.settings import Settings
from judged_episodes import HELD_RAD, write
from policy.contract import Crop
from policy.encoder import Encoder, random_encoder
from policy.experience_file import EpisodeSelection
from policy.step_schema import StoreError
from reward_classifier.artefact import SuccessClassifier, open_classifier
from robot.virtual.commands import State
from robot.virtual.control import Remote
from virtual_arm import torque_of, true_rad

ENCODER = ("--encoder.source", "random:0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two successes and a failure to be watched, and a classifier that has learned from others."""
    folder = tmp_path_factory.mktemp("live")
    write(folder / "watched.sqlite", 2, 1, seed=9)
    taught = write(folder / "taught.sqlite", 6, 6)
    quick = "--views.views 2 --model.width 16 --model.spatial-features 2 --fit.batch-size 16 --fit.learning-rate 2e-3"
    quick += " --fit.most-updates 30 --fit.check-every 10 --fit.folds 3 --fit.curve-shares"
    keys = "--from-key --keys.positive-frames 3 --keys.negative-before-s 0.5"
    assert main(["classifier", "label", "--store", str(taught), *keys.split()]) == 0
    train = ["classifier", "train", "--store", str(taught), "--out", str(folder / "lamp"), *ENCODER, *quick.split()]
    assert main(train) == 0
    return folder


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(0)


@pytest.fixture(scope="module")
def classifier(folder: Path) -> SuccessClassifier:
    return open_classifier(folder / "lamp")


@pytest.fixture(scope="module")
def ticks(folder: Path, classifier: SuccessClassifier, encoder: Encoder) -> list[Watched]:
    """All three episodes, of 21 frames each; the failure is the last."""
    seen = recorded(folder / "watched.sqlite", EpisodeSelection(), again=False)
    return list(watch(seen, classifier, encoder))


class TestOnRecordedEpisodes:
    def test_each_success_is_paid_once_and_the_failure_never(self, ticks: list[Watched]) -> None:
        assert [each.seen.begins for each in ticks].count(True) == 3
        paid = [index for index, each in enumerate(ticks) if each.opinion.pays]
        assert [index // 21 for index in paid] == [0, 1]  # 21 frames each, the failure is the third
        assert ticks[20].paid is ticks[paid[0]].opinion
        assert ticks[21].paid is None  # the next episode begins anew
        assert "which ended without success: frame" in ticks[-1].seen.where

    def test_votes_are_those_of_the_last_frames_of_this_episode(
        self, ticks: list[Watched], classifier: SuccessClassifier
    ) -> None:
        rule = classifier.facts.rule
        for first in (0, 21, 42):
            assert len(ticks[first].votes) == 1
        for index in range(21):
            last = ticks[max(0, index + 1 - rule.n) : index + 1]
            assert list(ticks[index].votes) == [each.opinion.probability >= rule.threshold for each in last]

    def test_the_gate_shows_each_dimension_and_whether_it_holds(self, ticks: list[Watched]) -> None:
        jaw, height = ticks[20].gate
        assert (jaw.limits.dimension, height.limits.dimension) == ("joint.gripper", "tool.z")
        assert jaw.value == pytest.approx(HELD_RAD)
        assert jaw.share == pytest.approx((HELD_RAD + 0.2) / 1.3)  # the contract's -0.2..1.1
        assert jaw.holds
        assert height.holds
        assert not ticks[62].gate[0].holds  # it has closed on nothing

    def test_without_episodes_the_judge_begins_anew_once_success_is_out_of_sight(
        self, folder: Path, classifier: SuccessClassifier, encoder: Encoder
    ) -> None:
        seen = recorded(folder / "watched.sqlite", EpisodeSelection(), again=False)
        unbroken = (Seen(each.observation, each.where, begins=False) for each in seen)
        found = list(watch(unbroken, classifier, encoder, endless=True))
        assert sum(each.opinion.pays for each in found) == 2
        assert found[-1].paid is None

    def test_in_the_terminal_each_frame_is_a_line(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        command = ["classifier", "live", str(folder / "lamp"), "--store", str(folder / "watched.sqlite"), "--no-page"]
        assert main([*command, "--learner.encoder.source", "random:0"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 3 * 21
        assert sum("PAYS" in line for line in lines) == 2

    def test_a_show_holds_up_the_newest_tick_and_says_what_ended_it(
        self, folder: Path, classifier: SuccessClassifier, encoder: Encoder
    ) -> None:
        seen = recorded(folder / "watched.sqlite", EpisodeSelection(), again=True)
        show = LiveShow(lambda each: watch(each, classifier, encoder), seen, 1000.0, 0.01)
        show.start()
        show.await_first()
        show.stop()
        assert show.latest is not None
        assert show.latest.pictures["camera0"].startswith("data:image/png;base64,")
        assert 1 <= len(show.latest.points) <= 10  # 0.01 s at 1 kHz
        missing = LiveShow(
            lambda each: watch(each, classifier, encoder),
            recorded(folder / "nowhere.sqlite", EpisodeSelection(), again=True), 10.0, 1.0,
        )  # fmt: skip
        missing.start()
        with pytest.raises(StoreError, match="there is no such file"):
            missing.await_first()

    def test_the_page_shows_picture_gate_and_what_the_judge_says(
        self, folder: Path, classifier: SuccessClassifier, encoder: Encoder
    ) -> None:
        from nicegui.testing import user_simulation

        from console.live.page import LivePage

        seen = recorded(folder / "watched.sqlite", EpisodeSelection(), again=True)
        show = LiveShow(lambda each: watch(each, classifier, encoder), seen, 50.0, 1.0)
        show.start()
        show.await_first()

        async def visit() -> None:
            async with user_simulation(root=lambda: LivePage(show, classifier.facts.rule, "lamp")) as user:
                await user.open("/")
                for text in ("Success: it has paid", "of the last", "joint.gripper", "which ended in success"):
                    await user.should_see(text, retries=100)

        try:
            asyncio.run(visit())
        finally:
            show.stop()


class TestTheScriptedHand:
    @pytest.fixture(scope="class")
    @classmethod
    def episodes(cls) -> list[list[Seen]]:
        """The first ones, up to the first that misses, of which the begin is enough."""
        settings = load_preset(Settings, "fast")
        episodes: list[list[Seen]] = []
        with closing(scripted(settings)) as source:
            for seen in source:
                if seen.begins:
                    episodes.append([])
                episodes[-1].append(seen)
                if len(episodes) == MISS_EVERY and len(episodes[-1]) == 40:
                    break
        return episodes

    def test_lifts_and_holds_up_what_it_has_lifted(self, episodes: list[list[Seen]]) -> None:
        held = [bool(each.observation.sim_only[4]) for each in episodes[0][-LINGER_STEPS:]]
        assert all(held)
        assert episodes[0][-1].observation.sim_only[2] > 0.06

    def test_sometimes_closes_beside_the_cube(self, episodes: list[list[Seen]]) -> None:
        assert "beside the cube" in episodes[-1][0].where
        assert not any(each.observation.sim_only[4] for each in episodes[-1])


def test_ticks_are_asked_for_one_by_one(folder: Path) -> None:
    first = next(itertools.islice(recorded(folder / "watched.sqlite", EpisodeSelection(), again=True), 63, None))
    assert first.where.startswith("episode cdcdcdcd/0")  # the first one again, after 3 of 21 frames


def test_a_real_arm_is_looked_at_and_left_limp(virtual: Remote) -> None:
    preset = load_preset(Settings, "virtual")
    shown = virtual.tell(State())["cameras"]
    names = [camera.name for camera in preset.contract.cameras]
    devices = [{"kind": "zmq", "name": name, "port": shown[name]["port"], "noisy": False} for name in names]
    so101 = preset.arm.so101.model_dump() | {
        "port": virtual.folder / "follower",
        "calibration_dir": virtual.folder / "calibration",
        "cameras": preset.arm.so101.cameras.model_dump() | {"devices": devices},
    }
    size = {"native_height_px": 120, "native_width_px": 160, "crop": Crop(top=0, left=20, height=120, width=120)}
    contract = preset.contract.model_dump() | {"cameras": [{"name": name} | size for name in names]}
    arm = preset.arm.model_dump() | {"so101": so101}
    settings = Settings.model_validate(preset.model_dump() | {"arm": arm, "contract": contract})
    with closing(looked_at(settings)) as source:
        seen = next(source)
        assert seen.begins
        assert {name: frame.shape for name, frame in seen.observation.frames.items()} == dict.fromkeys(
            names, (128, 128, 3)
        )
        joints, lead = seen.observation.proprioception[:6], seen.observation.proprioception[9:]
        np.testing.assert_allclose(joints, true_rad(virtual), atol=0.01)
        np.testing.assert_allclose(lead, 0, atol=1e-6)  # nobody commands it
        assert not next(source).begins
    assert torque_of(virtual) == []
