"""Steps on the wire: `pack_x` makes a message, `unpack_x` checks all of one and makes a noun of `policy.experience`.

A message comes from outside: nothing of it is believed. The size of a picture is read from its header before it is
decoded, so a few bytes cannot ask for gigabytes, and its data must be exactly its pixels.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import InvalidExperience
from policy.experience import Clipped, Judgement, Observation, Reason, Source, Step, StepId, check_step

PROTOCOL_VERSION = "1.4"  # major.minor; another major version is refused
SESSION_METADATA = "nudge-session"
TOKEN_METADATA = "nudge-token"
MAX_CHUNK_BYTES = 512 * 1024  # of a policy snapshot
ACTOR_ID = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
SESSION = re.compile(r"[0-9a-f]{32}")
JUDGE = re.compile(r"simulator|operator|[0-9a-f]{64}|")  # as `HelloRequest.judge` says

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SOURCES = {
    Source.POLICY: pb.SOURCE_POLICY,
    Source.HUMAN: pb.SOURCE_HUMAN,
    Source.DEMO: pb.SOURCE_DEMO,
    Source.HOLD: pb.SOURCE_HOLD,
}
_REASONS = {
    Reason.UNLIKELY: pb.REASON_UNLIKELY,
    Reason.TOO_FEW: pb.REASON_TOO_FEW,
    Reason.GATE: pb.REASON_GATE,
    Reason.TOO_EARLY: pb.REASON_TOO_EARLY,
    Reason.SUCCESS: pb.REASON_SUCCESS,
    Reason.PAID: pb.REASON_PAID,
}


def pack_step(step: Step) -> pb.Step:
    """The message of one step. Only what a message cannot hold is refused here: `check_step` does the rest."""
    try:
        message = pb.Step(
            id=pack_step_id(step.id),
            observation=pack_observation(step.observation),
            action=_pack_vector(step.action),
            source=_SOURCES[step.source],
            reward=step.reward,
            terminated=step.terminated,
            truncated=step.truncated,
            policy_version=step.policy_version,
            monotonic_ns=step.monotonic_ns,
            wall_ns=step.wall_ns,
            rejected=step.rejected,
        )
    except ValueError as error:  # protobuf: an integer beyond its field, a string that is not UTF-8
        raise InvalidExperience(f"{step.id}: {error}; counts are not negative and fit 32 bits, times fit 64") from error
    if step.final is not None:
        message.final_observation.CopyFrom(pack_observation(step.final))
    if step.judgement is not None:
        message.judgement.probability = step.judgement.probability
        message.judgement.reason = _REASONS[step.judgement.reason]
    if step.clipped is not None:
        message.clipped.tool, message.clipped.joints = step.clipped.tool, step.clipped.joints
    return message


def unpack_step(message: pb.Step, contract: Contract, *, stored: bool = False) -> Step:
    """The step of a message that came from outside; raise `InvalidExperience` unless the contract allows all of it.

    stored: it was checked when it came, and kept since; see `decode_png`
    """
    for part in ("id", "observation"):
        if not message.HasField(part):
            raise InvalidExperience(f"step: got none in the field {part!r}, every step carries one")
    step_id = unpack_step_id(message.id)
    if message.source not in _SOURCES.values():
        raise InvalidExperience(
            f"source of {step_id}: got {int(message.source)}, expected one of {list(map(int, Source))}"
        )
    if message.policy_version >= 2**63:
        raise InvalidExperience(f"policy_version of {step_id}: got {message.policy_version}, expected less than 2^63")
    final = message.final_observation if message.HasField("final_observation") else None
    step = Step(
        id=step_id,
        observation=unpack_observation(message.observation, contract, stored=stored),
        action=_unpack_vector("action", message.action, len(contract.action)),
        source=Source(message.source),
        reward=message.reward,
        terminated=message.terminated,
        truncated=message.truncated,
        policy_version=message.policy_version,
        monotonic_ns=message.monotonic_ns,
        wall_ns=message.wall_ns,
        final=None if final is None else unpack_observation(final, contract, stored=stored),
        rejected=message.rejected,
        judgement=_unpack_judgement(message),
        clipped=Clipped(message.clipped.tool, message.clipped.joints) if message.HasField("clipped") else None,
    )
    check_step(step, contract)
    return step


def _unpack_judgement(message: pb.Step) -> Judgement | None:
    if not message.HasField("judgement"):
        return None
    judgement = message.judgement
    if judgement.reason not in _REASONS.values():
        raise InvalidExperience(
            f"judgement of step {message.id.step}: got reason {int(judgement.reason)}, expected one of "
            f"{list(map(int, Reason))}"
        )
    return Judgement(judgement.probability, Reason(judgement.reason))


def largest_step_bytes(contract: Contract) -> int:
    """More than any message of a step needs under this contract, the final observation included."""
    frames = sum(_largest_png_bytes(camera.size_px) + 256 for camera in contract.cameras)
    vectors = 4 * (len(contract.proprioception) + len(contract.sim_only) + len(contract.action))
    return 2 * (frames + vectors) + 1024


def pack_step_id(step_id: StepId) -> pb.StepId:
    """The message of a step's place."""
    return pb.StepId(session=step_id.session, episode=step_id.episode, step=step_id.step)


