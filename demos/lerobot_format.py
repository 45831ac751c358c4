"""A step as a row of a LeRobotDataset v3, and back: docs/demos-exchange.md tells the features one by one.

What LeRobot has a name for goes by that name; the rest begins with `nudge.`, which no policy of LeRobot takes for an
input. The contract stands in the description of the feature `action`, so that LeRobot's own tools carry it on, and
refuse to merge datasets of different contracts.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from demos.errors import ExchangeRefused
from policy.contract import Contract
from policy.errors import InvalidExperience
from policy.experience import Observation, Source, Step, StepId
from policy.wire import decode_png, encode_png

FORMAT = 1
STATE, IMAGES, ACTION = "observation.state", "observation.images.", "action"
REWARD, DONE, SUCCESS = "next.reward", "next.done", "next.success"
TERMINATED, TRUNCATED = "next.terminated", "next.truncated"
SESSION, EPISODE, SOURCE, VERSION = "nudge.session", "nudge.episode", "nudge.source", "nudge.policy_version"
MONOTONIC, WALL, REJECTED = "nudge.monotonic_ns", "nudge.wall_ns", "nudge.rejected"
SIM_ONLY, FINAL = "nudge.sim_only", "nudge.final"

Row = Mapping[str, Any]
Features = Mapping[str, Mapping[str, Any]]


def features_of(contract: Contract, *, video: bool) -> dict[str, dict[str, Any]]:
    """LeRobot's description of each feature of a row."""
    scalars = {REWARD: "float32", EPISODE: "int64", VERSION: "int64"}
    flags = dict.fromkeys((DONE, SUCCESS, TERMINATED, TRUNCATED, REJECTED), "bool")
    # Times are texts: LeRobot's statistics keep numbers as doubles, which hold no nanoseconds since 1970.
    texts = dict.fromkeys((SESSION, SOURCE, FINAL, MONOTONIC, WALL), "string")
    action = [f"{dim.name} [{dim.scale:g} {dim.unit}]" for dim in contract.action]
    features: dict[str, dict[str, Any]] = {
        STATE: _vector([f"{dim.name} [{dim.unit}]" for dim in contract.proprioception]),
        **{f"{IMAGES}{camera.name}": _picture(camera.size_px, video=video) for camera in contract.cameras},
        ACTION: _vector(action) | {"info": {"nudge": _stamp(contract)}},
        **{key: {"dtype": dtype, "shape": (1,), "names": None} for key, dtype in (scalars | flags | texts).items()},
    }
    if contract.sim_only:  # LeRobot has no vectors of length zero
        features[SIM_ONLY] = _vector([f"{dim.name} [{dim.unit}]" for dim in contract.sim_only])
    return features


def contract_in(features: Features, where: str) -> Contract | None:
    """The contract that a dataset carries; None for a dataset that Nudge has not made.

    where: what the dataset is called in errors
    Raise `ExchangeRefused` for one of another format, or whose contract is not the one of its hash.
    """
    stamp = (features.get(ACTION, {}).get("info") or {}).get("nudge")
    if stamp is None:
        return None
    if stamp.get("format") != FORMAT:
        raise ExchangeRefused(
            f"{where}: got format {stamp.get('format')} of Nudge's datasets, expected {FORMAT}; use a newer Nudge"
        )
    try:
        contract = Contract.model_validate(stamp["contract"])
    except (KeyError, ValidationError) as error:
        raise ExchangeRefused(f"{where}: its contract cannot be read by this version of Nudge: {error}") from error
    if contract.hash != stamp.get("contract_hash"):
        raise ExchangeRefused(
            f"{where}: its contract has the hash {contract.hash[:12]}, but it says "
            f"{str(stamp.get('contract_hash'))[:12]}; somebody has changed it: export the experience again"
        )
    return contract


def require_features(features: Features, contract: Contract, where: str) -> None:
    """Raise `ExchangeRefused` with each feature that is missing, or not what the contract makes of it."""
    wrong = []
    for key, expected in features_of(contract, video=False).items():
        got = features.get(key)
        pictures = {"image", "video"}
        if got is None:
            wrong.append(f"  {key}: missing")
        elif tuple(got["shape"]) != expected["shape"] or not (
            got["dtype"] == expected["dtype"] or {got["dtype"], expected["dtype"]} <= pictures
        ):
            wrong.append(f"  {key}: {got['dtype']} {tuple(got['shape'])} != {expected['dtype']} {expected['shape']}")
    if wrong:
        lines = "\n".join(wrong)
        raise ExchangeRefused(f"{where}: its features are not those of its contract:\n{lines}\nexport it again")


