"""Experience to LeRobotDataset v3 and back, through LeRobot's own classes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demos.errors import ExchangeRefused
from demos.lerobot_export import LeRobotExportSettings, export_dataset, psnr_db
from demos.lerobot_hub import pull_dataset, push_dataset
from demos.lerobot_import import import_dataset
from demos.sessions import shared_session
from exchange import CONTRACT, A, B, as_bytes, episode, quiet_caches, read, write
from hub import local_hub
from policy.errors import ContractMismatch
from policy.experience import Source, Step
from policy.experience_file import EpisodeSelection

EVERYTHING = LeRobotExportSettings(select=EpisodeSelection(rejected=True), keep_sessions=True)


_caches = pytest.fixture(scope="module", autouse=True)(quiet_caches)


@pytest.fixture(scope="module")
def episodes() -> list[list[Step]]:
    rejected = episode(A, 2, Source.DEMO, terminated=False)
    rejected[-1] = replace(rejected[-1], rejected=True)
    return [
        episode(A, 0, Source.DEMO, terminated=True),
        episode(A, 1, Source.POLICY, terminated=False, steps=1),
        rejected,
        episode(B, 5, Source.HUMAN, terminated=True, steps=6),
    ]


@pytest.fixture(scope="module")
def store(episodes: list[list[Step]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("store") / "experience.sqlite", episodes)


@pytest.fixture(scope="module")
def dataset(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All episodes, rejected ones too, under their true sessions."""
    folder = tmp_path_factory.mktemp("exported") / "dataset"
    report = export_dataset(store, folder, EVERYTHING)
    assert "not taken along: the classifier's opinions on 7 steps" in str(
        report
    )  # every second of 4, 1, 4 and 6: 2 + 0 + 2 + 3
    return folder


class TestTheRoundTrip:
    def test_brings_back_every_bit_of_every_step(
        self, dataset: Path, episodes: list[list[Step]], tmp_path: Path
    ) -> None:
        report = import_dataset(dataset, tmp_path / "back.sqlite", CONTRACT)
        assert as_bytes(read(tmp_path / "back.sqlite")) == as_bytes(episodes)
        assert (report.kind, report.episodes, report.steps, report.lossy_frames) == ("nudge", 4, 4 + 1 + 4 + 6, False)

    @pytest.mark.slow
    def test_leaves_out_rejected_episodes_and_true_sessions_unless_asked(
        self, store: Path, episodes: list[list[Step]], tmp_path: Path
    ) -> None:
        report = export_dataset(store, tmp_path / "dataset", LeRobotExportSettings())
        import_dataset(tmp_path / "dataset", tmp_path / "back.sqlite")
        assert as_bytes(read(tmp_path / "back.sqlite")) == as_bytes(
            [steps for steps in episodes if not steps[-1].rejected], shared_session
        )
        assert report.left_out["rejected"] == 1
        assert A not in "".join(str(path.read_bytes()) for path in (tmp_path / "dataset").rglob("*.parquet"))

    @pytest.mark.slow
    def test_by_video_loses_only_what_the_report_states(
        self, store: Path, episodes: list[list[Step]], tmp_path: Path
    ) -> None:
        settings = EVERYTHING.model_copy(update={"frames": "video"})
        report = export_dataset(store, tmp_path / "dataset", settings)
        imported = import_dataset(tmp_path / "dataset", tmp_path / "back.sqlite", CONTRACT)
        back = read(tmp_path / "back.sqlite")
        pairs = [pair for ours, theirs in zip(episodes, back, strict=True) for pair in zip(ours, theirs, strict=True)]
        for camera in CONTRACT.cameras:
            found = [psnr_db(a.observation.frames[camera.name], b.observation.frames[camera.name]) for a, b in pairs]
            (loss,) = [loss for loss in report.losses if loss.camera == camera.name]
            assert loss.frames == len(found)  # so few that all were measured
            assert (loss.mean_db, loss.worst_db) == pytest.approx((np.mean(found), min(found)), abs=1e-6)
            assert 30 < loss.worst_db < 100
        assert f"PSNR {report.losses[0].mean_db:.1f} dB" in str(report)
        assert imported.lossy_frames
        # All but the frames of the steps; final observations are no part of the video.
        lossless = [[replace(b, observation=a.observation) for a, b in pairs]]
        assert as_bytes(lossless) == as_bytes([[a for a, _ in pairs]])