def unpack_step_id(message: pb.StepId) -> StepId:
    """The place that a message names; raise `InvalidExperience` unless its session is 32 lower-case hex digits."""
    if SESSION.fullmatch(message.session) is None:
        raise InvalidExperience(
            f"session: got {message.session[:8]!r}, expected 32 lower-case hex digits (uuid.uuid4().hex)"
        )
    return StepId(message.session, message.episode, message.step)


def pack_observation(observation: Observation) -> pb.Observation:
    """The message of one observation, its frames as PNG."""
    frames = [pb.Frame(camera=name, png=encode_png(frame)) for name, frame in observation.frames.items()]
    return pb.Observation(
        frames=frames,
        proprioception=_pack_vector(observation.proprioception),
        sim_only=_pack_vector(observation.sim_only),
    )


def unpack_observation(message: pb.Observation, contract: Contract, *, stored: bool = False) -> Observation:
    """The observation of a message; raise `InvalidExperience` unless cameras, sizes and lengths are the contract's.

    stored: see `decode_png`
    """
    expected = sorted(camera.name for camera in contract.cameras)
    names = sorted(frame.camera for frame in message.frames[: len(expected) + 1])  # a message may hold a million
    if names != expected:
        short = [name[:64] for name in names]
        raise InvalidExperience(f"observation: got frames of {short}, the contract has {expected}, each exactly once")
    pictures = {frame.camera: frame.png for frame in message.frames}
    return Observation(
        frames={c.name: decode_png(pictures[c.name], c.size_px, c.name, stored=stored) for c in contract.cameras},
        proprioception=_unpack_vector("proprioception", message.proprioception, len(contract.proprioception)),
        sim_only=_unpack_vector("sim_only", message.sim_only, len(contract.sim_only)),
    )


def encode_png(frame: NDArray[np.uint8]) -> bytes:
    """PNG of a frame, lossless.

    frame: uint8 RGB (size_px, size_px, 3)
    """
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise InvalidExperience(f"frame: got {frame.dtype} {frame.shape}, expected uint8 RGB (size_px, size_px, 3)")
    # OpenCV's channel order is BGR. Level 1: higher ones take several times longer for a few per cent.
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise InvalidExperience(f"frame: a picture of {frame.shape} could not be written as PNG")
    return encoded.tobytes()


