"""The learner benchmark: our side learns, LeRobot's is built unmodified, and the figures are complete."""

from __future__ import annotations

import functools
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import torch

from bench.learner import Settings, build, figures
from bench.nudge_learner import build_trainer
from bench.turns import BenchError, Side

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "ours_updates_per_s",
    "lerobot_updates_per_s",
    "ratio",
    "paper_updates_per_s",
    "paper_ratio",
    "batch",
    "threads",
}
SMALL = Settings(batch=8, cameras=1, preset="fast", threads=1)

needs_lerobot_rl = pytest.mark.skipif(
    importlib.util.find_spec("datasets") is None,
    reason="LeRobot's rl modules need the extra lerobot[dataset]; `make` installs it",
)


class TestOurSide:
    @pytest.fixture(autouse=True)
    def _arithmetic_is_restored(self) -> Iterator[None]:
        """Building sets process-wide arithmetic, which other tests must not inherit."""
        precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_float32_matmul_precision(precision)
        torch.set_flush_denormal(False)
        torch.set_num_threads(threads)

    def test_an_update_samples_and_learns(self) -> None:
        with closing(build_trainer("fast", batch_size=8, cameras=1, seed=0, transitions=60, threads=1)) as ours:
            before = [p.detach().clone() for p in ours.sac.critic.parameters()]
            for _ in range(3):
                ours.update()
            changed = [not torch.equal(a, b) for a, b in zip(before, ours.sac.critic.parameters(), strict=True)]
        assert ours.sac.updates == 3
        assert all(changed)

    def test_a_fast_transition_takes_16_kb_with_two_cameras(self) -> None:
        # 2 cameras * 4 views * 64 channels * 4 * 4 cells * 2 bytes = 16384; (13 + 4) * 4 bytes = 68; reward, next,
        # session, episode, step of 4 bytes, and four flags: 24
        with closing(build_trainer("fast", batch_size=8, cameras=2, seed=0, transitions=60, threads=1)) as ours:
            assert ours.replay_bytes_per_transition == 16384 + 68 + 24


class TestSides:
    def test_a_side_takes_turns_in_its_own_process_and_the_figures_are_complete(self) -> None:
        with closing(Side("ours", functools.partial(build, "fast", SMALL), threads=1, turn_s=0.1)) as side:
            side.turn()
            side.turn()
        assert side.turns == 2
        found = json.loads(json.dumps(figures({"fast": side}, SMALL, load=0.25)))
        assert found.keys() >= KEYS
        assert found["ours_updates_per_s"] == pytest.approx(1 / side.update_s)
        assert found["lerobot_updates_per_s"] is None
        assert found["ratio"] is None
        assert found["sides"]["fast"]["encode_s_per_step"] > 0
        # torch and a network of 4.9 million parameters; the machine's whole memory would be a mistake in the unit
        assert 100e6 < found["sides"]["fast"]["peak_ram_bytes"] < 20e9
        assert found["threads"] == {"fast": 1}
        assert found["machine"].keys() == {"cpu", "cores", "load_before", "torch"}

    def test_a_side_that_cannot_be_built_is_named(self) -> None:
        no_cameras = Settings(batch=8, cameras=0)
        with pytest.raises(BenchError, match="ours: its process ended unasked"):
            Side("ours", functools.partial(build, "fast", no_cameras), threads=1)


class TestLeRobotSide:
    @needs_lerobot_rl
    @pytest.mark.parametrize("prefetch", [False, True])
    def test_its_trainer_is_built_with_a_resnet10_of_full_width(self, prefetch: bool) -> None:
        from bench.lerobot_learner import build_trainer as build_lerobot

        with closing(build_lerobot(batch_size=8, cameras=2, seed=0, transitions=16, prefetch=prefetch)) as peer:
            assert peer.encoder_map == (512, 4, 4)
            # float32, next states by reference: 2 frames * 128 * 128 * 3 * 4 = 393216; (13 + 4 + 1) * 4 = 72; 2 flags
            assert peer.replay_bytes_per_transition == 393216 + 72 + 2

    @needs_lerobot_rl
    @pytest.mark.slow
    def test_the_command_ends_with_one_json_object(self) -> None:
        command = [sys.executable, str(ROOT / "bench/learner.py"), "--json", "--seconds=0", "--batch=8", "--cameras=1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        assert found.keys() >= KEYS
        assert found["rounds"] == 3
        assert found["ratio"] == pytest.approx(found["ours_updates_per_s"] / found["lerobot_updates_per_s"])
