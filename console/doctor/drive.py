"""The control loop as the doctor runs it: observe, think, act at the contract's rate, from corner to corner."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from actor.inference import Policy
from console.doctor.context import Context, Drive
from console.settings import Settings
from policy.encoder import Encoder, ResNet10Shape, load_encoder, random_encoder
from policy.experience import Observation
from policy.features import FeatureReduction
from policy.network import PolicyNetwork, make_spec
from policy.snapshot import pack_snapshot
from robot.env import GymObservation
from robot.errors import SafetyStop

Vector = NDArray[np.float64]
Action = NDArray[np.float32]

TOOL = ("tool.x", "tool.y", "tool.z")
GAIN = 0.5  # of the way to a corner, at each tick
ARRIVED_M = 0.005
TICKS_PER_CORNER = 15
LONGEST = 3.0  # times loop_s: who has not been to all corners by then will not get there
JAW = 0.3  # action of the jaw, by turns open and closed


def drive(context: Context) -> Drive:
    """Visit the corners of the start region again and again, for `doctor.loop_s` at least. Raises `ArmFault`."""
    station, settings = context.opened(), context.settings
    think, made, guard = thinker(settings), Drive(), context.opened().env.guard
    corners, visited, at_corner = corners_m(settings), 0, 0
    seen = station.tick(np.zeros(len(settings.contract.action), np.float32))
    think(seen)  # the first time takes longer than any other
    clamps, deadlines = guard.clamps.copy(), station.deadlines
    late_before = 0
    if deadlines is not None:
        deadlines.start()
        late_before = deadlines.overruns
    begun_s, loop_s = time.monotonic(), settings.doctor.loop_s
    while not context.halted:
        elapsed_s = time.monotonic() - begun_s
        if elapsed_s > (loop_s if visited >= len(corners) else LONGEST * loop_s):
            break
        corner, clips_before = corners[visited % len(corners)], guard.clamps.total()
        with _timed(made.infer_s):
            think(seen)
        with _timed(made.act_s):
            station.env.act(towards(corner, seen, settings, JAW if visited % 2 else -JAW))
        station.wait()
        with _timed(made.observe_s):
            seen = station.env.observe()[0]
        _keep(context, made, seen)
        made.clipped_ticks += guard.clamps.total() > clips_before
        reached_m, at_corner = tool_m(seen, settings), at_corner + 1
        if np.linalg.norm(corner - reached_m) < ARRIVED_M or at_corner >= TICKS_PER_CORNER:
            made.legs_m.append((corner, reached_m))
            visited, at_corner = visited + 1, 0
    if context.halted:
        raise SafetyStop("loop: stopped on its way; the arm comes home now")
    made.late = 0 if deadlines is None else deadlines.overruns - late_before
    made.clamped = dict(guard.clamps - clamps)
    return made


def tool_m(seen: GymObservation, settings: Settings) -> Vector:
    """The tool's position (3,) [m] in an observation."""
    names = [dimension.name for dimension in settings.contract.proprioception]
    values: Vector = seen["proprioception"][[names.index(name) for name in TOOL]].astype(np.float64)
    return values


def corners_m(settings: Settings) -> list[Vector]:
    """The corners (3,) [m] of where an episode may start, each a neighbour of the next."""
    middle, half = np.array(settings.task.start_m), np.array(settings.task.start_noise_m)
    signs = sorted(itertools.product((-1, 1), repeat=3), key=_gray)
    return [middle + np.array(sign) * half for sign in signs]


def towards(corner_m: Vector, seen: GymObservation, settings: Settings, jaw: float) -> Action:
    """The action (A,) that brings the tool nearer to a corner."""
    scale = settings.contract.action_scale
    action = np.zeros(len(scale), np.float32)
    action[:3] = np.clip(GAIN * (corner_m - tool_m(seen, settings)) / scale[:3], -1, 1)
    action[3] = jaw
    return action


def thinker(settings: Settings) -> Callable[[GymObservation], Action]:
    """What chooses actions as a policy would, and knows nothing: networks of the right shape at random values."""
    learner, contract = settings.learner, settings.contract
    encoder = _encoder(settings)
    spec = make_spec(contract, encoder, learner.features.reduced_channels, learner.network)
    torch.manual_seed(0)
    reduction = None
    if spec.reduced_channels is not None:
        shape = (len(contract.cameras), encoder.channels, spec.reduced_channels)
        kept = (1.0,) * len(contract.cameras)
        reduction = FeatureReduction(torch.zeros(shape[:2]), torch.randn(shape) / encoder.channels, kept)
    policy = Policy(spec, contract, encoder)
    policy.load_snapshot(pack_snapshot(PolicyNetwork(spec, contract), reduction, updates=0))
    generator = torch.Generator().manual_seed(0)

    def think(seen: GymObservation) -> Action:
        frames = {camera.name: seen[camera.name] for camera in contract.cameras}
        observed = Observation(frames, seen["proprioception"], np.zeros(len(contract.sim_only), np.float32))
        return policy.select_action(observation=observed, exploration=1.0, generator=generator)

    return think


def _encoder(settings: Settings) -> Encoder:
    """The configured encoder; for one on a hub, which need not be reachable yet, one of its size."""
    if settings.learner.encoder.source == "hub":
        return random_encoder(0, ResNet10Shape())
    return load_encoder(settings.learner.encoder)


def _keep(context: Context, made: Drive, seen: GymObservation) -> None:
    made.proprioception.append(seen["proprioception"])
    for camera in context.settings.contract.cameras:
        context.frames.setdefault(camera.name, []).append(seen[camera.name])


def _gray(signs: tuple[int, ...]) -> int:
    """Place of a corner in a walk along the edges: the reflected Gray code, read backwards."""
    place = 0
    for sign in signs:
        place = (place << 1) | ((place & 1) ^ (sign > 0))
    return place


@contextmanager
def _timed(took_s: list[float]) -> Iterator[None]:
    begun_s = time.perf_counter()
    yield
    took_s.append(time.perf_counter() - begun_s)
