"""Our control loop beside LeRobot's learner: neither waits for the other.

The loop drives as it does for our own learner: the same environment, scripted operator, takeovers and judge. Of
LeRobot's actor it has what `act_with_policy` does: policy, normalisation and `select_action` are theirs, weights are
loaded and transitions sent when an episode has ended, and it keeps to the control rate by the clock, as theirs does in
simulation too. It acts on one thread of torch, where theirs would take all cores: that leaves more to their learner.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess

import numpy as np
import torch
from lerobot.policies import make_policy, make_pre_post_processors
from lerobot.rl.actor import push_transitions_to_transport_queue
from lerobot.rl.algorithms.factory import make_algorithm
from lerobot.rl.queue import get_last_item_from_queue
from lerobot.transport.utils import bytes_to_state_dict
from lerobot.utils.random_utils import set_seed
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from actor.camera_watch import CameraWatch
from actor.judging import ClassifierJudge
from actor.link_state import Pause
from actor.loop import ControlLoop
from actor.shared_maps import SharedMaps
from actor.spool_record import Progress
from actor.timing import LoopTiming
from bench.lerobot_sac import LOG_FILE, Orders, Ways, know_our_encoder, run_learner, training_settings, transitions
from bench.lerobot_wire import observation
from console.arm import opened_arm
from console.judge import open_paying_classifier
from console.operator import opened_operator
from console.report.data import EpisodeSummary
from console.run_folder import TIMING_FILE
from console.settings import Settings
from console.terminal.teller import Teller
from policy.encoder import load_encoder
from policy.errors import NudgeError
from policy.experience import Observation, Source, Step
from robot.safety.emergency import EmergencyStop

START_S = 600.0  # its imports, networks and first weights
LAST_UPDATE_S = 600.0  # the update that is at work when the time is over
SESSION = "0" * 32
UNLIMITED = 10**9  # steps, and seconds between two ticks: the wall clock alone ends the run


class PeerFailed(NudgeError):
    """LeRobot's learner did not come to its end."""


class LeRobotPolicy:
    """LeRobot's policy as its actor builds it. An `ActingPolicy`, and in trials a `Baseline`."""

    def __init__(self, orders: Orders) -> None:
        know_our_encoder()
        settings = training_settings(orders)
        set_seed(settings.seed)
        self._policy = make_policy(cfg=settings.policy, env_cfg=settings.env).eval()
        self._algorithm = make_algorithm(cfg=settings.algorithm, policy=self._policy)
        self._before, self._after = make_pre_post_processors(
            policy_cfg=settings.policy, dataset_stats=settings.policy.dataset_stats
        )

    def load_snapshot(self, data: bytes) -> int:
        """Act with these weights, as their `update_policy_parameters` does; how old they are they do not say."""
        self._algorithm.load_weights(bytes_to_state_dict(data))
        return 0

    def select_action(
        self,
        observation_: Observation,
        exploration: float,
        generator: torch.Generator,  # noqa: ARG002  # theirs draws from torch's own
    ) -> NDArray[np.float32]:
        """See `ActingPolicy`."""
        with torch.no_grad():
            batch = self._before.process_observation(observation(observation_))
            chosen = self._mode(batch) if exploration == 0 else self._policy.select_action(batch=batch)
            continuous = self._after.process_action(chosen[..., :-1])
        return torch.cat([continuous, chosen[..., -1:] - 1], dim=-1)[0].numpy().astype(np.float32)

    def begin(self) -> None:
        """It remembers nothing."""

    def act(self, seen: Observation) -> NDArray[np.float32]:
        """See `Baseline`: without chance."""
        return self.select_action(seen, 0.0, torch.default_generator)

    def _mode(self, batch: dict[str, Tensor]) -> Tensor:
        """Their `select_action` always draws; this is the mode of the same distribution, and the best gripper."""
        features = self._policy.actor.encoder.get_cached_image_features(batch)
        mean = self._policy({"state": batch, "observation_feature": features})["action_mean"]
        gripper = self._policy.discrete_critic(batch, features).argmax(dim=-1, keepdim=True)
        return torch.cat([torch.tanh(mean), gripper], dim=-1)


@dataclass(frozen=True)
class LearningProcess:
    """Their learner, and what leads to and from it. log: where it writes"""

    process: SpawnProcess
    ways: Ways
    log: str

    def first_weights(self) -> bytes:
        """Those that it begins with, once it could begin. Raises `PeerFailed` where it never can."""
        deadline_s = time.monotonic() + START_S
        while not self.ways.ready.wait(0.1):
            self.require_alive()
            if time.monotonic() > deadline_s:
                raise PeerFailed(f"LeRobot's learner: not ready within {START_S:.0f} s; see {self.log}")
        data: bytes = self.ways.parameters.get(timeout=START_S)  # they were pushed before
        return data

    def require_alive(self) -> None:
        """Raises `PeerFailed` once it is gone."""
        if not self.process.is_alive():
            raise PeerFailed(f"LeRobot's learner: ended with status {self.process.exitcode}; see {self.log}")

    def newest_weights(self) -> bytes | None:
        """What has come since the last time; None if nothing has."""
        data: bytes | None = get_last_item_from_queue(self.ways.parameters, block=False)
        return data

    def last_weights(self) -> bytes | None:
        """Let it finish the update that it is at; the newest that were still to come, None if none were."""
        self.ways.stop.set()
        newest, deadline_s = None, time.monotonic() + LAST_UPDATE_S
        while self.process.is_alive():  # it ends only once somebody takes its weights
            newest = self.newest_weights() or newest
            self.process.join(0.05)
            if time.monotonic() > deadline_s:
                raise PeerFailed(f"LeRobot's learner: it did not end within {LAST_UPDATE_S:.0f} s; see {self.log}")
        if self.process.exitcode:
            raise PeerFailed(f"LeRobot's learner: ended with status {self.process.exitcode}; see {self.log}")
        return self.newest_weights() or newest