class TestWhatLeRobotSees:
    def test_its_loader_gives_the_steps_and_no_row_more(self, dataset: Path, episodes: list[list[Step]]) -> None:
        loaded = load(dataset)
        assert (loaded.num_episodes, loaded.num_frames, loaded.fps) == (4, 15, 10)
        step, row = episodes[3][5], loaded[14]
        np.testing.assert_array_equal(row["observation.state"].numpy(), step.observation.proprioception)
        np.testing.assert_array_equal(row["action"].numpy(), step.action)
        frame = (row["observation.images.camera1"].permute(1, 2, 0) * 255).round().to(torch.uint8)
        np.testing.assert_array_equal(frame.numpy(), step.observation.frames["camera1"])
        assert row["next.reward"].item() == np.float32(0.5)
        flags = [row[f"next.{name}"].item() for name in ("done", "success", "terminated", "truncated")]
        assert flags == [True, True, True, False]
        assert row["timestamp"].item() == pytest.approx(0.5)
        assert (row["nudge.source"], row["nudge.session"], row["task"]) == ("human", B, EVERYTHING.task)
        assert [bool(row["next.success"]) for row in loaded] == [*3 * [False], True, *10 * [False], True]

    def test_names_carry_units_and_the_metadata_the_contract(self, dataset: Path) -> None:
        features = load(dataset).features
        assert features["observation.state"]["names"] == ["joint0 [rad]", "joint1 [rad]", "joint2 [rad]"]
        assert features["action"]["names"][:1] == ["delta.x [0.02 m]"]
        stamp = features["action"]["info"]["nudge"]
        assert stamp["contract_hash"] == CONTRACT.hash
        assert stamp["contract"] == CONTRACT.model_dump(mode="json")

    def test_its_statistics_are_those_of_the_steps(self, dataset: Path, episodes: list[list[Step]]) -> None:
        stats = load(dataset).meta.stats
        actions = np.array([step.action for steps in episodes for step in steps])
        np.testing.assert_allclose(stats["action"]["min"], actions.min(axis=0))
        np.testing.assert_allclose(stats["action"]["mean"], actions.mean(axis=0), atol=1e-6)
        assert stats["action"]["count"] == [15]
        assert stats["observation.images.camera0"]["mean"].shape == (3, 1, 1)

    def test_a_policy_of_its_gets_states_frames_and_actions_only(self, dataset: Path) -> None:
        from lerobot.utils.feature_utils import dataset_to_policy_features

        inputs = dataset_to_policy_features(load(dataset).features)
        frames = {f"observation.images.{camera.name}" for camera in CONTRACT.cameras}
        assert set(inputs) == {"observation.state", "action"} | frames

    @pytest.mark.slow
    def test_its_tools_may_cut_and_merge_what_comes_back_all_the_same(
        self, dataset: Path, episodes: list[list[Step]], tmp_path: Path
    ) -> None:
        from lerobot.datasets.aggregate import aggregate_datasets
        from lerobot.datasets.dataset_tools import delete_episodes

        cut = delete_episodes(load(dataset), [0, 2], output_dir=tmp_path / "cut", repo_id="local/cut")
        roots = [cut.root, dataset]
        aggregate_datasets(["local/cut", "local/dataset"], "local/merged", roots=roots, aggr_root=tmp_path / "merged")
        report = import_dataset(tmp_path / "merged", tmp_path / "back.sqlite", CONTRACT)
        assert as_bytes(read(tmp_path / "back.sqlite")) == as_bytes(episodes)
        assert report.repeated == 2
        assert "2 episodes were in it twice" in str(report)


class TestRefusals:
    def test_another_contract_is_refused_with_the_difference(self, dataset: Path, tmp_path: Path) -> None:
        other = CONTRACT.model_copy(update={"control_hz": 15.0})
        with pytest.raises(ContractMismatch, match=r"control_hz: 15.0 \(this run\) != 10.0 \(the dataset"):
            import_dataset(dataset, tmp_path / "back.sqlite", other)
        assert not list(tmp_path.iterdir())

    def test_a_contract_that_was_changed_by_hand_is_refused(self, dataset: Path, tmp_path: Path) -> None:
        changed = altered(dataset, tmp_path, lambda info: stamp_of(info)["contract"].update(control_hz=15.0))
        with pytest.raises(ExchangeRefused, match="somebody has changed it"):
            import_dataset(changed, tmp_path / "back.sqlite")

    @pytest.mark.slow
    def test_features_that_are_not_those_of_the_contract_are_named(self, dataset: Path, tmp_path: Path) -> None:
        from lerobot.datasets.dataset_tools import remove_feature

        remove_feature(load(dataset), "nudge.final", tmp_path / "less", "local/less")
        with pytest.raises(ExchangeRefused, match=r"nudge\.final: missing"):
            import_dataset(tmp_path / "less", tmp_path / "back.sqlite")

    @pytest.mark.slow
    def test_what_lerobot_cannot_load_is_refused_with_its_reason(self, dataset: Path, tmp_path: Path) -> None:
        changed = altered(dataset, tmp_path, lambda info: info["features"].pop("nudge.final"))
        with pytest.raises(ExchangeRefused, match=r"LeRobot cannot load this dataset: Couldn't cast"):
            import_dataset(changed, tmp_path / "back.sqlite")

    def test_a_dataset_without_contract_asks_for_a_preset(self, dataset: Path, tmp_path: Path) -> None:
        foreign = altered(dataset, tmp_path, lambda info: info["features"]["action"].pop("info"))
        with pytest.raises(ExchangeRefused, match="name the preset"):
            import_dataset(foreign, tmp_path / "back.sqlite")

    @pytest.mark.parametrize("missing", ["meta/info.json", "meta/tasks.parquet", "data/chunk-000/file-000.parquet"])
    def test_part_of_a_dataset_is_refused_before_anybody_asks_the_hub(
        self, dataset: Path, tmp_path: Path, missing: str
    ) -> None:
        part = altered(dataset, tmp_path, lambda _: None)
        (part / missing).unlink()
        with pytest.raises(ExchangeRefused, match=missing):
            import_dataset(part, tmp_path / "back.sqlite")

    def test_an_older_layout_is_refused_with_the_way_to_convert_it(self, dataset: Path, tmp_path: Path) -> None:
        older = altered(dataset, tmp_path, lambda info: info.update(codebase_version="v2.1"))
        with pytest.raises(ExchangeRefused, match=r"got a LeRobotDataset of layout v2\.1, expected v3\.0"):
            import_dataset(older, tmp_path / "back.sqlite")

    def test_nothing_is_overwritten_and_nothing_half_made_is_left(self, dataset: Path, store: Path) -> None:
        with pytest.raises(ExchangeRefused, match="never overwrites"):
            export_dataset(store, dataset, EVERYTHING)
        with pytest.raises(KeyboardInterrupt):
            export_dataset(store, dataset.parent / "other", EVERYTHING, watch=stopping)
        assert [path.name for path in dataset.parent.iterdir()] == [dataset.name]

    def test_a_rate_that_lerobot_cannot_hold_is_refused(self, episodes: list[list[Step]], tmp_path: Path) -> None:
        from demos.experience_file import new_experience

        uneven = CONTRACT.model_copy(update={"control_hz": 12.5})
        with new_experience(tmp_path / "experience.sqlite", uneven) as new:
            new.append(episodes[0], uneven)
        with pytest.raises(ExchangeRefused, match=r"got 12\.5, a LeRobotDataset holds whole rates only"):
            export_dataset(tmp_path / "experience.sqlite", tmp_path / "dataset", EVERYTHING)


