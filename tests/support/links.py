"""A learner's place and links to it, for tests of the link: servers come and go at one port."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from actor.link import (
    LearnerLink,
    LinkSettings,
    Spool,
)
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.experience import Observation, Source, Step, StepId
from tiny import CONTRACT, SIZE

SOON_S = 20.0  # far more than anything here takes
SEEN = Observation({"wrist": np.zeros((SIZE, SIZE, 3), np.uint8)}, np.zeros(1, np.float32), np.zeros(0, np.float32))


def step(session: str, episode: int, index: int, last: bool = False) -> Step:
    seen = replace(SEEN, frames={"wrist": np.full((SIZE, SIZE, 3), index % 256, np.uint8)})
    return Step(
        id=StepId(session, episode, index),
        observation=seen,
        action=np.zeros(1, np.float32),
        source=Source.POLICY,
        reward=0.0,
        terminated=last,
        truncated=False,
        policy_version=0,
        monotonic_ns=0,
        wall_ns=0,
        final=seen if last else None,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Bench:
    """A store and a port at which learners come and go, and the links and spools that are to be closed."""

    folder: Path
    store: ExperienceStore
    port: int
    publisher: PolicyPublisher
    status: pb.StatusReply
    servers: list[LearnerServer]
    links: list[LearnerLink]
    spools: dict[str, Spool]

    def serve(self, run_id: str = "trial", contract: Contract = CONTRACT, **changes: object) -> LearnerServer:
        server = LearnerServer(
            ServiceSettings.model_validate({"port": self.port} | changes),
            contract,
            run_id,
            self.store,
            self.publisher,
            "{}",
            lambda: self.status,
        )
        self.servers.append(server)
        server.start()
        return server

    def link(self, contract: Contract = CONTRACT, spool: str = "", judge: str = "", **changes: object) -> LearnerLink:
        """A link on the spool of this name, or on one of its own."""
        quick = {"address": f"127.0.0.1:{self.port}", "backoff_first_s": 0.05, "backoff_max_s": 0.2}
        settings = LinkSettings.model_validate(quick | {"connect_timeout_s": SOON_S, "queue_steps": 2000} | changes)
        name = spool or f"spool{len(self.spools)}"
        self.spools[name] = Spool(self.folder / f"{name}.sqlite", contract, settings)
        made = LearnerLink(settings, contract, self.spools[name], judge)
        self.links.append(made)
        return made

    def end(self, link: LearnerLink, spool: str) -> None:
        """What the end of an actor's process does."""
        link.close()
        self.spools[spool].close()

    def holds(self, steps: int) -> bool:
        return self.store.counts().env_steps >= steps

    def places(self) -> list[tuple[int, int]]:
        return [(each.id.episode, each.id.step) for _, each in self.store.read_after(0, 10_000)]
