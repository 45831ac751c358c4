"""The hash of a set: of its content and its order, and of nothing else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.content_hash import ContentHash, content_hash
from demos.experience_file import new_experience
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=2, proprioception=3, size_px=8)
SEED, STEPS = 5, 4
# Of what a contract and its steps are: on another machine, under another version of a library, it is the same.
KNOWN = "16a8b610b770f615c67ee6690f702c7161d79297d5d6022dd64e1147e18b444d"


def messages(episode: int = 0) -> list[pb.Step]:
    rng = np.random.default_rng(SEED + episode)
    return [pack_step(step) for step in fake_episode(CONTRACT, STEPS, rng, episode=episode)]


def hashed(steps: Sequence[pb.Step], contract: Contract = CONTRACT) -> str:
    content = ContentHash(contract)
    for message in steps:
        content.add(message)
    return content.hexdigest()


def plain_messages() -> list[pb.Step]:
    """Steps whose bytes no library has made."""
    seen = pb.Observation(proprioception=b"123", sim_only=b"", frames=[pb.Frame(camera="camera0", png=b"png")])
    return [
        pb.Step(
            id=pb.StepId(session="c" * 32, episode=3, step=number),
            observation=seen,
            action=b"act",
            source=pb.SOURCE_DEMO,
            reward=number / 4,
            terminated=number == 1,
            policy_version=9,
            monotonic_ns=-5,
            wall_ns=2**60,
            final_observation=seen if number == 1 else None,
        )
        for number in range(2)
    ]


def test_it_never_changes() -> None:
    assert hashed(plain_messages()) == KNOWN


@pytest.mark.parametrize("camera", [0, 1])
def test_the_order_in_which_frames_came_says_nothing(camera: int) -> None:
    steps = messages()
    frames = list(steps[0].observation.frames)
    del steps[0].observation.frames[:]
    steps[0].observation.frames.extend(frames[::-1] if camera else frames)
    assert hashed(steps) == hashed(messages())


@pytest.mark.parametrize(("step", "part"), [(1, "judgement"), (0, "clipped")])
def test_a_part_that_is_there_is_part_of_it(step: int, part: str) -> None:
    told, plain = messages(), messages()
    assert told[step].HasField(part)
    plain[step].ClearField(part)
    assert hashed(told) != hashed(plain)


def test_another_contract_gives_another_one() -> None:
    assert hashed(messages(), CONTRACT.model_copy(update={"control_hz": 20.0})) != hashed(messages())


def leaves(message: Message) -> Iterator[tuple[Message, str]]:
    """Every field of a message and of those within it, that is no message itself."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is None:
            yield message, field.name
        elif field.is_repeated:
            for each in getattr(message, field.name):
                yield from leaves(each)
        elif message.HasField(field.name):
            yield from leaves(getattr(message, field.name))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_other_value_gives_another_one(data: st.DataObject) -> None:
    steps = messages()
    owner, name = data.draw(st.sampled_from([leaf for step in steps for leaf in leaves(step)]))
    value = getattr(owner, name)
    if isinstance(value, bytes):
        setattr(owner, name, turned(value, data.draw(st.integers(0, len(value))), data.draw(st.integers(0, 7))))
    elif isinstance(value, str):
        setattr(owner, name, turned(value.encode(), data.draw(st.integers(0, len(value))), 0).decode())
    else:
        setattr(owner, name, not value if isinstance(value, bool) else value + data.draw(st.integers(1, 3)))
    assert hashed(steps) != hashed(messages())


def turned(given: bytes, place: int, bit: int) -> bytes:
    """One bit of it changed, or one byte more."""
    return given[:place] + (bytes([given[place] ^ 1 << bit]) if place < len(given) else b"\0") + given[place + 1 :]


def swap_cameras(steps: list[pb.Step]) -> None:
    one, other = steps[1].observation.frames
    one.camera, other.camera = other.camera, one.camera


@pytest.mark.parametrize(
    "deed",
    [
        swap_cameras,
        lambda steps: steps[1].observation.frames.pop(),
        lambda steps: steps[-1].ClearField("final_observation"),
        lambda steps: steps[1].final_observation.CopyFrom(steps[-1].final_observation),
        lambda steps: steps.pop(),
        lambda steps: steps.append(steps[0]),
    ],
)
def test_more_less_or_swapped_gives_another_one(deed: Callable[[list[pb.Step]], object]) -> None:
    steps = messages()
    deed(steps)
    assert hashed(steps) != hashed(messages())


@given(order=st.permutations(range(STEPS)))
def test_another_order_gives_another_one(order: list[int]) -> None:
    steps = messages()
    same = order == sorted(order)
    assert (hashed([steps[number] for number in order]) == hashed(steps)) is same


@given(sizes=st.lists(st.integers(0, 3), min_size=2, max_size=2), data=st.binary(min_size=6, max_size=6))
def test_no_byte_can_move_from_one_field_to_the_next(sizes: list[int], data: bytes) -> None:
    """Of one text, cut elsewhere."""
    one, other = (pb.Step(action=data[:cut], observation=pb.Observation(proprioception=data[cut:])) for cut in sizes)
    assert (hashed([one]) == hashed([other])) is (sizes[0] == sizes[1])


class TestOfAFile:
    def test_it_is_the_same_whatever_sqlite_makes_of_the_content(self, tmp_path: Path) -> None:
        path = tmp_path / "experience.sqlite"
        with new_experience(path, CONTRACT) as experience:
            for episode in range(2):
                rng = np.random.default_rng(SEED + episode)
                experience.append(fake_episode(CONTRACT, STEPS, rng, episode=episode), CONTRACT)
        before, size = content_hash(path), path.stat().st_size
        assert before == hashed([*messages(0), *messages(1)])
        connection = sqlite3.connect(path)
        connection.executescript(
            "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; UPDATE steps SET seq = seq + 100; "
            "UPDATE frames SET seq = seq + 100; CREATE INDEX other ON steps (reward); VACUUM"
        )
        connection.close()
        assert path.stat().st_size != size
        assert content_hash(path) == before
