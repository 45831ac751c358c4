"""What a Hello must bring: the same protocol, the same contract, and ids of the right form."""

from __future__ import annotations

import hashlib
import re

from pydantic import ValidationError

from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import ContractMismatch, NudgeError
from policy.wire import ACTOR_ID, JUDGE, PROTOCOL_VERSION, SESSION


class HelloInvalid(NudgeError):
    """A Hello that no Nudge sends."""


def check_hello(request: pb.HelloRequest, contract: Contract, max_contract_bytes: int) -> None:
    """Raise `HelloInvalid` for what no Nudge sends, `ContractMismatch` for a Nudge that does not fit this one.

    A newer minor version may bring fields that we do not know: protobuf keeps them apart, and nothing here asks.
    """
    version = re.fullmatch(r"(\d{1,9})\.\d{1,9}", request.protocol_version)
    if version is None:
        raise HelloInvalid(f"protocol_version: got {request.protocol_version[:32]!r}, expected major.minor")
    if version[1] != PROTOCOL_VERSION.partition(".")[0]:
        raise ContractMismatch(
            f"protocol: the actor speaks {request.protocol_version}, this learner {PROTOCOL_VERSION}; another major "
            f"version is another language: install the same version of Nudge on both machines"
        )
    if re.fullmatch(ACTOR_ID, request.actor_id) is None:
        raise HelloInvalid(f"actor_id: got {request.actor_id[:80]!r}, expected 1 to 64 letters, digits, '.', '_', '-'")
    if SESSION.fullmatch(request.session) is None:
        raise HelloInvalid(f"session: got {request.session[:8]!r}, expected 32 lower-case hex digits")
    if JUDGE.fullmatch(request.judge) is None:
        raise HelloInvalid(
            f"judge: got {request.judge[:80]!r}, expected simulator, operator, or 64 lower-case hex digits"
        )
    body = request.contract_json.encode()
    if len(body) > max_contract_bytes:
        raise HelloInvalid(f"contract_json: got {len(body)} bytes, expected at most {max_contract_bytes}")
    if hashlib.sha256(body).hexdigest() != request.contract_hash:
        raise HelloInvalid(f"contract_hash: got {request.contract_hash[:80]!r}, which is not the hash of contract_json")
    if request.contract_hash == contract.hash:
        return
    try:
        theirs = Contract.model_validate_json(request.contract_json)
    except ValidationError as error:
        raise ContractMismatch(
            f"the actor's contract cannot be read here: {error}\nInstall the same version of Nudge on both machines."
        ) from error
    contract.require_equal(theirs, "the learner", "the actor")
