"""Replay against a naive one that keeps episodes as lists: n-step returns, ends, interleaving, sources, restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from encoded import LAYOUT, episode, histories
from learner.columns import ReplayError
from learner.device_rows import DeviceMemory
from learner.replay import Batch, EncodedStep, Replay, ReplayLayout
from learner.views import StoredViews
from policy.experience import Source

GAMMA = 0.9


@dataclass
class Naive:
    """Episodes as lists; every question is answered by walking them."""

    episodes: dict[tuple[str, int], list[EncodedStep]] = field(default_factory=dict)

    def add(self, step: EncodedStep) -> None:
        self.episodes.setdefault((step.id.session, step.id.episode), []).append(step)

    def transitions(self, n_step: int) -> dict[float, tuple[float, float, float, float, Source]]:
        """observation number -> (next number, return, discount or 0, gripper changes, source)."""
        found = {}
        for steps in self.episodes.values():
            if steps[-1].rejected:
                continue
            changes, side = [], 0
            for step in steps:
                now = round(float(step.action[-1]))
                changes.append(float(now not in (0, side)))
                side = now or side
            for start in range(len(steps)):
                if start == len(steps) - 1 and steps[start].final is None:
                    continue  # no successor yet
                if steps[start].source is Source.DEMO and not steps[start].reward and not steps[start].action.any():
                    continue  # the hand rests
                reward = discounted_changes = 0.0
                factor, at = 1.0, start
                for k in range(start, min(start + n_step, len(steps))):
                    if k == len(steps) - 1 and steps[k].final is None:
                        break
                    reward += factor * steps[k].reward
                    discounted_changes += factor * changes[k]
                    factor *= GAMMA
                    at = k
                final = steps[at].final
                following = steps[at + 1].observation if final is None else final
                bootstrap = 0.0 if steps[at].terminated else factor
                number = float(steps[start].observation.proprioception[0])
                following_number = float(following.proprioception[0])
                found[number] = (following_number, reward, bootstrap, discounted_changes, steps[start].source)
        return found


def drawn(replay: Replay, n_step: int) -> dict[float, tuple[float, float, float, float]]:
    """Every transition that a long row of draws shows, by observation number."""
    found: dict[float, tuple[float, float, float, float]] = {}
    rng = np.random.default_rng(0)
    for _ in range(6):
        batch = replay.sample(128, 0.5, n_step, GAMMA, rng)
        number, following = batch.proprioception[:, 0], batch.next_proprioception[:, 0]
        torch.testing.assert_close(batch.action[:, 0], number / 1000)
        for maps, body in ((batch.maps, number), (batch.next_maps, following)):
            for camera in range(2):
                offset = maps[camera].float().flatten(1) - body[:, None] - camera / 8
                assert (offset == offset[:, :1]).all()
                assert set(offset.unique().tolist()) <= {0.0, 0.25, 0.5}  # one of the three views
        values = zip(following.tolist(), batch.reward.tolist(), batch.discount.tolist(), strict=True)
        rows = zip(number.tolist(), values, batch.gripper_changes.tolist(), strict=True)
        found |= {number: (*value, changes) for number, value, changes in rows}
    return found


def fill(folder: Path, steps: Sequence[EncodedStep], slots: int = 4) -> Replay:
    replay = Replay(folder, LAYOUT, {"encoder": "a"}, slots)
    for step in steps:
        replay.add(step)
    return replay


class TestAgainstANaiveReplay:
    @given(steps=histories(), n_step=st.integers(1, 4))
    @settings(max_examples=60, deadline=None)
    def test_transitions_are_the_same(self, steps: list[EncodedStep], n_step: int) -> None:
        naive = Naive()
        for step in steps:
            naive.add(step)
        expected = naive.transitions(n_step)
        with TemporaryDirectory() as folder:
            replay = fill(Path(folder), steps)
            assert len(replay) == len(expected)
            sources = [source for *_, source in expected.values()]
            assert replay.demo_transitions == sum(s in (Source.DEMO, Source.HUMAN) for s in sources)
            assert replay.online_transitions == sum(s is not Source.DEMO for s in sources)
            if not expected:
                with pytest.raises(ReplayError, match="nothing to draw"):
                    replay.sample(4, 0.5, n_step, GAMMA, np.random.default_rng(0))
                return
            for number, values in drawn(replay, n_step).items():
                assert values == pytest.approx(expected[number][:4], abs=1e-5)

    @given(steps=histories(), cut=st.integers(0, 12), unsaved=st.integers(0, 5))
    @settings(max_examples=40, deadline=None)
    def test_a_reopened_replay_goes_on_as_if_nothing_had_happened(
        self, steps: list[EncodedStep], cut: int, unsaved: int
    ) -> None:
        cut = min(cut, len(steps))
        with TemporaryDirectory() as first, TemporaryDirectory() as second:
            whole = fill(Path(first), steps)
            before = fill(Path(second), steps[:cut])
            before.save()
            for step in steps[cut : cut + unsaved]:  # added, but the process died before the next save
                before.add(step)
            again = Replay(Path(second), LAYOUT, {"encoder": "a"}, 4)
            assert again.cursor == (steps[cut - 1].cursor if cut else 0)
            assert again.steps == cut
            for step in steps[cut:]:
                again.add(step)
            assert (len(again), again.demo_transitions) == (len(whole), whole.demo_transitions)
            if len(whole):
                a = whole.sample(16, 0.5, 3, GAMMA, np.random.default_rng(1))
                b = again.sample(16, 0.5, 3, GAMMA, np.random.default_rng(1))
                assert torch.equal(a.next_maps, b.next_maps)
                assert torch.equal(a.reward, b.reward)


class TestByHand:
    def test_three_step_returns_of_a_terminated_episode(self, tmp_path: Path) -> None:
        # Rewards 0, 0, 0, 1 and termination. From step 0: 0 + 0 + 0, bootstrap .9^3 from step 3. From step 1:
        # .81 * 1, nothing bootstrapped; step 2: .9; step 3: 1.
        found = drawn(fill(tmp_path, episode(4, Source.DEMO)), 3)
        assert found[0.0] == pytest.approx((6.0, 0.0, 0.729, 0.0))
        assert found[2.0] == pytest.approx((7.0, 0.81, 0.0, 0.0))
        assert found[4.0] == pytest.approx((7.0, 0.9, 0.0, 0.0))
        assert found[6.0] == pytest.approx((7.0, 1.0, 0.0, 0.0))

    def test_a_truncated_episode_bootstraps_from_its_final_observation(self, tmp_path: Path) -> None:
        found = drawn(fill(tmp_path, episode(2, Source.POLICY, terminated=False)), 3)
        assert found[0.0] == pytest.approx((3.0, 0.9, 0.81, 0.0))  # two steps were left: .9^2
        assert found[2.0] == pytest.approx((3.0, 1.0, 0.9, 0.0))

    def test_a_batch_is_half_demo_and_demos_alone_before_online_data(self, tmp_path: Path) -> None:
        replay = fill(tmp_path, episode(4, Source.DEMO))
        assert replay.sample(10, 0.5, 1, GAMMA, np.random.default_rng(0)).demo == 10
        for step in episode(4, Source.POLICY, first=10):
            replay.add(step)
        batch = replay.sample(10, 0.5, 1, GAMMA, np.random.default_rng(0))
        assert batch.demo == 5
        assert (batch.proprioception[:5, 0] < 20).all()
        assert (batch.proprioception[5:, 0] >= 20).all()

    def test_a_lost_step_breaks_the_chain(self, tmp_path: Path) -> None:
        steps = episode(5, Source.DEMO)
        del steps[2]  # 0, 1, 3, 4: the step before the gap has no successor
        replay = fill(tmp_path, steps)
        assert set(drawn(replay, 3)) == {0.0, 6.0, 8.0}
        assert drawn(replay, 3)[0.0] == pytest.approx((2.0, 0.0, 0.9, 0.0))  # one step only, up to the gap

    def test_a_hand_that_rests_in_a_demonstration_teaches_nothing_but_its_success(self, tmp_path: Path) -> None:
        steps = [replace(step, action=np.zeros(4, np.float32)) for step in episode(3, Source.DEMO)]
        steps[0] = replace(steps[0], action=np.array([0, 0.002, 0, 0], np.float32))
        # Step 0 moves 0.04 mm, steps 1 and 2 nothing; step 2 earns the reward. Step 0 looks ahead across step 1.
        replay = fill(tmp_path, steps)
        assert len(replay) == 2
        batch = replay.sample(64, 0.5, 3, GAMMA, np.random.default_rng(0))
        assert batch.demo == 64
        found = dict(zip(batch.proprioception[:, 0].tolist(), batch.reward.tolist(), strict=True))
        assert found == {0.0: pytest.approx(0.81), 4.0: pytest.approx(1.0)}

    def test_growing_keeps_everything(self, tmp_path: Path) -> None:
        replay = Replay(tmp_path, LAYOUT, {}, 2)
        for index in range(20):
            for step in episode(3, Source.DEMO, first=4 * index):
                replay.add(step)
        found = drawn(replay, 1)
        assert len(replay) == 60
        assert len(found) > 55  # of 768 draws
        assert found[80.0] == pytest.approx((82.0, 0.0, 0.9, 0.0))

    def test_another_key_starts_afresh(self, tmp_path: Path) -> None:
        fill(tmp_path, episode(4, Source.DEMO)).save()
        assert len(Replay(tmp_path, LAYOUT, {"encoder": "a"})) == 4
        assert len(Replay(tmp_path, LAYOUT, {"encoder": "b"})) == 0
        assert len(Replay(tmp_path, LAYOUT, {"encoder": "a"})) == 0  # the files of "a" are gone

    def test_steps_out_of_order_and_misshapen_maps_are_refused(self, tmp_path: Path) -> None:
        replay = fill(tmp_path, episode(4, Source.DEMO))
        with pytest.raises(ReplayError, match="got cursor 1 after 4"):
            replay.add(episode(1, Source.DEMO)[0])
        other = Replay(tmp_path / "other", ReplayLayout(StoredViews((1, 1, 1, 2, 2)), 2, 4), {})
        with pytest.raises(ReplayError, match="this replay holds"):
            other.add(episode(1, Source.DEMO)[0])


CPU = torch.device("cpu")


def fields(batch: Batch) -> list[torch.Tensor]:
    return [getattr(batch, name).clone() for name in Batch.__dataclass_fields__ if name != "demo"]


class TestDeviceMemory:
    """Rows that are copied to a device, here to the memory of the host."""

    @given(steps=histories(), cut=st.integers(0, 12))
    @settings(max_examples=8, deadline=None)
    def test_batches_are_the_same_as_from_the_memory_map(self, steps: list[EncodedStep], cut: int) -> None:
        memory = DeviceMemory(CPU, 1e-5)  # 10,000 bytes: 208 rows of 2 * 3 * 4 halves
        with TemporaryDirectory() as first, TemporaryDirectory() as second:
            mapped = fill(Path(first), steps)
            before = Replay(Path(second), LAYOUT, {}, 4, memory)
            for step in steps[:cut]:
                before.add(step)
            before.save()
            copied = Replay(Path(second), LAYOUT, {}, 4, memory)
            for step in steps[cut:]:
                copied.add(step)
            if len(mapped) == 0:
                return
            a = mapped.sample(64, 0.5, 3, GAMMA, np.random.default_rng(1))
            b = copied.sample(64, 0.5, 3, GAMMA, np.random.default_rng(1))
            assert all(map(torch.equal, fields(a), fields(b)))

    def test_it_draws_from_the_copy(self, tmp_path: Path) -> None:
        replay = Replay(tmp_path, LAYOUT, {}, 4, DeviceMemory(CPU, 1e-5))
        for step in episode(4, Source.DEMO):
            replay.add(step)
        replay._columns.arrays["maps"][:] = 0
        assert (replay.sample(8, 0.5, 1, GAMMA, np.random.default_rng(0)).next_maps > 0).all()

    def test_what_does_not_fit_is_named_before_it_is_taken(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        memory = DeviceMemory(CPU, 4.8e-7)  # 480 bytes: 10 rows of 48
        replay = Replay(tmp_path, LAYOUT, {}, 4, memory)
        for step in episode(8, Source.DEMO):
            replay.add(step)
        assert "9 of the 10 observations" in caplog.text
        extra = episode(1, Source.DEMO, first=20)[0]
        with pytest.raises(ReplayError, match=r"11 observations, but 4.8e-07 GB of cpu hold 10; raise trainer"):
            replay.add(extra)
        assert (replay.steps, len(replay)) == (8, 8)
        replay.save()
        with pytest.raises(ReplayError, match="hold 6"):
            Replay(tmp_path, LAYOUT, {}, 4, DeviceMemory(CPU, 3e-7))
        again = Replay(tmp_path, LAYOUT, {}, 4)
        again.add(extra)
        assert len(again) == 9

    def test_memory_that_cannot_be_had_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ReplayError, match=r"1000000000.0 GB of cpu cannot be had .*lower trainer.replay_device_gb"):
            Replay(tmp_path, LAYOUT, {}, 4, DeviceMemory(CPU, 1e9))
