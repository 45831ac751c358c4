"""A world without physics whose every observation can be computed again: the fault bench compares byte for byte.

All of it follows from a seed and a `Key`. The key travels in the observation itself, as what only a simulator knows.
"""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from policy.contract import Contract, Dimension
from policy.experience import Clipped, Observation
from policy.fakes import fake_contract
from robot.env import GymObservation
from teleop.takeover import Control, Decision, OperatorView

FRAME_PX = 128
CELLS = 16  # random squares a side: pictures that compress like pictures
LONGEST_EPISODE = 30  # steps
STEP_S = 0.004  # an arm takes some time as well
MOST_RESETS = 1 << 20  # float32 carries the key exactly


@dataclass(frozen=True, slots=True)
class Key:
    """Where in the world an observation was made: which process, which of its episodes, which tick."""

    process: int
    reset: int
    tick: int


def chaos_contract() -> Contract:
    """Two cameras of 128x128 as the simulated arm has, at 25 Hz, and the key."""
    key = tuple(Dimension(name=name, unit="1", low=0, high=MOST_RESETS) for name in ("process", "reset", "tick"))
    return fake_contract(cameras=2, proprioception=6, size_px=FRAME_PX).model_copy(
        update={"sim_only": key, "control_hz": 25.0}
    )


def key_of(observation: Observation) -> Key:
    """The key that an observation says it was made with."""
    process, reset, tick = (int(value) for value in observation.sim_only)
    return Key(process, reset, tick)


def observation_at(seed: int, key: Key, contract: Contract) -> Observation:
    """What is seen in the world at a key."""
    rng = _generator(seed, key, 0)
    frames = {}
    for camera in contract.cameras:
        cells = rng.integers(0, 256, (CELLS, CELLS, 3), np.uint8)
        frames[camera.name] = cells.repeat(FRAME_PX // CELLS, 0).repeat(FRAME_PX // CELLS, 1)  # (128, 128, 3)
    proprioception = rng.uniform(-2, 2, len(contract.proprioception)).astype(np.float32)
    return Observation(frames, proprioception, np.array(astuple(key), np.float32))


def executed_at(seed: int, key: Key, contract: Contract) -> NDArray[np.float32]:
    """What the arm executes at a key, whatever it was asked for: (A,)."""
    return _generator(seed, key, 1).uniform(-1, 1, len(contract.action)).astype(np.float32)


def clipped_at(seed: int, key: Key) -> Clipped:
    """What its guard takes from an action at a key."""
    tool, joints = _generator(seed, key, 3).random(2) < 0.5
    return Clipped(tool=bool(tool), joints=bool(joints))


def _generator(seed: int, key: Key, part: int) -> np.random.Generator:
    return np.random.default_rng([seed, *astuple(key), part])


class ChaosEnv:
    """Stands where `robot.env.ArmEnv` would stand. process: number of the process that it lives in."""

    def __init__(self, seed: int, process: int, contract: Contract) -> None:
        self._seed, self._contract = seed, contract
        self._key = Key(process, -1, 0)
        self._length, self._succeeds = 0, False

    def reset(self, *, seed: int | None = None) -> tuple[GymObservation, dict[str, Any]]:  # noqa: ARG002  # its interface
        """Begin the next episode; the control loop's seed changes nothing here."""
        self._key = Key(self._key.process, self._key.reset + 1, 0)
        rng = _generator(self._seed, self._key, 2)
        self._length, self._succeeds = int(rng.integers(1, LONGEST_EPISODE, endpoint=True)), bool(rng.random() < 0.5)
        return self._seen()

    def act(self, action: NDArray[np.float32], silent_s: float = 0.0) -> None:  # its interface
        """Any action does what the world has drawn."""

    def observe(self) -> tuple[GymObservation, float, bool, bool, dict[str, Any]]:
        """One tick; the episode ends, by success or by time-out, when its length is reached."""
        time.sleep(STEP_S)
        executed = executed_at(self._seed, self._key, self._contract)
        clipped = clipped_at(self._seed, self._key)
        self._key = Key(self._key.process, self._key.reset, self._key.tick + 1)
        seen, info = self._seen()
        done = self._key.tick == self._length
        success = done and self._succeeds
        info |= {"executed": executed, "success": success, "clipped": astuple(clipped)}
        return seen, float(success), success, done and not success, info

    def _seen(self) -> tuple[GymObservation, dict[str, Any]]:
        observation = observation_at(self._seed, self._key, self._contract)
        seen: GymObservation = {**observation.frames, "proprioception": observation.proprioception}
        return seen, {"sim_only": observation.sim_only, "success": False}


class Nobody:
    """Listens to what the loop tells, and writes nothing down: the journal has all that counts."""

    def episode_began(self, episode: int, *, demonstrating: bool) -> None:
        """Stands for `actor.roles.Onlooker`, like the following."""

    def episode_ended(self, outcome: object) -> None:
        """Its steps say what it was."""

    def arm_faulty(self, fault: object) -> None:
        """It has none."""

    def arm_sound(self) -> None:
        """It always is."""

    def operator_awaited(self, wish: str) -> None:
        """It is ever ready."""

    def control_changed(self, control: object) -> None:
        """At every third tick."""

    def device_lost(self, what: str) -> None:
        """It has none."""

    def camera_drifted(self, finding: object) -> None:
        """There is no camera."""


class ChaosOperator:
    """Drives the demonstrations, and every third tick of the rest."""

    def __init__(self, contract: Contract) -> None:
        self._idle = np.zeros(len(contract.action), np.float32)
        self._demonstrating = False
        self._ticks = 0

    def begin_episode(self, *, demonstrating: bool) -> None:
        """A new episode starts."""
        self._demonstrating = demonstrating

    @property
    def paused(self) -> bool:
        """Never."""
        return False

    def awaits(self, _view: OperatorView, *, demonstrating: bool) -> str:  # noqa: ARG002  # it is ever ready
        """Nothing."""
        return ""

    def poll(self, view: OperatorView) -> Decision:  # noqa: ARG002  # an operator may look
        """An action, or none."""
        self._ticks += 1
        drives = self._demonstrating or self._ticks % 3 == 0
        return Decision(Control.HUMAN, self._idle) if drives else Decision(Control.POLICY)


class ChaosPolicy:
    """Takes every snapshot and does nothing."""

    def __init__(self, contract: Contract) -> None:
        self._idle = np.zeros(len(contract.action), np.float32)

    def load_snapshot(self, data: bytes) -> int:  # noqa: ARG002
        """Whatever it is: the link has checked its sum."""
        return 0

    def select_action(
        self,
        observation: Observation,  # noqa: ARG002  # the loop's interface
        exploration: float,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """No motion."""
        return self._idle
