"""Health: what the reward bounds, where healthy training lies, and one message when something begins or ends."""

from __future__ import annotations

import logging
import math

import pytest
import torch

from learner.batch import Batch
from learner.health import CHECKS, FLAG, Finding, HealthWatch, find, grasp_q_bounds, q_bounds
from learner.sac import METRICS_EVERY, Sac
from learner.settings import LearnerSettings
from policy.fakes import fake_contract
from policy.network import EncoderIdentity, PolicySpec
from policy.settings import NetworkSettings

FAST = LearnerSettings.model_validate({"sac": {"reward_scale": 10.0, "target_entropy": -2.0, "discount": 0.97}})
# A reading in the middle of a run that learned to grasp and lift.
HEALTHY = {
    "q_mean": 5.9,
    "q_min": -0.3,
    "q_max": 10.2,
    "entropy": -2.4,
    "temperature": 0.004,
    "critic_gradient_norm": 3.0,
    "actor_gradient_norm": 0.5,
    "recent_utd": 3.9,
    "steps_behind": 41.0,
}


def settings(**sac: object) -> LearnerSettings:
    return LearnerSettings.model_validate({"sac": sac})


def findings(values: dict[str, float], of: LearnerSettings = FAST, **usual: float) -> list[Finding]:
    return find(HEALTHY | values, of, 4, usual)


class TestFindings:
    def test_a_healthy_reading_has_none(self) -> None:
        assert findings({}) == []
        assert find({}, FAST, 4) == []

    @pytest.mark.parametrize(
        ("name", "values", "seen", "bound"),
        [
            ("q_above_bound", {"q_mean": 10.01}, "q_mean 10.01", "at most 10"),
            ("q_above_bound", {"q_max": 11.2}, "q_max 11.2", "at most 11"),
            ("q_above_bound", {"grasp_q": 10.5}, "grasp_q 10.5", "at most 10"),
            ("q_below_bound", {"q_mean": -1.2}, "q_mean -1.2", "at least -1"),
            ("q_below_bound", {"q_min": -3.2}, "q_min -3.2", "at least -3"),
            # -0.02 * 10 / (1 - 0.97) = -6.667
            ("q_below_bound", {"grasp_q": -6.7}, "grasp_q -6.7", "at least -6.667"),
            ("entropy_collapsed", {"entropy": -4.1}, "entropy -4.1", "at least -4"),
            ("temperature_low", {"temperature": 9e-5}, "temperature 9e-05", "at least 0.0001"),
            ("temperature_high", {"temperature": 1.1}, "temperature 1.1", "at most 1"),
            ("gradient_not_finite", {"actor_gradient_norm": math.inf}, "actor_gradient_norm inf", "a number"),
            ("utd_starved", {"recent_utd": 3.1, "steps_behind": 101}, "recent_utd 3.1", "at least 3.2"),
        ],
    )
    def test_each_names_what_was_seen_the_bound_and_a_cure(
        self, name: str, values: dict[str, float], seen: str, bound: str
    ) -> None:
        (found,) = findings(values)
        assert (found.name, found.seen) == (name, seen)
        assert found.bound.endswith(bound)
        assert str(found) == f"{CHECKS[name].title}: {found.seen}, {found.bound}; {CHECKS[name].cure}"

    def test_a_ratio_that_only_follows_a_burst_of_steps_is_none(self) -> None:
        assert findings({"recent_utd": 0.5, "steps_behind": 90}) == []

    def test_a_gradient_explodes_against_what_is_usual(self) -> None:
        assert findings({"critic_gradient_norm": 89.0}, critic_gradient_norm=3.0) == []
        (found,) = findings({"critic_gradient_norm": 91.0}, critic_gradient_norm=3.0)
        assert (found.name, found.bound) == ("gradient_exploding", "expected at most 90")

    def test_the_target_entropy_of_the_paper_follows_from_the_actions(self) -> None:
        # -4 / 2 - 2 = -4 and -3 / 2 - 2 = -3.5
        paper = settings(target_entropy=None)
        assert find({"entropy": -3.6}, paper, 4) == []
        assert [each.name for each in find({"entropy": -3.6}, paper, 3)] == ["entropy_collapsed"]


