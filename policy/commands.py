"""What a person tells an actor or the learner from elsewhere, and what became of it, for both ends and the tools.

A command is done once or not at all, and never when it has grown too old: whoever pressed a button looks at the arm as
it is now, not as it will be once some network has woken up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

from nudge.v1 import learner_pb2 as pb
from policy.errors import NudgeError
from policy.wire import ACTOR_ID

REQUEST_ID = re.compile(r"[0-9a-f]{32}")


class Verb(IntEnum):
    """What a person wants. Equal to `nudge.v1.Verb` on the wire; 0 is never used."""

    PAUSE = 1
    RESUME = 2
    SUCCESS = 3
    FAILURE = 4
    RERECORD = 5
    STOP = 6
    EMERGENCY_STOP = 7
    CHECKPOINT = 8
    PAUSE_TRAINING = 9
    RESUME_TRAINING = 10

    @property
    def judges(self) -> bool:
        """Whether it ends an episode, and so must not meet another one."""
        return self in (Verb.SUCCESS, Verb.FAILURE, Verb.RERECORD)

    @property
    def for_learner(self) -> bool:
        """Whether the learner heeds it, and no actor."""
        return self in (Verb.CHECKPOINT, Verb.PAUSE_TRAINING, Verb.RESUME_TRAINING)

    @property
    def words(self) -> str:
        """For people."""
        return self.name.lower().replace("_", " ")

    @property
    def wire_name(self) -> str:
        """Its name in the `.proto`."""
        return f"VERB_{self.name}"


class Outcome(IntEnum):
    """What became of a command. Equal to `nudge.v1.Outcome` on the wire; 0 is never used."""

    DONE = 1
    REFUSED = 2
    NO_ACTOR = 3
    TOO_LATE = 4
    UNANSWERED = 5  # handed over; it may have been done, but will not be from now on

    @property
    def words(self) -> str:
        """For people."""
        return self.name.lower().replace("_", " ")

    @property
    def wire_name(self) -> str:
        """Its name in the `.proto`."""
        return f"OUTCOME_{self.name}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command. actor_id: whom it went to; empty for the learner, or nobody."""

    outcome: Outcome
    reason: str
    actor_id: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What a person asks the learner to do, or to pass on.

    request_id: 32 hex digits; a retry has those of the first attempt
    actor_id: empty for the only one that is connected
    episode: which one a verdict means; None for the one that runs
    asked_ns: the learner's clock, some time before the person asked; 0 counts from its arrival
    """

    verb: Verb
    request_id: str
    actor_id: str = ""
    episode: int | None = None
    asked_ns: int = 0


@dataclass(frozen=True, slots=True)
class ActorOrder:
    """A command on its way from the learner to an actor. expires_ns: on the learner's clock."""

    verb: Verb
    request_id: str
    episode: int | None
    expires_ns: int


class InvalidCommand(NudgeError):
    """A command that no tool of ours sends."""


def pack_command(command: Command) -> pb.CommandRequest:
    """The message of a command."""
    message = pb.CommandRequest(
        verb=command.verb.wire_name,
        request_id=command.request_id,
        actor_id=command.actor_id,
        asked_ns=command.asked_ns,
    )
    if command.episode is not None:
        message.episode = command.episode
    return message


def unpack_command(message: pb.CommandRequest, now_ns: int) -> Command:
    """The command of a message that came from outside; raise `InvalidCommand`. now_ns: the learner's clock."""
    verb, episode = _known(Verb, "verb", message.verb), message.episode if message.HasField("episode") else None
    _check_request_id(message.request_id)
    if message.actor_id and re.fullmatch(ACTOR_ID, message.actor_id) is None:
        raise InvalidCommand(f"actor_id: got {message.actor_id[:80]!r}, expected an actor's name, or none")
    if message.actor_id and verb.for_learner:
        raise InvalidCommand(f"actor_id: got {message.actor_id!r}, but {verb.words} is for the learner; name no actor")
    if episode is not None and not verb.judges:
        raise InvalidCommand(f"episode: got {episode}, but {verb.words} is not about an episode; name none")
    if not 0 <= message.asked_ns <= now_ns:
        raise InvalidCommand(
            f"asked_ns: got {message.asked_ns}, this learner's clock says {now_ns}; ask for its status, and send what "
            f"`now_ns` says there"
        )
    return Command(verb, message.request_id, message.actor_id, episode, message.asked_ns)


def pack_order(order: ActorOrder) -> pb.ActorCommand:
    """The message of a command to an actor."""
    message = pb.ActorCommand(verb=order.verb.wire_name, request_id=order.request_id, expires_ns=order.expires_ns)
    if order.episode is not None:
        message.episode = order.episode
    return message


def unpack_order(message: pb.ActorCommand) -> ActorOrder:
    """The command of a message from the learner; raise `InvalidCommand` for one that is no actor's."""
    verb = _known(Verb, "verb", message.verb)
    _check_request_id(message.request_id)
    if verb.for_learner:
        raise InvalidCommand(f"verb: got {verb.words}, which is for the learner itself")
    episode = message.episode if message.HasField("episode") else None
    return ActorOrder(verb, message.request_id, episode, message.expires_ns)


def pack_answer(request_id: str, answer: Answer, longest: int) -> pb.CommandAnswer:
    """The message in which an actor says what became of a command. longest: characters of the reason"""
    return pb.CommandAnswer(request_id=request_id, outcome=answer.outcome.wire_name, reason=answer.reason[:longest])


def unpack_answer(message: pb.CommandAnswer | pb.CommandReply, actor_id: str) -> Answer:
    """What became of a command, of a message from outside; raise `InvalidCommand`. actor_id: who says so"""
    return Answer(_known(Outcome, "outcome", message.outcome), message.reason, actor_id)


def _known[T: IntEnum](kind: type[T], name: str, value: int) -> T:
    try:
        return kind(value)
    except ValueError:
        raise InvalidCommand(f"{name}: got {int(value)}, expected one of {list(map(int, kind))}") from None


def _check_request_id(request_id: str) -> None:
    if REQUEST_ID.fullmatch(request_id) is None:
        raise InvalidCommand(f"request_id: got {request_id[:40]!r}, expected 32 lower-case hex digits (uuid4().hex)")