@contextmanager
def learning_process(orders: Orders) -> Iterator[LearningProcess]:
    """Their learner in a process of its own, gone afterwards."""
    context = multiprocessing.get_context("spawn")
    ways = Ways(context.Event(), context.Event(), context.Queue(), context.Queue(), context.Queue())
    process = context.Process(target=run_learner, args=(orders, ways), daemon=True)
    process.start()
    try:
        yield LearningProcess(process, ways, str(orders.folder / LOG_FILE))
    finally:
        ways.transitions.cancel_join_thread()  # nobody learns from the last ones any more
        process.kill()
        process.join()


class LeRobotLink:
    """The loop's link to their learner (`actor.roles.Link`): their queues, used when and as their actor does."""

    def __init__(self, learning: LearningProcess, first: bytes) -> None:
        self._learning, self._newest = learning, first
        self._version, self._between = 0, True
        self._steps: list[Step] = []
        self.episodes: list[EpisodeSummary] = []

    @property
    def session(self) -> str:
        """The only one."""
        return SESSION

    @property
    def progress(self) -> Progress:
        """It begins with nothing."""
        return Progress()

    @property
    def pause(self) -> Pause | None:
        """Their learner never asks for one."""
        return None

    @property
    def steps_behind(self) -> int:
        """Nobody waits for it."""
        return 0

    @property
    def weights(self) -> bytes:
        """That were loaded last."""
        return self._newest

    def send(self, step: Step) -> None:
        """Kept until the episode has ended, then sent as a whole."""
        self._steps.append(step)
        if step.last:
            push_transitions_to_transport_queue(transitions(self._steps), self._learning.ways.transitions)
            self.episodes.append(_summary(self._steps))
            self._steps, self._between = [], True

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        """Newer weights, between two episodes."""
        if not self._between:
            return None
        self._between = False
        self._learning.require_alive()
        newest = self._learning.newest_weights()
        if newest is None and self._version:
            return None
        self._newest, self._version = newest or self._newest, self._version + 1
        return self._version, self._newest


def _summary(steps: list[Step]) -> EpisodeSummary:
    return EpisodeSummary(
        session=SESSION,
        index=steps[0].id.episode,
        kind="online",
        steps=len(steps),
        human_steps=sum(step.source is Source.HUMAN for step in steps),
        episode_return=sum(step.reward for step in steps),
        complete=True,
        rejected=steps[-1].rejected,
        first_wall_ns=steps[0].wall_ns,
        last_wall_ns=steps[-1].wall_ns,
    )


@dataclass(frozen=True)
class Taught:
    """What came of it. policy: with the last weights"""

    policy: LeRobotPolicy
    episodes: tuple[EpisodeSummary, ...]
    seconds: float


def teach(settings: Settings, orders: Orders, budget_s: float, console: Console) -> Taught:
    """Drive and let them learn for so long, from when their learner has its demonstrations. Raises `PeerFailed`."""
    torch.set_num_threads(1)
    emergency, stop = EmergencyStop(), threading.Event()
    loop = settings.loop.model_copy(
        update={"demo_episodes": 0, "pace": "realtime", "max_env_steps": UNLIMITED, "max_gap_s": float(UNLIMITED)}
    )
    timing = LoopTiming(settings.contract.control_hz)
    with (
        learning_process(orders) as learning,
        opened_operator(settings, settings.seed, emergency, console) as operator,
        opened_arm(settings, settings.seed, emergency) as env,
        Teller(console, person=False) as teller,
    ):
        policy, judge = LeRobotPolicy(orders), _judge(settings, console)
        link = LeRobotLink(learning, learning.first_weights())
        cameras = CameraWatch(orders.folder, settings.contract, settings.arm.drift)
        driving = ControlLoop(
            env, settings.contract, loop, link, policy, operator, settings.seed, cameras, teller, judge, timing
        )
        clock, begun_s = threading.Timer(budget_s, stop.set), time.monotonic()
        clock.start()
        try:
            driving.run(stop)
        finally:
            clock.cancel()
        seconds = time.monotonic() - begun_s
        policy.load_snapshot(learning.last_weights() or link.weights)
    (orders.folder / TIMING_FILE).write_text(json.dumps(timing.summary(), indent=1) + "\n")
    return Taught(policy, tuple(link.episodes), seconds)


def _judge(settings: Settings, console: Console) -> ClassifierJudge | None:
    """The classifier that paid the plain run, if one did."""
    encoder = load_encoder(settings.learner.encoder)
    classifier = open_paying_classifier(settings, encoder, console)
    return None if classifier is None else ClassifierJudge(classifier, SharedMaps(encoder, settings.contract))