@pytest.mark.slow
class TestTheHub:
    def test_what_was_pushed_can_be_pulled_and_is_the_same(
        self, store: Path, episodes: list[list[Step]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        export_dataset(store, tmp_path / "dataset", LeRobotExportSettings())
        with local_hub(tmp_path / "hub", monkeypatch) as hub:
            push_dataset(tmp_path / "dataset", "somebody/lift")
            assert (hub / "somebody/lift/visibility").read_text() == "private"
            pull_dataset("somebody/lift", tmp_path / "pulled")
        import_dataset(tmp_path / "pulled", tmp_path / "back.sqlite", CONTRACT)
        sound = [steps for steps in episodes if not steps[-1].rejected]
        assert as_bytes(read(tmp_path / "back.sqlite")) == as_bytes(sound, shared_session)
        assert (tmp_path / "pulled/README.md").is_file()

    def test_whom_the_hub_does_not_know_it_tells_so(
        self, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        export_dataset(store, tmp_path / "dataset", LeRobotExportSettings())
        with local_hub(tmp_path / "hub", monkeypatch):
            monkeypatch.setenv("HF_TOKEN", "hf_of_another")
            with pytest.raises(ExchangeRefused, match=r"not uploaded to somebody/lift: .*401.*hf auth login"):
                push_dataset(tmp_path / "dataset", "somebody/lift")


@pytest.mark.slow
class TestOffline:
    @pytest.fixture(autouse=True)
    def _offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    def test_true_sessions_never_leave_this_machine(self, dataset: Path) -> None:
        with pytest.raises(ExchangeRefused, match="without keep_sessions"):
            push_dataset(dataset, "somebody/dataset")

    def test_without_a_network_a_push_says_so(self, store: Path, tmp_path: Path) -> None:
        export_dataset(store, tmp_path / "dataset", LeRobotExportSettings())
        with pytest.raises(ExchangeRefused, match=r"not uploaded to somebody/dataset: .*offline"):
            push_dataset(tmp_path / "dataset", "somebody/dataset")

    def test_without_a_network_a_pull_says_so_and_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(ExchangeRefused, match="somebody/dataset: not downloaded"):
            pull_dataset("somebody/dataset", tmp_path / "dataset")
        assert not list(tmp_path.iterdir())


def load(folder: Path) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    return LeRobotDataset("local/dataset", root=folder, video_backend="pyav")


def stopping(ids: Any) -> Iterator[int]:
    yield ids[0]
    raise KeyboardInterrupt


def altered(dataset: Path, tmp_path: Path, change: Any) -> Path:
    """A copy with another meta/info.json."""
    copy = Path(shutil.copytree(dataset, tmp_path / "altered"))
    info = json.loads((copy / "meta/info.json").read_text())
    change(info)
    (copy / "meta/info.json").write_text(json.dumps(info))
    return copy


def stamp_of(info: dict[str, Any]) -> dict[str, Any]:
    stamp: dict[str, Any] = info["features"]["action"]["info"]["nudge"]
    return stamp