def pack_row(step: Step, task: str, *, session: str, success: bool) -> dict[str, Any]:
    """The row of a step, as `LeRobotDataset.add_frame` takes it.

    session: under which name; success: the episode ends here, with reward
    """
    row = {
        STATE: step.observation.proprioception,
        **{f"{IMAGES}{name}": frame for name, frame in step.observation.frames.items()},
        ACTION: step.action,
        REWARD: np.array([step.reward], np.float32),
        DONE: np.array([step.last]),
        SUCCESS: np.array([success]),
        TERMINATED: np.array([step.terminated]),
        TRUNCATED: np.array([step.truncated]),
        SESSION: session,
        EPISODE: np.array([step.id.episode], np.int64),
        SOURCE: step.source.name.lower(),
        VERSION: np.array([step.policy_version], np.int64),
        MONOTONIC: str(step.monotonic_ns),
        WALL: str(step.wall_ns),
        REJECTED: np.array([step.rejected]),
        FINAL: "" if step.final is None else _final_text(step.final),
        "task": task,
    }
    if step.observation.sim_only.size:
        row[SIM_ONLY] = step.observation.sim_only
    return row


def unpack_row(row: Row, index: int, frames: dict[str, NDArray[np.uint8]], contract: Contract) -> Step:
    """The step of a row, not yet checked against the contract.

    index: which step of its episode; frames: camera name -> uint8 RGB (size_px, size_px, 3)
    Raise `InvalidExperience` for a source or a final observation that is none.
    """
    where = StepId(row[SESSION], int(row[EPISODE]), index)
    if row[SOURCE].upper() not in Source.__members__:
        known = ", ".join(name.lower() for name in Source.__members__)
        raise InvalidExperience(f"source of {where}: got {row[SOURCE][:16]!r}, expected one of {known}")
    return Step(
        id=where,
        observation=Observation(frames, _floats(row[STATE]), _floats(row.get(SIM_ONLY, ()))),
        action=_floats(row[ACTION]),
        source=Source[row[SOURCE].upper()],
        reward=float(row[REWARD]),
        terminated=bool(row[TERMINATED]),
        truncated=bool(row[TRUNCATED]),
        policy_version=int(row[VERSION]),
        monotonic_ns=int(row[MONOTONIC]),
        wall_ns=int(row[WALL]),
        final=_final_of(row[FINAL], where, contract) if row[FINAL] else None,
        rejected=bool(row[REJECTED]),
    )


def _stamp(contract: Contract) -> dict[str, Any]:
    return {"format": FORMAT, "contract_hash": contract.hash, "contract": contract.model_dump(mode="json")}


def _vector(names: list[str]) -> dict[str, Any]:
    return {"dtype": "float32", "shape": (len(names),), "names": names}


def _picture(size_px: int, *, video: bool) -> dict[str, Any]:
    names = ["height", "width", "channels"]
    return {"dtype": "video" if video else "image", "shape": (size_px, size_px, 3), "names": names}


def _final_text(final: Observation) -> str:
    """JSON of the observation after the last step: a double holds each float32, and its shortest digits hold that."""
    pictures = {name: base64.b64encode(encode_png(frame)).decode() for name, frame in final.frames.items()}
    vectors = {"state": final.proprioception.tolist(), "sim_only": final.sim_only.tolist()}
    return json.dumps(vectors | {"png": pictures})


def _final_of(text: str, where: StepId, contract: Contract) -> Observation:
    sizes = {camera.name: camera.size_px for camera in contract.cameras}
    try:
        final = json.loads(text)
        pictures = {name: base64.b64decode(final["png"][name], validate=True) for name in sizes}
        return Observation(
            frames={name: decode_png(png, sizes[name], name) for name, png in pictures.items()},
            proprioception=_floats(final["state"]),
            sim_only=_floats(final["sim_only"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidExperience(f"final observation of {where}: cannot be read ({error!r})") from error


def _floats(values: Any) -> NDArray[np.float32]:
    return np.atleast_1d(np.asarray(values, np.float32))
