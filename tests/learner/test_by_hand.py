"""Whole updates by hand: every network says one number whatever it sees, and the noise is zero.

Online critics say 1 and 3, their targets 4 and 2. The actor's mean is 0, its standard deviation 1: each action
dimension adds log N(0; 0, 1) = -log(2 pi)/2 = -0.9189385 to log pi, and tanh'(0) = 1 adds nothing. The grasp critic
says (0, 1, 5), its target (7, 8, -2). gamma is 0.9, and a reward of 1 counts 10.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learner.replay import Batch, EncodedObservation, EncodedStep, Replay, ReplayLayout
from learner.sac import Sac
from learner.settings import SacSettings
from learner.views import StoredViews
from policy.experience import Source, StepId
from policy.fakes import fake_contract
from policy.network import EncoderIdentity, PolicySpec
from policy.settings import NetworkSettings

CONTRACT = fake_contract(cameras=1, proprioception=2)
LAYOUT = ReplayLayout(StoredViews((1, 1, 3, 4, 4)), proprioception=2, action=4)
GAMMA = 0.9


@pytest.fixture(autouse=True)
def no_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.randn", lambda *shape, **_: torch.zeros(*shape))


def say(head: Any, *numbers: float) -> None:
    """The head answers with these, whatever it is asked."""
    with torch.no_grad():
        head.out.weight.zero_()
        head.out.bias.copy_(torch.tensor(numbers).view_as(head.out.bias))


def make_sac(gripper: str = "continuous", **settings: object) -> Sac:
    network = {"head_width": 4, "proprioception_width": 4, "hidden": (8,), "gripper": gripper}
    spec = PolicySpec(
        contract_hash=CONTRACT.hash,
        encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=3),
        reduced_channels=None,
        network=NetworkSettings.model_validate(network),
    )
    plain = {"reward_scale": 10.0, "bc_weight": 0.0, "temperature_init": 0.5, "target_entropy": -2.0}
    sac = Sac(spec, CONTRACT, SacSettings.model_validate(plain | settings), 0, torch.device("cpu"))
    say(sac.critic.ensemble, 1, 3)
    say(sac.critic_target.ensemble, 4, 2)
    say(sac.policy.actor, *[0] * sac.policy.actor.out.bias.numel())
    if sac.grasp_target is not None:
        say(sac.policy.grasp, 0, 1, 5)
        say(sac.grasp_target[0], 7, 8, -2)
    return sac


def make_batch(reward: float = 1.0, discount: float = GAMMA, changes: float = 0.0) -> Batch:
    """Two transitions that differ in their gripper: it closes in one, and opens in the other."""
    return Batch(
        maps=torch.rand(1, 2, 3, 4, 4).half(),
        next_maps=torch.rand(1, 2, 3, 4, 4).half(),
        proprioception=torch.rand(2, 2),
        next_proprioception=torch.rand(2, 2),
        action=torch.tensor([[0.5, 0, 0, -1], [0, 0.5, 0, 1]]),
        reward=torch.full((2,), reward),
        discount=torch.full((2,), discount),
        gripper_changes=torch.full((2,), changes),
        demo=1,
    )


def updated(sac: Sac, batch: Batch) -> dict[str, float]:
    sac.update(batch)
    return sac.read_metrics()


class TestCritic:
    def test_it_learns_the_smaller_of_its_targets(self) -> None:
        sac = make_sac()
        # y = 10 + .9 * min(4, 2) = 11.8; errors -10.8 and -8.8: (116.64 + 77.44) / 2 = 97.04
        assert updated(sac, make_batch())["critic_loss"] == pytest.approx(97.04, rel=1e-5)
        # d/dQ_i of the mean over two critics: 2 * error / 2
        grad = sac.critic.ensemble.out.bias.grad
        assert grad is not None
        torch.testing.assert_close(grad.flatten(), torch.tensor([-10.8, -8.8]), rtol=1e-5, atol=0)

    def test_with_backup_entropy_the_target_is_worth_more_where_the_policy_is_random(self) -> None:
        # log pi = 4 * -.9189385 = -3.675754; y = 10 + .9 * (2 + .5 * 3.675754) = 13.4540893
        # errors -12.4540893 and -10.4540893: (155.1043 + 109.2880) / 2
        loss = updated(make_sac(backup_entropy=True), make_batch())["critic_loss"]
        assert loss == pytest.approx((12.4540893**2 + 10.4540893**2) / 2, rel=1e-5)

    @pytest.mark.parametrize(
        ("terminated", "reward", "loss"),
        [
            # y = 0 + .9 * 2 = 1.8: errors -.8 and 1.2: (.64 + 1.44) / 2
            (False, 0.0, 1.04),
            # y = 10 + 0: errors -9 and -7: (81 + 49) / 2
            (True, 1.0, 65.0),
            # y = 0: (1 + 9) / 2
            (True, 0.0, 5.0),
        ],
    )
    def test_a_time_out_bootstraps_and_an_end_does_not(
        self, tmp_path: Path, terminated: bool, reward: float, loss: float
    ) -> None:
        replay = Replay(tmp_path, LAYOUT, {})
        seen = EncodedObservation(np.zeros(LAYOUT.views.shape, np.float16), np.zeros(2, np.float32))
        action = np.zeros(4, np.float32)
        replay.add(EncodedStep(1, StepId("0" * 32, 0, 0), seen, action, Source.POLICY, reward, terminated, final=seen))
        batch = replay.sample(4, 0.5, 3, GAMMA, np.random.default_rng(0))
        assert updated(make_sac(), batch)["critic_loss"] == pytest.approx(loss, rel=1e-5)


class TestActor:
    def test_it_follows_the_mean_of_the_critics(self) -> None:
        # alpha log pi = .5 * -3.675754 = -1.837877; minus (1 + 3) / 2
        assert updated(make_sac(), make_batch())["actor_loss"] == pytest.approx(-3.837877, rel=1e-5)

    def test_or_the_smallest_when_it_is_told_to(self) -> None:
        # -1.837877 as above; minus the smaller of 1 and 3
        assert updated(make_sac(actor_q="min"), make_batch())["actor_loss"] == pytest.approx(-2.837877, rel=1e-5)


class TestTemperature:
    @pytest.mark.parametrize(
        ("target", "gradient"),
        [
            (-2.0, 2.837877),  # .5 * (3.675754 + 2): too random, alpha falls
            (5.0, -0.662123),  # .5 * (3.675754 - 5): not random enough, alpha rises
        ],
    )
    def test_it_turns_towards_the_target_entropy(self, target: float, gradient: float) -> None:
        sac = make_sac(target_entropy=target)
        entropy = updated(sac, make_batch())["entropy"]
        assert entropy == pytest.approx(3.675754, rel=1e-5)
        assert sac.log_temperature.grad is not None
        assert sac.log_temperature.grad.item() == pytest.approx(gradient, rel=1e-5)
        assert (sac.log_temperature.exp().item() < 0.5) == (gradient > 0)

    def test_a_discrete_gripper_adds_no_entropy(self) -> None:
        # three dimensions remain: 3 * .9189385
        assert updated(make_sac("discrete"), make_batch())["entropy"] == pytest.approx(2.7568155, rel=1e-5)


class TestGraspCritic:
    def test_it_pays_for_a_change_and_asks_the_target_about_its_own_choice(self) -> None:
        sac = make_sac("discrete", gripper_penalty=0.02)
        metrics = updated(sac, make_batch(changes=1.0))
        # It would open (5), which its target thinks is worth -2: y = (1 - .02) * 10 + .9 * -2 = 8.0
        # Closing says 0, opening says 5: ((0 - 8)^2 + (5 - 8)^2) / 2 = (64 + 9) / 2
        assert metrics["grasp_loss"] == pytest.approx(36.5, rel=1e-5)
        # The critics of the other dimensions pay nothing.
        assert metrics["critic_loss"] == pytest.approx(97.04, rel=1e-5)
        # 2 * error / 2 transitions, at closing and at opening
        assert sac.policy.grasp is not None
        grad = sac.policy.grasp.out.bias.grad
        assert grad is not None
        torch.testing.assert_close(grad.flatten(), torch.tensor([-8.0, 0.0, -3.0]), rtol=1e-5, atol=0)

    def test_after_an_end_it_bootstraps_nothing(self) -> None:
        # y = 10 - .2: (9.8^2 + 4.8^2) / 2 = (96.04 + 23.04) / 2
        batch = make_batch(discount=0.0, changes=1.0)
        assert updated(make_sac("discrete"), batch)["grasp_loss"] == pytest.approx(59.54, rel=1e-5)
