"""The bench for the tests of the link."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from learner.publisher import PolicyPublisher
from learner.store import ExperienceStore
from links import Bench, free_port
from nudge.v1 import learner_pb2 as pb
from tiny import CONTRACT


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    store = ExperienceStore(tmp_path / "experience.sqlite", CONTRACT)
    made = Bench(tmp_path, store, free_port(), PolicyPublisher(), pb.StatusReply(), [], [], {})
    yield made
    for link in made.links:
        link.close()
    for spool in made.spools.values():
        spool.close()
    for server in made.servers:
        server.stop(0)
    store.close()