class TestBounds:
    def test_the_reward_is_paid_once_whatever_the_discount_and_the_steps(self) -> None:
        for sac in ({"discount": 0.99, "n_step": 5}, {"discount": 0.5, "n_step": 1}):
            assert q_bounds(settings(reward_scale=3.0, **sac).sac, {}) == (0.0, 3.0)

    def test_entropy_in_the_backup_widens_them(self) -> None:
        # 0.01 per nat * 2 nat in each of the steps to come: 0.02 * 0.97 / 0.03
        sac = settings(backup_entropy=True, discount=0.97).sac
        assert q_bounds(sac, {"temperature": 0.01, "entropy": 2.0}) == pytest.approx((0.0, 10 + 0.02 * 0.97 / 0.03))
        assert q_bounds(sac, {"temperature": 0.01, "entropy": -2.0}) == pytest.approx((-0.02 * 0.97 / 0.03, 10.0))

    def test_the_grasp_critic_may_pay_in_every_step(self) -> None:
        assert grasp_q_bounds(FAST.sac) == pytest.approx((-0.2 / 0.03, 10.0))


class TestWatch:
    def test_a_finding_is_told_when_it_begins_and_when_it_ends(self, caplog: pytest.LogCaptureFixture) -> None:
        watch = HealthWatch(FAST, 4)
        told = []
        for q_mean in (6.0, 12.0, 13.0, 6.0):
            caplog.clear()
            with caplog.at_level(logging.WARNING):
                flags = watch.judge(HEALTHY | {"q_mean": q_mean})
            assert flags[FLAG + "q_above_bound"] == float(q_mean > 10)
            assert sum(flags.values()) == float(q_mean > 10)
            assert flags.keys() == {FLAG + name for name in CHECKS}
            told.append([record.getMessage() for record in caplog.records])
        begun = f"health: {Finding('q_above_bound', 'q_mean 12', 'expected at most 10')}"
        assert told == [[], [begun], [], ["health: over: Q above what the reward allows"]]

    def test_what_is_usual_is_the_median_of_the_readings_so_far(self) -> None:
        watch, name = HealthWatch(FAST, 4), FLAG + "gradient_exploding"
        for _ in range(9):
            assert watch.judge(HEALTHY | {"critic_gradient_norm": 1.0})[name] == 0.0
        assert watch.judge(HEALTHY | {"critic_gradient_norm": 1000.0})[name] == 0.0  # nine readings do not tell
        assert watch.judge(HEALTHY | {"critic_gradient_norm": 29.0})[name] == 0.0
        assert watch.judge(HEALTHY | {"critic_gradient_norm": 31.0})[name] == 1.0


class TestTheMetrics:
    CONTRACT = fake_contract(cameras=1, proprioception=3)

    def sac(self, **changes: object) -> Sac:
        spec = PolicySpec(
            contract_hash=self.CONTRACT.hash,
            encoder=EncoderIdentity(name="test", sha256="0" * 64, channels=4),
            reduced_channels=None,
            network=NetworkSettings(head_width=4, hidden=(8,)),
        )
        return Sac(spec, self.CONTRACT, settings(batch_size=8, **changes).sac, 0, torch.device("cpu"))

    def batch(self) -> Batch:
        generator = torch.Generator().manual_seed(0)
        return Batch(
            maps=torch.randn(1, 8, 4, 4, 4, generator=generator).half(),
            next_maps=torch.randn(1, 8, 4, 4, 4, generator=generator).half(),
            proprioception=torch.zeros(8, 3),
            next_proprioception=torch.zeros(8, 3),
            action=torch.tanh(torch.randn(8, 4, generator=generator)),
            reward=torch.randn(8, generator=generator),
            discount=torch.full((8,), 0.9),
            gripper_changes=torch.zeros(8),
            demo=4,
        )

    def test_gradient_norms_are_those_of_the_recorded_update(self) -> None:
        sac = self.sac(actor_every=1)
        sac.update(self.batch())
        read = sac.read_metrics()
        networks = {"critic": [*sac.critic.parameters()], "actor": [*sac.policy.parameters(), sac.log_temperature]}
        for name, parameters in networks.items():
            gradients = [p.grad.square().sum() for p in parameters if p.grad is not None]
            assert read[f"{name}_gradient_norm"] == pytest.approx(float(torch.stack(gradients).sum().sqrt()))
            assert read[f"{name}_gradient_norm"] > 0
        assert read["q_min"] < read["q_mean"] < read["q_max"]
        for _ in range(METRICS_EVERY - 1):
            sac.update(self.batch())
        assert sac.read_metrics() == {}  # the others are not recorded

    @pytest.mark.parametrize("least", [0.0, 0.0099])
    def test_the_temperature_falls_to_its_floor_and_no_further(self, least: float) -> None:
        sac = self.sac(actor_every=1, temperature_min=least, temperature_lr=1e-2, target_entropy=-20.0)
        for _ in range(5):
            sac.update(self.batch())
        temperature = float(sac.log_temperature.detach().exp())
        # Adam moves by 1e-2 at each update: 0.01 * exp(-0.05) = 0.009512
        assert temperature == pytest.approx(least or 0.009512, rel=1e-3)
