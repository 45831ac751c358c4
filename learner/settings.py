"""Settings of the learner. The defaults are the preset `fast`; HIL-SERL's own stand in `configs/paper.yaml`.

What differs from HIL-SERL even there: crops are drawn from K stored views instead of afresh (`features.augmentation`
has theirs), each critic has an output layer of its own (theirs share one), one Adam serves critics and grasp critic,
and the temperature is exp (theirs softplus).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from policy.contract import Frozen
from policy.settings import EncoderSettings, FeatureSettings, NetworkSettings


class SacSettings(Frozen):
    """RLPD on SAC. Rewards are stored as 0 or 1; `reward_scale` is applied in the update only."""

    batch_size: int = Field(default=128, ge=2, description="Transitions per update")
    demo_fraction: float = Field(default=0.5, ge=0, le=1, description="Part of a batch from demos and interventions")
    discount: float = Field(
        default=0.985,
        gt=0,
        lt=1,
        description="gamma, per environment step: with 0.97 it pays to save a step for 3 % more failures",
    )
    n_step: int = Field(default=3, ge=1, description="Rewards summed before bootstrapping")
    critic_lr: float = Field(default=7e-4, gt=0, description="Learning rate of critics and grasp critic (Adam)")
    actor_lr: float = Field(default=7e-4, gt=0, description="Learning rate of the actor (Adam)")
    temperature_lr: float = Field(default=7e-4, gt=0, description="Learning rate of the logarithm of the temperature")
    tau: float = Field(default=0.01, gt=0, le=1, description="Step of the target networks towards the online ones")
    policy_tau: float = Field(
        default=0.005,
        gt=0,
        le=1,
        description="Step of the policy that acts towards the one that is trained, at each update of it: its mean over "
        "some 1 / policy_tau of them, over all of them at first, is steadier; 1 = what is trained acts",
    )
    temperature_init: float = Field(default=0.01, gt=0, description="Temperature at the start")
    temperature_min: float = Field(
        default=0.0, ge=0, description="Temperature is held above this; 0 lets it fall without end"
    )
    target_entropy: float | None = Field(
        default=-3.0, description="Entropy [nat] to hold; None = -action dimensions / 2"
    )
    backup_entropy: bool = Field(default=False, description="Subtract temperature * log pi from the critic's target")
    critics: int = Field(default=2, ge=1, description="Members of the critic ensemble")
    target_subset: int | None = Field(
        default=None, ge=1, description="Members drawn for each target, whose minimum counts (REDQ); None = all"
    )
    actor_q: Literal["mean", "min"] = Field(default="mean", description="What the actor maximises over the ensemble")
    actor_every: int = Field(default=2, ge=1, description="Critic updates per update of actor and temperature")
    reward_scale: float = Field(default=10.0, gt=0, description="Factor on stored rewards; Q is bounded by it")
    gripper_penalty: float = Field(
        default=0.02, ge=0, description="Taken from the grasp critic's reward per gripper change, before reward_scale"
    )
    bc_weight: float = Field(
        default=10.0, ge=0, description="Weight of the squared error to demonstrated actions in the actor's loss"
    )
    bc_half_life_updates: float = Field(default=20_000.0, gt=0, description="Updates after which bc_weight has halved")
    matmul: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="Arithmetic of matrix products; 'auto' = bfloat16 where the processor has it in hardware",
    )
    capture: Literal["auto", "off"] = Field(
        default="auto",
        description="'auto' = on a CUDA or ROCm device updates are recorded as graphs and repeated, which spares their "
        "launches; 'off' = launched one by one",
    )


class TrainerSettings(Frozen):
    """When to train, publish, log and save."""

    demo_episodes: int = Field(default=20, ge=1, description="Complete demo episodes to wait for before training")
    online_steps_before_training: int = Field(default=0, ge=0, description="Steps beside demos to wait for as well")
    utd: float = Field(default=4.0, gt=0, description="Updates per environment step, demos included")
    publish_every_updates: int = Field(default=50, ge=1, description="Updates between two policy snapshots")
    log_every_updates: int = Field(default=200, ge=1, description="Updates between two lines of metrics")
    checkpoint_every_updates: int = Field(default=5_000, ge=1, description="Updates between two checkpoints")
    checkpoints_kept: int = Field(
        default=3, ge=1, description="Newest checkpoints that stay on the disk, besides the best evaluated one"
    )
    replay_initial_slots: int = Field(default=4096, ge=2, description="Observations that replay has room for at first")
    replay_device_gb: float = Field(
        default=8.0,
        ge=0,
        description="Memory for replay's maps on a device other than the CPU [GB], taken at the start, so that no "
        "batch crosses the bus; 0 draws on the host. An observation takes 16 KB with preset fast, 131 KB with paper",
    )
    device: str = Field(default="cpu", description="torch device of the updates: cpu, cuda, cuda:0, ...")
    threads: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto",
        description="torch threads per operation on a processor; 'auto' tries 1, 2, 4, ... now and then, and takes "
        "what is fastest while others use this machine, too. A control loop beside it is steadier with 1",
    )


class HealthSettings(Frozen):
    """From where on something is a finding of `learner.health`. The defaults leave room for what healthy runs do."""

    q_margin: float = Field(default=0.1, ge=0, description="How far the largest Q may leave its bound [reward_scale]")
    q_low_margin: float = Field(
        default=0.3, ge=0, description="The same of the smallest Q; wider, as networks begin anywhere [reward_scale]"
    )
    entropy_margin_nat: float = Field(default=2.0, gt=0, description="Entropy below target_entropy that is a collapse")
    temperature_low: float = Field(default=1e-5, ge=0, description="Temperature that is too low [reward_scale/nat]")
    temperature_high: float = Field(default=0.1, gt=0, description="Temperature that is too high [reward_scale/nat]")
    gradient_factor: float = Field(
        default=30.0, gt=1, description="Gradient norm that is too high, in medians of the last 50 readings"
    )
    utd_share: float = Field(default=0.8, gt=0, le=1, description="Part of the configured ratio that must be reached")
    utd_steps_behind: int = Field(default=100, ge=0, description="Steps behind up to which a low ratio is no finding")


class LearnerSettings(Frozen):
    """Everything that shapes learning. The defaults are the `fast` preset."""

    encoder: EncoderSettings = EncoderSettings()
    features: FeatureSettings = FeatureSettings()
    network: NetworkSettings = NetworkSettings()
    sac: SacSettings = SacSettings()
    trainer: TrainerSettings = TrainerSettings()
    health: HealthSettings = HealthSettings()
