"""What each rule of the coach is about: why it matters, who says so, what to do. Figures of a run stand elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.coach.advice import Source

PAPER = Source(
    text="HIL-SERL, Luo et al. 2024, on human interventions and training details",
    url="https://arxiv.org/abs/2410.21845",
)
GUIDE = Source(text="HIL-SERL's own code and its guide for operators", url="https://github.com/rail-berkeley/hil-serl")
RLPD = Source(text="RLPD, Ball et al. 2023", url="https://arxiv.org/abs/2302.02948")
SAC = Source(text="Soft actor-critic with a held entropy, Haarnoja et al. 2018", url="https://arxiv.org/abs/1812.05905")
HEALTH = Source(text="Checkpoints, rollback and health", url="docs/checkpoints.md")
CAMERAS = Source(text="Cameras: what drifts, and what to lock", url="docs/cameras.md")
CLASSIFIER = Source(text="The reward classifier", url="docs/classifier.md")
SAFETY = Source(text="Safety: what the guard does to an action", url="docs/safety.md")
DEMOS = Source(text="Recording demonstrations", url="docs/recording.md")
RESULTS = Source(text="What habits of the operator cost", url="docs/results.md#what-do-habits-of-the-operator-cost")
EVALUATION = Source(text="Evaluation", url="docs/evaluation.md")


@dataclass(frozen=True, slots=True)
class Rule:
    """title: the finding in words; why: why it matters; do: what to do about it."""

    title: str
    why: str
    sources: tuple[Source, ...]
    do: str


RULES: Mapping[str, Rule] = {
    "lead_first": Rule(
        "You could lead more at first",
        "Your way on from where the policy has got to is what it lacks most in the beginning. In simulation a policy "
        "learned better with a hand that led the first episodes to their end, ever fewer of them.",
        (RESULTS,),
        "Let the policy begin, for a second at most, then lead the arm to the end of the task: in nearly every episode "
        "at first, in half of them around the 60th, in none after the 120th.",
    ),
    "explore_first": Rule(
        "You help before the policy has tried",
        "Only what the policy does by itself shows the critics where it goes wrong; what it is never let to try, it "
        "never learns. HIL-SERL lets it explore 20 to 30 steps before a hand helps.",
        (GUIDE,),
        "Keep your hands off for the first 20 to 30 steps of each episode, unless something would break.",
    ),
    "brief_takeovers": Rule(
        "Takeovers are long",
        "Long, rare takeovers that carry the task to its end make the critics overestimate whatever the policy did "
        "before them, above all early in training, and training becomes unstable.",
        (PAPER,),
        "Nudge: bring the arm back to where the policy can go on, a second or less, release, and take over again if it "
        "fails anew. Brief and frequent.",
    ),
    "finished_by_hand": Rule(
        "Your hand finishes the task",
        "The reward then follows your actions, never the policy's: the last part of the task is not practised, and its "
        "value is overestimated.",
        (PAPER,),
        "Release before the end, and let the policy grasp or lift by itself, even if it fails at first.",
    ),
    "reward_too_rare": Rule(
        "Too few episodes end with reward",
        "The reward is paid once, at success: without it a whole episode teaches the critics nothing but zeros. "
        "HIL-SERL helps so much that at least every third episode is rewarded.",
        (GUIDE, PAPER),
        "Help more: in the first hundred episodes lead the arm to the end of the task, ever more rarely; later lead it "
        "to where the policy can succeed, then release. If it still needs you to the end, record more demonstrations, "
        "or make the field smaller first (task.field_x_m, task.field_y_m).",
    ),
    "weak_cells": Rule(
        "Some places are weaker than the rest",
        "A good average hides a corner that is never reached; experience from there is what the policy lacks.",
        (EVALUATION, PAPER),
        "Place the cube there more often for the next twenty episodes, and help there. If it does not come, look at "
        "what the wrist camera sees from there, and whether the arm reaches it (`nudge workspace`).",
    ),
    "help_not_falling": Rule(
        "You help as much as at the beginning",
        "The share of steps by the operator falls as the policy learns, in all of HIL-SERL's runs; where it does not, "
        "the policy is being driven, not taught.",
        (PAPER,),
        "Help less and more briefly; let it fail now and then. Look at the reward (is success told truly?) and at the "
        "weak places. If that is right, record ten more demonstrations.",
    ),
    "value_above_bound": Rule(
        "Values are above what the reward allows",
        "The reward is paid once, so no return is larger than it: a Q above is overestimation, and the policy climbs "
        "it.",
        (RLPD, PAPER, HEALTH),
        "More critics (learner.sac.critics 10, target_subset 2), or a lower critic_lr or tau; shorter takeovers; and "
        "look whether success is told once, at the end.",
    ),
    "entropy_collapse": Rule(
        "The policy has lost its randomness",
        "It tries nothing new any more: what it does wrong it goes on doing.",
        (SAC, HEALTH),
        "Set learner.sac.temperature_min or a higher temperature_lr, and go back to a checkpoint of before: "
        "`nudge checkpoint rollback --to best`.",
    ),
    "clipped_actions": Rule(
        "The guard clips many actions",
        "The arm then does something else than what the policy chose, and cannot learn what its choice would have "
        "done.",
        (SAFETY,),
        "Widen the box or the leash where it is clipped (`nudge workspace` shows what the demonstrations used), or "
        "lower the action's scale.",
    ),
    "camera_drift": Rule(
        "The cameras no longer see what they saw in the demonstrations",
        "The frozen encoder gives other features for the same place; a lamp alone has halved success.",
        (CAMERAS,),
        "Put light and cameras back as they were, by the contact sheet of the demonstrations, and lock exposure and "
        "white balance. Do not train on: the new pictures are learned, too.",
    ),
    "judge_disagrees": Rule(
        "The classifier and your key disagree",
        "A classifier that pays for failures is what the policy learns to please.",
        (CLASSIFIER, PAPER),
        "Label the episodes in which you disagreed, train it anew (`nudge classifier train`), and raise its threshold "
        "if it is success that it sees too often.",
    ),
    "stale_weights": Rule(
        "The arm acts with old weights",
        "Experience then shows mistakes that the newest policy no longer makes, and progress is not seen.",
        (GUIDE,),
        "Look at the link's line in the actor's terminal and at the learner's updates a second; lower "
        "learner.trainer.publish_every_updates if it publishes too rarely.",
    ),
    "utd_starved": Rule(
        "The learner cannot keep up",
        "HIL-SERL's speed comes from several updates for each step; with fewer, an hour of your time is half used.",
        (RLPD, HEALTH),
        "Give the learner a faster machine or a GPU (learner.trainer.device), or lower learner.sac.batch_size or "
        "learner.trainer.utd to what it can hold.",
    ),
    "few_demos": Rule(
        "Few demonstrations",
        "Half of each batch comes from them and from your takeovers; with a handful, the policy sees the same places "
        "again and again. HIL-SERL records 20 to 30.",
        (GUIDE, RLPD, DEMOS),
        "Record more, spread over the whole field: `nudge record`, and name the set in demo_sets.",
    ),
    "slow_demos": Rule(
        "Demonstrations are much slower than they need to be",
        "With each step the discount takes a part of the reward away: at the beginning of a slow demonstration hardly "
        "any is left, and the policy imitates the hesitation.",
        (GUIDE, DEMOS),
        "Record some more briskly, without rests, and leave out the slowest ones: `nudge demos check` names those "
        "that rest.",
    ),
    "collapse": Rule(
        "Success was higher, and has fallen",
        "A run that peaks and then declines seldom comes back by itself; its best policy is still on the disk.",
        (HEALTH,),
        "Stop the learner, `nudge eval --evaluation.checkpoint all` if they were not evaluated, then "
        "`nudge checkpoint rollback --to best`.",
    ),
}