def decode_png(png: bytes, size_px: int, camera: str, *, stored: bool = False) -> NDArray[np.uint8]:
    """The frame of a PNG whose header says (size_px, size_px), RGB, 8 bits; else raise `InvalidExperience`.

    stored: `check_png` has found nothing when it came, so that only damage since then is looked for: libpng finds it by
        its checksums, in a sixth less time
    returns: uint8 RGB (size_px, size_px, 3)
    """
    if not stored:
        check_png(png, size_px, camera)
    bgr = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None or bgr.shape != (size_px, size_px, 3):
        raise InvalidExperience(f"camera {camera!r}: the PNG of {len(png)} bytes is damaged inside")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def check_png(png: bytes, size_px: int, camera: str) -> None:
    """Raise `InvalidExperience` unless length, header, chunks and the size of the pixels are those of the wire.

    PNG specification (third edition), 5.2 signature, 5.3 chunk layout, 11.2.1 IHDR, 10.1 compression.
    """
    limit = _largest_png_bytes(size_px)
    if len(png) > limit:
        raise InvalidExperience(f"camera {camera!r}: got a PNG of {len(png)} bytes, a frame needs at most {limit}")
    if not png.startswith(_PNG_SIGNATURE):
        raise InvalidExperience(f"camera {camera!r}: got {png[:8]!r} as the first bytes, expected a PNG")
    chunks = list(_png_chunks(png, camera))
    kinds = [kind for kind, _ in chunks]
    if kinds[:1] != [b"IHDR"] or kinds[-1:] != [b"IEND"] or set(kinds[1:-1]) != {b"IDAT"}:
        raise InvalidExperience(f"camera {camera!r}: got the PNG chunks {kinds[:8]}, expected IHDR, IDAT, IEND only")
    header = chunks[0][1]
    expected = struct.pack(">IIBBBBB", size_px, size_px, 8, 2, 0, 0, 0)
    if header != expected:
        got = f"{struct.unpack('>IIBBBBB', header)}" if len(header) == 13 else f"{len(header)} bytes"
        raise InvalidExperience(
            f"camera {camera!r}: the PNG header says {got}, expected {(size_px, size_px, 8, 2, 0, 0, 0)} "
            f"(width, height, bits, RGB, deflate, adaptive filter, not interlaced)"
        )
    _check_inflated(b"".join(content for kind, content in chunks if kind == b"IDAT"), _raw_bytes(size_px), camera)


def _raw_bytes(size_px: int) -> int:
    return size_px * (3 * size_px + 1)  # pixels and one filter byte per row


def _largest_png_bytes(size_px: int) -> int:
    raw = _raw_bytes(size_px)
    return raw + raw // 8 + 1024  # deflate's worst case and the chunks' frames lie well below


def _check_inflated(deflated: bytes, expected: int, camera: str) -> None:
    """libpng reads on to the end of the data, a thousandfold of what came, and drops what is no pixel: refuse it."""
    inflater = zlib.decompressobj()
    try:
        got = len(inflater.decompress(deflated, expected + 1))
    except zlib.error as error:
        raise InvalidExperience(f"camera {camera!r}: the PNG is damaged inside ({error})") from error
    if got != expected or not inflater.eof or inflater.unused_data:
        raise InvalidExperience(
            f"camera {camera!r}: the PNG's data hold {'more' if got > expected else 'less'} than its pixels or end "
            f"elsewhere, expected exactly {expected} bytes once inflated"
        )


def _png_chunks(png: bytes, camera: str) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk; libpng checks the CRC when it decodes."""
    place = len(_PNG_SIGNATURE)
    while place < len(png):
        if place + 12 > len(png):
            raise InvalidExperience(f"camera {camera!r}: the PNG breaks off at byte {len(png)}, inside a chunk")
        (length,) = struct.unpack_from(">I", png, place)
        end = place + 12 + length
        if end > len(png):
            raise InvalidExperience(f"camera {camera!r}: the PNG breaks off at byte {len(png)}, a chunk ends at {end}")
        yield png[place + 4 : place + 8], png[place + 8 : end - 4]
        place = end


def _pack_vector(values: NDArray[np.float32]) -> bytes:
    return values.astype("<f4").tobytes()


def _unpack_vector(name: str, data: bytes, length: int) -> NDArray[np.float32]:
    if len(data) != 4 * length:
        raise InvalidExperience(f"{name}: got {len(data)} bytes, the contract has {length} float32, {4 * length} bytes")
    return np.frombuffer(data, "<f4").astype(np.float32)  # a copy: native order, writable
