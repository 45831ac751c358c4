"""Steps survive the wire bit by bit, and what the contract does not allow is refused with a reason."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from nudge.v1 import learner_pb2 as pb
from policy.contract import ActionDimension, Camera, Contract, Crop, Dimension
from policy.errors import InvalidExperience
from policy.experience import Clipped, Judgement, Observation, Reason, Source, Step, StepId
from policy.fakes import fake_contract, fake_episode
from policy.wire import (
    _check_inflated,
    check_png,
    decode_png,
    encode_png,
    largest_step_bytes,
    pack_step,
    unpack_step,
)

SIZE = 8
SESSION = "0123456789abcdef" * 2


def _camera(name: str) -> Camera:
    crop = Crop(top=0, left=0, height=SIZE, width=SIZE)
    return Camera(name=name, native_height_px=SIZE, native_width_px=SIZE, crop=crop, size_px=SIZE)


CONTRACT = Contract(
    cameras=(_camera("wrist"), _camera("front")),
    proprioception=(
        Dimension(name="pan", unit="rad", low=-2, high=2),
        Dimension(name="height", unit="m", low=0, high=1),
    ),
    action=(ActionDimension(name="x", unit="m", scale=0.02), ActionDimension(name="gripper", unit="rad", scale=0.4)),
    sim_only=(Dimension(name="cube_z", unit="m", low=0, high=1),),
    control_hz=10,
)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
frames = hnp.arrays(np.uint8, (SIZE, SIZE, 3))


def vectors(length: int, elements: st.SearchStrategy[float] = finite) -> st.SearchStrategy[NDArray[np.float32]]:
    return hnp.arrays(np.float32, length, elements=elements)


observations = st.builds(
    Observation,
    st.fixed_dictionaries({"wrist": frames, "front": frames}),
    proprioception=vectors(2),
    sim_only=vectors(1),
)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    terminated, truncated = draw(st.booleans()), draw(st.booleans())
    counts, times = st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1)
    return Step(
        id=StepId(draw(st.uuids()).hex, draw(counts), draw(counts)),
        observation=draw(observations),
        action=draw(vectors(2, st.floats(-1, 1, width=32))),
        source=draw(st.sampled_from(Source)),
        reward=draw(finite),
        terminated=terminated,
        truncated=truncated,
        policy_version=draw(st.integers(0, 2**63 - 1)),
        monotonic_ns=draw(times),
        wall_ns=draw(times),
        final=draw(observations) if terminated or truncated else None,
        rejected=(terminated or truncated) and draw(st.booleans()),
        judgement=draw(st.none() | st.builds(Judgement, st.floats(0, 1), st.sampled_from(Reason))),
        clipped=draw(st.none() | st.builds(Clipped, st.booleans(), st.booleans())),
    )


def some_step() -> Step:
    """A last step with frames that no compression shortens."""
    noise = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    pan, cube = np.array([0.5, -0.25], np.float32), np.array([0.1], np.float32)
    return Step(
        id=StepId(SESSION, 3, 7),
        observation=Observation({"wrist": noise[0], "front": noise[1]}, pan, cube),
        action=np.array([1.0, -0.5], np.float32),
        source=Source.HUMAN,
        reward=1.0,
        terminated=True,
        truncated=False,
        policy_version=5,
        monotonic_ns=10,
        wall_ns=20,
        final=Observation({"wrist": noise[2], "front": noise[3]}, pan, cube),
    )


def assert_same_observation(got: Observation, sent: Observation) -> None:
    assert got.frames.keys() == sent.frames.keys()
    for name, frame in sent.frames.items():
        assert got.frames[name].dtype == np.uint8
        np.testing.assert_array_equal(got.frames[name], frame)
    for one, other in ((got.proprioception, sent.proprioception), (got.sim_only, sent.sim_only)):
        assert one.dtype == np.float32
        assert one.tobytes() == other.tobytes()  # bit by bit: -0.0 stays -0.0


@settings(max_examples=50, deadline=None)
@given(steps())
def test_a_step_comes_back_bit_by_bit(sent: Step) -> None:
    got = unpack_step(pb.Step.FromString(pack_step(sent).SerializeToString()), CONTRACT)
    assert_same_observation(got.observation, sent.observation)
    assert got.action.tobytes() == sent.action.tobytes()
    flags = ("terminated", "truncated", "rejected")
    for name in ("id", "source", "reward", *flags, "policy_version", "monotonic_ns", "wall_ns", "judgement", "clipped"):
        assert getattr(got, name) == getattr(sent, name), name
    assert (got.final is None) == (sent.final is None)
    if got.final is not None and sent.final is not None:
        assert_same_observation(got.final, sent.final)


def test_red_stays_red_and_blue_stays_blue() -> None:
    # A PNG written by hand: one row, filter byte 0, then R G B of two pixels.
    row = bytes([0, 255, 0, 7, 0, 0, 255])
    header = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 2)) + chunk(b"IEND", b"")
    frame = decode_png(b"\x89PNG\r\n\x1a\n" + body, 2, "wrist")
    assert frame.tolist() == [[[255, 0, 7], [0, 0, 255]]] * 2
    np.testing.assert_array_equal(decode_png(encode_png(frame), 2, "wrist"), frame)


@pytest.mark.parametrize("size", [1, 2, 16, 128])
def test_frames_are_lossless_at_every_size(size: int) -> None:
    frame = np.random.default_rng(size).integers(0, 256, (size, size, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode_png(encode_png(frame), size, "wrist"), frame)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_file(
    width: int, height: int, *, bits: int = 8, colour: int = 2, interlace: int = 0, extra: bytes = b""
) -> bytes:
    rows = zlib.compress(bytes((1 + 3 * SIZE) * SIZE))
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_hand_made_png_of_the_right_kind_is_accepted() -> None:
    assert decode_png(png_file(SIZE, SIZE), SIZE, "wrist").sum() == 0


@pytest.mark.parametrize(
    "png",
    [
        pytest.param(png_file(60000, 60000), id="a bomb: 10 GB from 100 bytes"),
        pytest.param(png_file(SIZE, SIZE, bits=16), id="16 bits"),
        pytest.param(png_file(SIZE, SIZE, colour=6), id="with alpha"),
        pytest.param(png_file(SIZE, SIZE, interlace=1), id="interlaced"),
        pytest.param(png_file(SIZE, SIZE, extra=chunk(b"gAMA", struct.pack(">I", 1))), id="gamma"),
        pytest.param(png_file(SIZE, SIZE)[:-12], id="no end"),
        pytest.param(png_file(SIZE, SIZE)[:-5], id="cut inside a chunk"),
        pytest.param(png_file(SIZE, SIZE) + b"x", id="something behind the end"),
        pytest.param(png_file(SIZE, SIZE) + bytes(10_000), id="too long"),
        pytest.param(b"\xff\xd8\xff\xe0JFIF", id="JPEG"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_wrong_png_is_refused_before_it_is_decoded(png: bytes) -> None:
    with pytest.raises(InvalidExperience, match="camera 'wrist'"):
        check_png(png, SIZE, "wrist")


def test_a_png_longer_than_its_pixels_need_is_refused_before_it_is_read() -> None:
    # 8 rows of 1 + 24 bytes: 200 + 25 + 1024 = 1249 bytes at most; 200 empty chunks of 12 bytes are 2400.
    padded = png_file(SIZE, SIZE, extra=chunk(b"IDAT", b"") * 200)
    with pytest.raises(InvalidExperience, match="needs at most 1249"):
        check_png(padded, SIZE, "wrist")


RAW = bytes((1 + 3 * SIZE) * SIZE)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(zlib.compress(bytes(1_000_000)), "more than its pixels", id="a bomb: 1 MB from 1 KB"),
        pytest.param(zlib.compress(RAW + b"x"), "more than its pixels", id="one byte more"),
        pytest.param(zlib.compress(RAW[1:]), "less than its pixels", id="one byte less"),
        pytest.param(zlib.compress(RAW) + b"x", "end elsewhere", id="something behind the data"),
        pytest.param(zlib.compress(RAW)[:-1], "end elsewhere", id="data that are cut"),
        pytest.param(zlib.compress(RAW)[:-1] + b"\0", "damaged inside", id="a wrong checksum"),
        pytest.param(b"\xff" * 40, "damaged inside", id="no deflate"),
    ],
)
def test_data_that_are_not_exactly_the_pixels_are_refused_before_they_are_decoded(data: bytes, reason: str) -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    with pytest.raises(InvalidExperience, match=reason):
        check_png(png, SIZE, "wrist")


def test_a_bomb_costs_no_more_memory_than_a_frame() -> None:
    # 50 MB in 48 KB, which a frame of 128 x 128 pixels may have on the wire.
    bomb = zlib.compress(bytes(50_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidExperience, match="more than its pixels"):
            _check_inflated(bomb, len(RAW), "wrist")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_the_largest_step_of_a_contract_fits_its_bound_and_not_half_of_it() -> None:
    rng = np.random.default_rng(0)
    last = pack_step(fake_episode(fake_contract(), 1, rng)[0])  # noise: the largest PNG there is
    bound = largest_step_bytes(fake_contract())
    assert bound / 2 < last.ByteSize() < bound


def test_a_flipped_bit_inside_a_png_is_noticed() -> None:
    png = bytearray(encode_png(some_step().observation.frames["wrist"]))
    png[60] ^= 1
    with pytest.raises(InvalidExperience, match="damaged inside"):
        decode_png(bytes(png), SIZE, "wrist")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_stored_png_is_read_as_it_was_or_its_damage_is_noticed(data: st.DataObject) -> None:
    frame = np.random.default_rng(3).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    png = bytearray(encode_png(frame))
    np.testing.assert_array_equal(decode_png(bytes(png), SIZE, "wrist", stored=True), frame)
    png[data.draw(st.integers(0, len(png) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        seen = decode_png(bytes(png), SIZE, "wrist", stored=True)
    except InvalidExperience:
        return
    np.testing.assert_array_equal(seen, frame)  # a bit that no pixel depends on


def test_the_largest_frame_that_opencv_makes_stays_within_the_limit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 480, 3), dtype=np.uint8)
    check_png(encode_png(noise), 480, "wrist")


def _set(**fields: object) -> Callable[[pb.Step], None]:
    def change(message: pb.Step) -> None:
        for name, value in fields.items():
            setattr(message, name, value)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda m: m.ClearField("id"), "none in the field 'id'"),
        (lambda m: m.ClearField("observation"), "none in the field 'observation'"),
        (lambda m: setattr(m.id, "session", "../../etc"), "session"),
        (_set(source=0), "source"),
        (_set(source=9), "source"),
        (_set(action=b"abc"), r"action: got 3 bytes, the contract has 2 float32, 8 bytes"),
        (_set(action=struct.pack("<2f", 0.0, float("nan"))), "finite"),
        (_set(action=struct.pack("<2f", 0.0, 1.1)), r"'gripper'.*1\.1"),
        (_set(reward=float("inf")), "reward"),
        (_set(policy_version=2**63), "policy_version"),
        (_set(terminated=False), "carries the final observation"),
        (lambda m: m.ClearField("final_observation"), "carries the final observation"),
        (lambda m: m.observation.frames.pop(), r"got frames of \['wrist'\]"),
        (lambda m: m.observation.frames.append(m.observation.frames[0]), "exactly once"),
        (lambda m: setattr(m.observation.frames[0], "camera", "side"), "'side'"),
        (lambda m: setattr(m.observation.frames[0], "camera", "x" * 10**6), f"'{'x' * 64}'"),
        (lambda m: [m.observation.frames.add() for _ in range(10**5)], r"got frames of \['', 'front', 'wrist'\], the"),
        (lambda m: setattr(m.final_observation.frames[1], "png", b"\x89PNG"), "camera 'front'"),
        (lambda m: setattr(m.observation, "proprioception", b""), "proprioception: got 0 bytes"),
        (lambda m: setattr(m.observation, "sim_only", struct.pack("<f", float("-inf"))), "sim_only"),
        (lambda m: m.judgement.CopyFrom(pb.Judgement(probability=0.5)), "judgement of step 7: got reason 0"),
        (lambda m: m.judgement.CopyFrom(pb.Judgement(probability=0.5, reason=9)), "got reason 9"),  # type: ignore[arg-type]
        (lambda m: m.judgement.CopyFrom(pb.Judgement(probability=1.1, reason=pb.REASON_GATE)), r"probability 1\.1"),
        (
            lambda m: m.judgement.CopyFrom(pb.Judgement(probability=float("nan"), reason=pb.REASON_GATE)),
            "probability nan",
        ),
    ],
)
def test_each_field_that_the_contract_forbids_is_named(change: Callable[[pb.Step], None], reason: str) -> None:
    message = pack_step(some_step())
    unpack_step(message, CONTRACT)
    change(message)
    with pytest.raises(InvalidExperience, match=reason):
        unpack_step(message, CONTRACT)


def test_a_refusal_of_a_step_tells_no_whole_session() -> None:
    message = pack_step(some_step())
    message.reward = float("inf")
    with pytest.raises(InvalidExperience) as caught:
        unpack_step(message, CONTRACT)
    assert SESSION[:8] in str(caught.value)
    assert SESSION[:9] not in str(caught.value)


def test_a_count_that_no_message_holds_is_refused_when_packing() -> None:
    step = some_step()
    beyond = Step(**{name: getattr(step, name) for name in Step.__slots__} | {"id": StepId(SESSION, -1, 0)})
    with pytest.raises(InvalidExperience, match="not negative"):
        pack_step(beyond)
