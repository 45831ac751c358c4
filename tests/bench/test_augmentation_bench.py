"""The augmentation benchmark on a small store: complete figures, held-out episodes that nothing was learned from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from bench.augmentation import REFERENCE, Settings, measure, table
from bench.interval import mean_interval
from bench.offline import OfflineError, read_experience
from learner.store import ExperienceStore
from policy.encoder import ResNet10Shape, random_encoder
from policy.experience import Source
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3, size_px=32)
LENGTH = 4


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten demonstrations and ten episodes of the policy, of 4 steps each."""
    path, rng = tmp_path_factory.mktemp("store") / "experience.sqlite", np.random.default_rng(0)
    with ExperienceStore(path, CONTRACT) as store:
        for index in range(20):
            source = Source.DEMO if index < 10 else Source.POLICY
            episode = fake_episode(CONTRACT, LENGTH, rng, episode=index, source=source)
            store.append([pack_step(step) for step in episode])
    return path


class TestExperience:
    def test_every_fifth_episode_of_each_kind_is_held_out(self, path: Path) -> None:
        experience = read_experience(path, 1000)
        learned, held_out = ({s.id.episode for s in part.steps} for part in (experience.learned, experience.held_out))
        assert held_out == {0, 5, 10, 15}
        assert learned == set(range(20)) - held_out

    def test_with_less_room_all_demonstrations_stay_and_the_rest_is_thinned_evenly(self, path: Path) -> None:
        # 8 demonstrations of 4 steps leave room for 16: four of the eight other episodes, the first and the last too.
        learned = {step.id.episode for step in read_experience(path, 48).learned.steps}
        assert learned >= {1, 2, 3, 4, 6, 7, 8, 9, 11, 19}
        assert len(learned) == 8 + 4

    def test_a_store_without_episodes_of_the_policy_is_refused(self, tmp_path: Path) -> None:
        small = tmp_path / "experience.sqlite"
        with ExperienceStore(small, CONTRACT) as store:
            for index in range(2):
                episode = fake_episode(CONTRACT, 2, np.random.default_rng(0), episode=index)
                store.append([pack_step(step) for step in episode])
        with pytest.raises(OfflineError, match="2 demonstrations and 0 other episodes"):
            read_experience(small, 100)


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_all_modes_are_trained_and_begin_alike(path: Path) -> None:
    settings = Settings(
        store=path, views=(1, 2), seeds=2, updates=4, every=2, batch=4, transitions=1000, examined=8, evaluated=False
    )
    encoder = random_encoder(0, ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 64)))
    measured = measure(settings, encoder, Console(quiet=True))
    modes = measured["modes"]
    assert list(modes) == ["1 stored", "2 stored", REFERENCE]
    for mode in modes.values():
        assert [point["updates"] for point in mode["curve"]] == [0, 2, 4]
        assert mode["curve"][0] == modes[REFERENCE]["curve"][0]
        assert mode["curve"][-1]["bc_error centre"].mean > 0
        assert mode["update_s"] > 0
    assert modes["2 stored"]["bytes_per_observation"] > modes["1 stored"]["bytes_per_observation"]
    assert modes[REFERENCE]["last_minus_on_the_fly"]["td_error shifted"] == (0, 0, 0)
    assert table(measured).row_count == 3


def test_the_interval_of_three_values() -> None:
    # 1, 2, 6: mean 3, variance (4 + 1 + 9) / 2 = 7, half width 4.303 * sqrt(7 / 3) = 6.573
    assert mean_interval([1, 2, 6]) == pytest.approx((3, 3 - 6.573, 3 + 6.573), abs=1e-3)
