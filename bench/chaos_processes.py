"""The processes that the fault bench kills: a real control loop with spool and link, a real service with its store.

Only what would cost time without a fault of its own is left out: physics, networks, training. Both tell where they
stand by files alone, so that a process that dies at any instant leaves nothing half said.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import multiprocessing.connection
import os
import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast
from unittest.mock import patch

import torch

import learner.handshake
import learner.servicer
from actor.camera_watch import CameraWatch
from actor.link import LearnerLink, Spool
from actor.loop import ControlLoop
from actor.spool_record import Place
from bench.chaos_journal import Journal
from bench.chaos_world import ChaosEnv, ChaosOperator, ChaosPolicy, Nobody
from console.run_folder import READY_FILE, REFERENCE_FOLDER, SPOOL_FILE, STORE_FILE
from console.settings import Settings
from console.stopping import stop_event
from learner.disk import write_atomically
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policy.experience import Step
from robot.env import ArmEnv

SNAPSHOT_BYTES = 700_000  # more than one chunk
PUBLISH_S = 0.5
LARGEST_JUMP_S = 7200.0  # of the wall clock
DRAIN_S = 120.0


def run_actor(settings: Settings, seed: int, process: int, drain: bool) -> None:
    """One life of the actor. drain: make nothing new, deliver what waits, and fail if that takes too long."""
    _begin(settings.folder / "actor.log")
    stop = stop_event()
    torch.set_num_threads(1)
    contract = settings.contract
    _let_wall_clock_jump(random.Random(f"{seed} {process}"))
    with Journal(settings.folder, process) as journal:

        class JournaledSpool(Spool):
            """Writes down what counts as taken, once it does."""

            def commit(
                self, steps: Sequence[tuple[Step, pb.Step]], acknowledged: Place | None = None, *, trim: bool = False
            ) -> None:
                super().commit(steps, acknowledged, trim=trim)
                if steps:
                    journal.taken(step for step, _ in steps)

        class JournaledLink(LearnerLink):
            """Writes down what was made, before anything is done with it."""

            def send(self, step: Step) -> None:
                journal.made(step)
                super().send(step)

        with (
            JournaledSpool(settings.folder / SPOOL_FILE, contract, settings.link) as spool,
            JournaledLink(settings.link, contract, spool) as link,
        ):
            link.open()
            if not drain:
                env = cast("ArmEnv", ChaosEnv(seed, process, contract))  # the part of it that the loop uses
                operator, policy = ChaosOperator(contract), ChaosPolicy(contract)
                cameras = CameraWatch(settings.folder / REFERENCE_FOLDER, contract, settings.arm.drift)
                ControlLoop(env, contract, settings.loop, link, policy, operator, settings.seed, cameras, Nobody()).run(
                    stop
                )
            delivered = link.flush(DRAIN_S if drain else 1.0)
        if drain and not delivered:
            sys.exit(f"{link.unacknowledged} steps were not delivered within {DRAIN_S:.0f} s")


def run_learner(settings: Settings, seed: int, process: int, protocol_version: str) -> None:
    """One life of a learner that stores, and publishes bytes as policies."""
    _begin(settings.folder / "learner.log")
    stop = stop_event()
    rng = random.Random(f"{seed} {process}")
    publisher = PolicyPublisher(start_version=100 * process)
    with (
        patch.object(learner.handshake, "PROTOCOL_VERSION", protocol_version),
        patch.object(learner.servicer, "PROTOCOL_VERSION", protocol_version),
        ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store,
    ):

        def status() -> pb.StatusReply:
            return pb.StatusReply(run_id=settings.run, env_steps=store.counts().env_steps)

        server = LearnerServer(settings.service, settings.contract, settings.run, store, publisher, "{}", status)
        address = f"{settings.service.host}:{server.start()}"
        try:
            write_atomically(settings.folder / READY_FILE, json.dumps({"address": address}).encode())
            while not stop.wait(PUBLISH_S):
                publisher.publish(rng.randbytes(SNAPSHOT_BYTES))
        finally:
            server.stop()


def run_nudge_learner(settings_file: Path, log: Path) -> None:
    """One life of `nudge learner`, trainer and all."""
    from console.main import main

    _begin(log)
    sys.exit(main(["learner", "--preset", str(settings_file), "--service.port", "0"]))


def _begin(log: Path) -> None:
    """Output goes to the log; the process ends with its parent, however that ends."""
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {os.getpid()} %(name)s: %(message)s")
    parent = multiprocessing.parent_process()
    assert parent is not None  # it is started by the bench
    threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(parent: int) -> None:
    multiprocessing.connection.wait([parent])
    os._exit(3)


def _let_wall_clock_jump(rng: random.Random) -> None:
    """Set this process's wall clock to somewhere else, again and again."""
    real_time_ns, offset_ns = time.time_ns, 0

    def time_ns() -> int:
        nonlocal offset_ns
        if rng.random() < 0.01:
            offset_ns = round(rng.uniform(-LARGEST_JUMP_S, LARGEST_JUMP_S) * 1e9)
        return real_time_ns() + offset_ns

    time.time_ns = time_ns
