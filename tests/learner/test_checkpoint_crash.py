"""SIGKILL in the middle of checkpoints: the run always goes on, and comes to what it would have come to."""

from __future__ import annotations

import json
import shutil
import time
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

from bench.forking import forking
from bench.killed_learner import CONTRACT, EVERY, STORE, fill_store, learn
from learner.checkpoint import load_checkpoint
from learner.checkpoint_folder import CHECKPOINTS, list_checkpoints
from learner.store import StoreReader
from learner.store_verify import check_structure
from policy.network import PolicySpec

STEPS = 36  # what `fill_store` makes
DEADLINE_S = 120.0
OPERATIONS = 70  # on checkpoints, during some three of them and a start
# The first dies in a checkpoint, the next two as they note versions: who published before that would do it again.
FIRST = {0: 45, 1: 7, 2: 7}
type Told = tuple[int, int, list[str]]  # version, updates, unfinished files


def run(
    folder: Path, until: int, die_at: int | None, context: ForkServerContext, kill_after_s: float = 0.0
) -> list[Told]:
    """Let a learner run to its end or its death, and return what it told.

    kill_after_s: kill it from outside as well, this long after a checkpoint was begun; 0 leaves it alone
    """
    receiver, sender = context.Pipe(duplex=False)
    utd = until / STEPS
    process = context.Process(target=learn, args=(folder, utd, until, sender, die_at), daemon=True)
    process.start()
    sender.close()
    if kill_after_s:
        _await_a_checkpoint(folder / CHECKPOINTS)
        time.sleep(kill_after_s)
        process.kill()
    told = _all_of(receiver)
    process.join(DEADLINE_S)
    assert process.exitcode is not None
    assert process.exitcode in (0, -9)
    return told


def _await_a_checkpoint(root: Path) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not any(root.glob(".update-*.tmp")):
        assert time.monotonic() < deadline, "no checkpoint was begun"


def _all_of(receiver: Connection) -> list[Told]:
    told: list[Told] = []
    try:
        while receiver.poll(DEADLINE_S):
            told.append(receiver.recv())
    except (EOFError, OSError):  # OSError: it was killed within a message
        return told
    raise AssertionError("the learner neither ended nor said anything")


def newest(folder: Path) -> Path:
    return list_checkpoints(folder / CHECKPOINTS)[-1]


def spec_of(checkpoint: Path) -> PolicySpec:
    return PolicySpec.model_validate(json.loads((checkpoint / "checkpoint.json").read_text())["spec"])


def storm(tmp_path: Path, kills: int, until: int) -> None:
    context, rng = forking(), np.random.default_rng(kills)
    folder, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    folder.mkdir()
    fill_store(folder)
    shutil.copytree(folder, undisturbed)
    with StoreReader(folder / STORE, CONTRACT) as store:
        before = store.ids_up_to(1_000_000)[1]
    reached, version = 0, 0
    for number in range(kills):
        from_outside = number not in FIRST and number % 2 == 1
        die_at = None if from_outside else FIRST.get(number, int(rng.integers(1, OPERATIONS)))
        told = run(folder, 1_000_000, die_at, context, float(rng.uniform(1e-4, 8e-3)) if from_outside else 0.0)
        for at, (each, updates, unfinished) in enumerate(told):
            assert each > version, "a version came twice"
            assert at > 0 or not unfinished
            assert at > 0 or updates >= reached - EVERY, "more than an interval was lost"
            version, reached = each, updates
        with StoreReader(folder / STORE, CONTRACT) as store:
            assert not check_structure(store)
            assert np.array_equal(store.ids_up_to(1_000_000)[1], before)
        if reached:
            checkpoint = load_checkpoint(newest(folder), spec_of(newest(folder)))
            assert checkpoint.updates >= reached - EVERY
    until = max(until, (reached // EVERY + 4) * EVERY)
    for each_folder in (folder, undisturbed):
        assert run(each_folder, until, None, context)[-1][1] == until
    ours, theirs = newest(folder), newest(undisturbed)
    assert ours.name == theirs.name
    # Networks, optimisers, temperature, random state; and in the other file counters and the draws to come.
    assert (ours / "state.safetensors").read_bytes() == (theirs / "state.safetensors").read_bytes()
    one, other = (json.loads((each / "checkpoint.json").read_text()) for each in (ours, theirs))
    assert one.pop("policy_version") >= other.pop("policy_version")
    assert one == other
    assert not list((folder / CHECKPOINTS).glob(".*"))


def test_a_learner_killed_in_its_checkpoints_comes_to_the_same_weights(tmp_path: Path) -> None:
    storm(tmp_path, kills=5, until=60)


@pytest.mark.slow
def test_fifty_kills_in_the_middle_of_checkpoints(tmp_path: Path) -> None:
    storm(tmp_path, kills=50, until=60)
