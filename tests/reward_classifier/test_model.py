"""The network, what it is fed, and how it is fitted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray

from judged_episodes import contract, outcome
from policy.encoder import random_encoder
from reward_classifier.augment import relit, views_of
from reward_classifier.errors import TrainingRefused
from reward_classifier.features import Features
from reward_classifier.fit import Teacher
from reward_classifier.frames import FrameTable
from reward_classifier.model import SuccessNetwork, make_spec, new_network
from reward_classifier.settings import FitSettings, ModelSettings, ViewSettings

CONTRACT, ENCODER = contract(), random_encoder(0)
SHAPE = (2, ENCODER.channels, 1, 1)  # 32 px give one cell


def network(**settings: object) -> SuccessNetwork:
    return new_network(make_spec(CONTRACT, ENCODER, ModelSettings.model_validate(settings)), CONTRACT, (0,))


class TestNetwork:
    @pytest.mark.parametrize("proprioception", [True, False])
    def test_every_trainable_tensor_receives_gradient(self, proprioception: bool) -> None:
        trained = network(proprioception=proprioception)
        maps, body = torch.rand(2, 6, *SHAPE[1:]), torch.rand(6, 2)
        assert trained.heads.dropped is not None
        words = torch.randint(-32768, 32768, (*trained.heads.dropped, 6), dtype=torch.int16)
        F.binary_cross_entropy_with_logits(trained(maps, body, words), torch.tensor([0.0, 1, 0, 1, 0, 1])).backward()
        for name, tensor in trained.named_parameters():
            assert tensor.requires_grad, name
            assert tensor.grad is not None and tensor.grad.abs().max() > 0, name  # noqa: PT018  # one per name

    def test_it_looks_through_the_cameras_that_are_named_and_no_other(self) -> None:
        assert network(cameras=("camera1",)).cameras == [1]
        assert network().cameras == [0, 1]
        with pytest.raises(TrainingRefused, match="got side, the contract has camera0, camera1"):
            network(cameras=("side",))

    def test_joints_count_only_where_they_are_asked_for(self) -> None:
        maps = torch.rand(2, 3, *SHAPE[1:])
        for asked in (False, True):
            asks = network(proprioception=asked)
            differ = not torch.equal(asks(maps, torch.zeros(3, 2)), asks(maps, torch.ones(3, 2)))
            assert differ == asked

    def test_the_same_seed_makes_the_same_weights_and_draws_from_nobody(self) -> None:
        torch.manual_seed(5)
        before = torch.rand(1)
        torch.manual_seed(5)
        first, again = network(), network()
        assert torch.equal(torch.rand(1), before)
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


class TestViews:
    FRAME = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)

    def test_the_first_view_is_the_frame_as_it_is_and_the_others_are_not(self) -> None:
        frames = np.stack([self.FRAME, self.FRAME // 2])
        views = views_of(frames, ViewSettings(views=3), np.random.default_rng(0))
        assert views.shape == (2, 3, 16, 16, 3)
        assert np.array_equal(views[:, 0], frames)
        assert not np.array_equal(views[:, 1], frames)

    def test_light_without_spread_changes_nothing(self) -> None:
        steady = ViewSettings(brightness=0, colour=0, gamma=0, saturation=0)
        assert np.array_equal(relit(self.FRAME, steady, np.random.default_rng(0)), self.FRAME)

    def test_a_brighter_lamp_brightens_all_channels_alike(self) -> None:
        grey = np.full((4, 4, 3), 100, np.uint8)
        lamp = ViewSettings(brightness=0.3, colour=0, gamma=0, saturation=0)
        levels = {tuple(relit(grey, lamp, np.random.default_rng(seed))[0, 0].tolist()) for seed in range(30)}
        assert len(levels) > 10
        assert all(len(set(level)) == 1 and 69 <= level[0] <= 130 for level in levels)


def made_up(rng: np.random.Generator, episodes: int = 12, frames: int = 10) -> tuple[FrameTable, Features]:
    """Frames of which some channels say the label, beside noise: every second one is positive."""
    count = episodes * frames
    label = np.arange(count) % 2
    maps = rng.normal(0, 0.1, (count, *SHAPE)).astype(np.float16)
    maps[:, 0, :32] += label[:, None, None, None]
    maps[:, 0, 32:64] += 1 - label[:, None, None, None]
    table = FrameTable(
        outcomes=tuple(outcome(i, frames - 1) for i in range(episodes)),
        digests=tuple(map(str, range(episodes))),
        episode=np.repeat(np.arange(episodes), frames),
        step=np.tile(np.arange(frames), episodes),
        label=label,
        proprioception=np.zeros((count, 2), np.float32),
    )
    return table, Features(maps, maps[:, None], np.arange(count))


def teacher(**settings: object) -> Teacher:
    table, features = made_up(np.random.default_rng(3))
    spec = make_spec(CONTRACT, ENCODER, ModelSettings(spatial_features=2, width=16, hidden=16))
    return Teacher(table, features, spec, CONTRACT, FitSettings.model_validate({"batch_size": 32} | settings))


ALL: NDArray[np.int64] = np.arange(120)


class TestFit:
    def test_it_learns_what_the_frames_say(self) -> None:
        taught = teacher()
        fitted = taught.fit(ALL[:80], ALL[80:100], 60, (0,))
        said = taught.logits(fitted.network, ALL[100:]) > 0
        assert (said == (taught.table.label[100:] == 1)).mean() > 0.9

    def test_the_same_seed_comes_to_the_same_network(self) -> None:
        one, same, other = (teacher().fit(ALL[:80], None, 5, (seed,)) for seed in (1, 1, 2))
        weights = [each.network.out.weight for each in (one, same, other)]
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])
        assert one.updates == 5

    def test_it_stops_when_held_out_frames_get_no_better_and_keeps_the_best(self) -> None:
        taught = teacher(learning_rate=0.3, check_every=1, patience=3)  # too fast to get better for long
        fitted = taught.fit(ALL[:80], ALL[80:], 200, (0,))
        assert fitted.updates < 200
        assert not fitted.network.training
        again = teacher(learning_rate=0.3).fit(ALL[:80], None, fitted.updates, (0,))
        assert torch.equal(again.network.out.weight, fitted.network.out.weight)

    def test_frames_of_other_episodes_teach_nothing(self) -> None:
        whole, wrong = teacher(), teacher()
        wrong.table.label[80:] = 1 - wrong.table.label[80:]
        networks = [each.fit(ALL[:80], None, 5, (0,)).network for each in (whole, wrong)]
        assert torch.equal(networks[0].out.weight, networks[1].out.weight)
