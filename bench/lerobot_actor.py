"""LeRobot 0.6's own actor loop on the virtual arm, and when each of its ticks began, observed and acted.

`lerobot.rl.actor.act_with_policy` runs as it stands, with its processors, its policy and its threads to a learner's
service. Only what goes in is ours: settings, an event that says when to end, and the devices of `lerobot_devices`.
"""

from __future__ import annotations

import logging
import queue
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lerobot.cameras.zmq import ZMQCameraConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import (
    HILSerlProcessorConfig,
    HILSerlRobotEnvConfig,
    ImagePreprocessingConfig,
    ObservationConfig,
    ResetConfig,
)
from lerobot.policies.gaussian_actor.configuration_gaussian_actor import GaussianActorConfig
from lerobot.rl.actor import (
    act_with_policy,
    learner_service_client,
    receive_policy,
    send_interactions,
    send_transitions,
)
from lerobot.rl.algorithms.sac import SACAlgorithmConfig
from lerobot.rl.train_rl import TrainRLServerPipelineConfig

from bench.config_lerobot_devices import Journal, SteadyHandConfig, TimedArmConfig
from bench.lerobot_learner import save_resnet10
from robot.arm import JOINT_NAMES

FRAME_PX = 128


@dataclass(frozen=True)
class Orders:
    """What to drive, and for how long.

    folder: of the virtual station
    camera_ports: by name
    learner_port: where LeRobot's learner service listens
    """

    folder: Path
    camera_ports: dict[str, int]
    learner_port: int
    control_hz: float
    seconds: float
    episode_s: float


@dataclass(frozen=True)
class Drive:
    """How it went.

    entries: (what, when [s]) as in `Journal`
    ended_by: what ended it before its time; empty when nothing did
    """

    entries: list[tuple[str, float]]
    ended_by: str


class EndsAfter(threading.Event):
    """LeRobot's loop asks at the beginning of each tick whether it shall end: yes, so long after the first tick."""

    def __init__(self, journal: Journal, seconds: float) -> None:
        super().__init__()
        self._journal, self._seconds = journal, seconds
        self._begun_s: float | None = None
        self._loop = threading.get_ident()

    def is_set(self) -> bool:
        """Whether it shall end. Notes when the loop asks; LeRobot's other threads ask too."""
        if threading.get_ident() == self._loop:
            now_s = time.perf_counter()
            self._journal.entries.append(("tick", now_s))
            self._begun_s = self._begun_s or now_s
            if now_s - self._begun_s > self._seconds:
                self.set()
        return super().is_set()


def run(orders: Orders) -> Drive:
    """LeRobot's loop, with the threads that its `actor_cli` gives it; for a process of its own."""
    logging.getLogger().setLevel(logging.ERROR)  # it warns at each tick that is too slow
    journal, ended_by = Journal(), ""
    with tempfile.TemporaryDirectory() as encoder:
        save_resnet10(encoder)
        settings = _settings(orders, journal, encoder)
        shutdown = EndsAfter(journal, orders.seconds)
        stub, channel = learner_service_client("127.0.0.1", orders.learner_port)
        incoming, transitions, interactions = (queue.Queue[Any]() for _ in range(3))
        ways = ((receive_policy, incoming), (send_transitions, transitions), (send_interactions, interactions))
        threads = [
            threading.Thread(target=target, args=(settings, own, shutdown, stub, channel)) for target, own in ways
        ]
        for thread in threads:
            thread.start()
        try:
            act_with_policy(settings, shutdown, incoming, transitions, interactions)
        except (ConnectionError, TimeoutError, RuntimeError) as error:  # what its devices raise when one is slow
            ended_by = f"{type(error).__name__}: {error}"
        finally:
            logging.disable()  # its threads report the end of the channel as an error
            shutdown.set()
            channel.close()
            for thread in threads:
                thread.join()
    return Drive(journal.entries, ended_by)


def _settings(orders: Orders, journal: Journal, encoder: str) -> TrainRLServerPipelineConfig:
    images = {
        f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, FRAME_PX, FRAME_PX))
        for name in orders.camera_ports
    }
    state = {"observation.state": PolicyFeature(FeatureType.STATE, (len(JOINT_NAMES),))}
    action = {"action": PolicyFeature(FeatureType.ACTION, (len(JOINT_NAMES),))}
    policy = GaussianActorConfig(
        input_features=images | state,
        output_features=action,
        dataset_stats={
            **{name: {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]} for name in images},
            "observation.state": {"min": [-180.0] * len(JOINT_NAMES), "max": [180.0] * len(JOINT_NAMES)},
            "action": {"min": [-90.0] * len(JOINT_NAMES), "max": [90.0] * len(JOINT_NAMES)},
        },
        device="cpu",
        vision_encoder_name=encoder,
    )
    return TrainRLServerPipelineConfig(
        dataset=None,
        env=_environment(orders, journal, images | state | action),
        policy=policy,
        algorithm=SACAlgorithmConfig.from_policy_config(policy),
    )


def _environment(orders: Orders, journal: Journal, features: dict[str, PolicyFeature]) -> HILSerlRobotEnvConfig:
    cameras = {
        name: ZMQCameraConfig(
            server_address="127.0.0.1", port=port, camera_name=name, width=320, height=240, fps=20, timeout_ms=5000
        )
        for name, port in orders.camera_ports.items()
    }
    return HILSerlRobotEnvConfig(
        fps=round(orders.control_hz),
        features=features,
        features_map={name: name for name in features},
        robot=TimedArmConfig(
            port=str(orders.folder / "follower"),
            id="follower",
            calibration_dir=orders.folder / "calibration",
            cameras=cameras,
            journal=journal,
        ),
        teleop=SteadyHandConfig(id="hand", calibration_dir=orders.folder / "hand"),
        processor=HILSerlProcessorConfig(
            observation=ObservationConfig(),
            image_preprocessing=ImagePreprocessingConfig(
                crop_params_dict={f"observation.images.{name}": (0, 40, 240, 240) for name in orders.camera_ports},
                resize_size=(FRAME_PX, FRAME_PX),
            ),
            reset=ResetConfig(control_time_s=orders.episode_s),
        ),
    )
