"""A hand on the leader of a virtual station: it demonstrates, and nudges the policy when that is stuck.

    python bench/leader_hand.py [--folder runs/virtual] [--demonstrations 10] [--seconds 3600]

It stands where a person would stand: it sees the arms and the cube, feels whether the leader is limp, and moves the
leader's joints. What the actor is about it tells from that alone: an arm that waits at its start wants a demonstration.
What runs beside it: docs/leader.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import numpy as np  # noqa: E402 - the path comes first
import tyro  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from bench.leader_scene import FOLLOWER_DELAY_LOOKS, EpisodeWatch, Foresight, Scene, hand_pose  # noqa: E402
from robot.arm import JOINT_NAMES  # noqa: E402
from robot.kinematics import Kinematics  # noqa: E402
from robot.settings import ControllerSettings, TaskSettings  # noqa: E402
from robot.sim import sim_contract  # noqa: E402
from robot.virtual.commands import FollowPath, MoveHand, ReleaseHand, State  # noqa: E402
from robot.virtual.control import Remote  # noqa: E402
from robot.virtual.errors import VirtualArmError  # noqa: E402
from robot.virtual.station import CONTROL_SOCKET  # noqa: E402
from teleop.expert import ALIGNED_M, GRASP_M, OPEN_RAD  # noqa: E402
from teleop.scripted import ScriptedOperator  # noqa: E402
from teleop.settings import OperatorSettings  # noqa: E402
from teleop.takeover import OperatorView  # noqa: E402

LOOK_S = 0.1
WAITING_S = 1.0  # an arm that stands still at its start for so long waits for a demonstration
LIFTED_S = 0.8  # the cube is up, and whoever judges it has seen it
PULL_RAD, PULL_RAD_S, PULL_LOOKS = 0.4, 3.0, 8  # how the hand takes hold of a leader that mirrors
SQUEEZE_LOOKS = 5
WAIT_LOOKS = FOLLOWER_DELAY_LOOKS
TREMBLE_RAD = 0.05
ROLL = JOINT_NAMES.index("wrist_roll")  # pulled at, since it does not move the tool
TOOL, JAW = slice(len(JOINT_NAMES), len(JOINT_NAMES) + 3), JOINT_NAMES.index("gripper")  # in what the operator sees
CLOSING_BELOW_M = GRASP_M + 0.006  # as the expert does

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """The hand."""

    folder: Path = Path("runs/virtual")
    """Folder of the station."""
    demonstrations: int = -1
    """After so many that succeeded an arm that waits is let wait; -1: never."""
    seconds: float = float("inf")
    """When it goes home [s]."""
    seed: int = 0
    """Seed of its trembling."""
    operator: OperatorSettings = field(default_factory=lambda: OperatorSettings(guided_episodes=0))
    """It helps where the policy is stuck, and leads no episode: so docs/leader.md measured it."""


class Stage(Enum):
    """What the hand is about."""

    WATCHING = auto()  # an episode has begun; of which kind, the arm will show
    TEACHING = auto()
    DONE = auto()  # until the next episode


@dataclass
class Tally:
    """What the hand has done so far."""

    episodes: int = 0
    demonstrations: int = 0
    takeovers: int = 0
    steered_looks: int = 0


class LeaderHand:
    """Does through the leader what the scripted operator would do through the actor. Call `look` ten times a second."""

    def __init__(self, remote: Remote, settings: Settings) -> None:
        self.tally = Tally()
        self._remote, self._settings = remote, settings
        self._contract = sim_contract()
        self._kinematics = Kinematics(ControllerSettings())
        self._operator = ScriptedOperator(self._contract, settings.operator, settings.seed)
        task = TaskSettings()
        self._most_looks = task.max_episode_steps
        self._watch = EpisodeWatch(task)
        self._stage, self._demonstrating = Stage.DONE, False
        self._looks = 0
        self._pulled_looks = self._squeezed_looks = self._waited_looks = 0
        self._hand_rad: Vector | None = None  # while it holds the leader
        self._foresight: Foresight | None = None  # while it drives

    def look(self) -> None:
        """See how things are, and do something about it."""
        scene = Scene.of(self._remote.tell(State()), self._kinematics)
        began = self._watch.sees_a_beginning(scene, time.monotonic())
        waits = scene.mirrors and self._watch.at_start(scene) and self._watch.still_s > 2 * WAITING_S
        if began or (self._stage is Stage.DONE and waits):  # a cube may be laid where it lay before
            self._let_go()
            self.tally.episodes += self._stage is not Stage.WATCHING  # a cube that is laid down may tumble
            self._stage = Stage.WATCHING
        if self._stage is Stage.WATCHING:
            self._judge(scene)
        elif self._stage is Stage.TEACHING:
            self._teach(scene)

    def _judge(self, scene: Scene) -> None:
        """Does the arm act, or does it wait for a demonstration?"""
        enough = 0 <= self._settings.demonstrations <= self.tally.demonstrations
        waits = self._watch.still_s >= WAITING_S and scene.mirrors and not enough
        if waits or self._watch.moved:
            self._demonstrating = waits and not self._watch.moved
            self._operator.begin_episode(demonstrating=self._demonstrating)
            self._stage, self._looks = Stage.TEACHING, 0

    def _teach(self, scene: Scene) -> None:
        self._looks += 1
        if self._watch.lifted_s >= LIFTED_S or (not self._demonstrating and self._looks > self._most_looks):
            self.tally.demonstrations += self._demonstrating
            self._let_go()
            self._stage = Stage.DONE
        elif self._hand_rad is not None and not scene.limp and self._foresight is not None:
            self._let_go()  # it was taken back
        elif self._hand_rad is not None and not scene.limp:
            self._pulled_looks += 1
            if self._pulled_looks > PULL_LOOKS:
                self._let_go()
        else:
            self._drive_or_watch(scene)

    def _drive_or_watch(self, scene: Scene) -> None:
        holds = self._hand_rad is not None
        if holds and self._foresight is None:
            self._begin_to_drive(scene)
        if not holds and self._demonstrating:
            if scene.mirrors:
                self._take_hold(scene)
            return
        view = self._view(scene)
        if self._foresight is not None and (self._squeezes(scene) or self._waits_to_close(view, scene)):
            self._tremble()
            return
        action = self._operator.poll(view).action
        if action is None:
            self._let_go()
        elif holds:
            self._steer(action.astype(np.float64))
        elif scene.limp:
            self._begin_to_drive(scene)
        elif scene.mirrors:
            self._take_hold(scene)

    def _squeezes(self, scene: Scene) -> bool:
        """Whether the hand has closed just now: the follower's jaw is later, and a hand waits for what comes of it."""
        assert self._hand_rad is not None
        closed = self._hand_rad[-1] <= self._kinematics.lower_rad[-1] + 0.01
        self._squeezed_looks = self._squeezed_looks + 1 if closed else 0
        return 0 < self._squeezed_looks <= SQUEEZE_LOOKS and scene.cube[4] < 0.5

    def _waits_to_close(self, view: OperatorView, scene: Scene) -> bool:
        """Whether the hand is where it would close, and waits for the follower to come to rest there.

        Once it rests, what the hand has shown it is where it is: whatever was foreseen.
        """
        assert self._hand_rad is not None
        assert self._foresight is not None
        tool_m, jaw_rad = view.proprioception[TOOL], float(view.proprioception[JAW])
        above_m = float(np.linalg.norm((tool_m - scene.cube[:3])[:2]))
        if above_m > ALIGNED_M or tool_m[2] > CLOSING_BELOW_M or jaw_rad < OPEN_RAD / 2:
            self._waited_looks = 0
            return False
        self._waited_looks += 1
        if self._waited_looks == WAIT_LOOKS:
            self._foresight = Foresight(hand_pose(self._kinematics, self._hand_rad), scene.follower)
        return self._waited_looks <= WAIT_LOOKS

    def _tremble(self) -> None:
        """Keep where it is, as a hand does: one that is quite still would give the arm back."""
        assert self._hand_rad is not None
        self._steer(np.zeros(4), TREMBLE_RAD * (-1) ** (self._squeezed_looks + self._waited_looks))

    def _view(self, scene: Scene) -> OperatorView:
        """What the operator would see in the actor, as far as the expert looks at it."""
        pose = scene.follower
        if self._hand_rad is not None and self._foresight is not None:
            pose = self._foresight.follower(hand_pose(self._kinematics, self._hand_rad), scene.follower)
        joints = np.append(scene.follower_rad[:-1], pose[3])
        seen = np.concatenate([joints, pose[:3], np.zeros(4)])
        return OperatorView(seen.astype(np.float32), scene.cube.astype(np.float32))

    def _take_hold(self, scene: Scene) -> None:
        """Pull at the leader, until it gives way."""
        pulled_rad = scene.leader_rad.copy()
        pulled_rad[ROLL] += PULL_RAD
        self._hand_rad, self._pulled_looks = pulled_rad, 0
        joints = _named(pulled_rad)
        self._remote.tell(MoveHand.model_validate({"joint_rad": joints, "speed_rad_s": PULL_RAD_S}))

    def _begin_to_drive(self, scene: Scene) -> None:
        if self._hand_rad is None:
            self._hand_rad = scene.leader_rad.copy()
        self._foresight = Foresight(hand_pose(self._kinematics, self._hand_rad), scene.follower)
        self.tally.takeovers += 1

    def _steer(self, action: Vector, roll_rad: float = 0.0) -> None:
        """Show the follower the way, in the time until the next look."""
        assert self._hand_rad is not None
        before_rad = self._hand_rad
        way = action * self._contract.action_scale
        position_m = self._kinematics.tool_pose(before_rad).position_m + way[:3]
        after_rad = self._kinematics.solve(position_m, before_rad)
        lower_rad, upper_rad = self._kinematics.lower_rad[-1], self._kinematics.upper_rad[-1]
        after_rad[-1] = np.clip(before_rad[-1] + way[3], lower_rad, upper_rad)
        after_rad[ROLL] += roll_rad
        points = ((0.0, _named(before_rad)), (LOOK_S, _named(after_rad)))
        self._remote.tell(FollowPath.model_validate({"points": points}))
        self._hand_rad = after_rad
        self.tally.steered_looks += 1

    def _let_go(self) -> None:
        if self._hand_rad is not None:
            self._remote.tell(ReleaseHand())
        self._hand_rad = self._foresight = None


def _named(joint_rad: Vector) -> dict[str, float]:
    return dict(zip(JOINT_NAMES, joint_rad.tolist(), strict=True))


def keep_looking(hand: LeaderHand, stop: Callable[[], bool]) -> None:
    """Teach until told to stop, or until the station ends: raises `VirtualArmError` then."""
    episodes, due_s = 0, time.monotonic()
    while not stop():
        hand.look()
        if hand.tally.episodes > episodes:
            episodes = hand.tally.episodes
            print(hand.tally, flush=True)
        due_s = max(due_s + LOOK_S, time.monotonic())
        time.sleep(max(0.0, due_s - time.monotonic()))


def main() -> None:
    """Teach."""
    settings = tyro.cli(Settings, description=__doc__)
    ends_s = time.monotonic() + settings.seconds
    with Remote(settings.folder / CONTROL_SOCKET) as remote:
        hand = LeaderHand(remote, settings)
        try:
            keep_looking(hand, lambda: time.monotonic() > ends_s)
        except VirtualArmError as error:  # its place of work is gone
            print(error)
    print(hand.tally)


if __name__ == "__main__":
    main()
