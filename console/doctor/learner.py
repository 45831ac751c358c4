"""The doctor's knock at the learner's door: is it there, does it let us in, and does it speak of the same contract?"""

from __future__ import annotations

import uuid

import grpc

from actor.connection import Connection
from actor.link_state import reason_of
from actor.security import load_link_security
from console.doctor.context import Context
from console.doctor.findings import Finding, amber, good, red
from console.settings import Settings
from nudge.v1 import learner_pb2 as pb
from policy.wire import PROTOCOL_VERSION


def check_learner(context: Context) -> list[Finding]:
    """Shake hands as the actor would, under a name of its own: the lease lapses by itself, and nothing is stored.

    Raises `SecurityError` where keys or token do not fit, `ArtefactError` where the paying classifier is missing.
    """
    contract, doctor = context.settings.contract, context.settings.doctor
    link = context.settings.link.model_copy(update={"call_timeout_s": doctor.learner_s})
    judge, name = _judge(context.settings), uuid.uuid4().hex
    connection = Connection(link, load_link_security(link))
    try:
        reply = connection.hello(
            pb.HelloRequest(
                protocol_version=PROTOCOL_VERSION,
                contract_hash=contract.hash,
                contract_json=contract.canonical_json(),
                actor_id=f"doctor-{name[:8]}",
                session=name,
                judge=judge,
            )
        )
    except grpc.RpcError as error:
        return [_refused(error, link.address, doctor.learner_s)]
    finally:
        connection.close()
    return [
        good(
            f"run {reply.run_id!r} at {link.address}, protocol {reply.protocol_version}, the same contract "
            f"({contract.hash[:12]}), policy version {reply.policy_version}",
            values={"policy_version": float(reply.policy_version)},
        )
    ]


def _judge(settings: Settings) -> str:
    """Who would pay, as the actor says it: a run keeps to one judge."""
    if settings.task.judge != "classifier":
        return settings.task.judge
    from reward_classifier.artefact import read_facts  # torch costs seconds

    return read_facts(settings.classifier_folder).name


def _refused(error: grpc.RpcError, address: str, deadline_s: float) -> Finding:
    code, reason = reason_of(error)
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        cure = "start it with `nudge learner` before the actor, or set --link.address"
        return amber(f"nobody answers at {address} within {deadline_s:g} s", "a learner", cure)
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return red(reason, "the same contract, protocol and judge", "start both ends with the same release and preset")
    return red(reason, f"a learner at {address} that takes this actor", "see what its terminal says")
