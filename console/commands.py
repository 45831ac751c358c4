"""A person's tool at the learner's door: what the actors are at, and a word to one of them or to the learner.

For pages and for `nudge tell`. Knows no preset and prints nothing.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Self

import grpc

from actor.connection import Connection
from actor.link_settings import LinkSettings
from actor.link_state import reason_of
from actor.security import load_link_security
from console.errors import ConsoleError
from nudge.v1 import learner_pb2 as pb
from policy.commands import Answer, Command, Outcome, Verb, pack_command, unpack_answer

ANSWER_S = 30.0  # longest wait for what became of a command: more than the learner takes to know it


class CommandClient:
    """A connection to a learner, made when it is needed and anew after it broke. Safe to use from any thread.

    link: address, TLS and token as an actor has them
    Every method raises `ConsoleError` where the learner does not answer or refuses the call, `SecurityError` where keys
    or token do not fit.
    """

    def __init__(self, link: LinkSettings) -> None:
        self._link, self._security = link, load_link_security(link)
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def status(self) -> pb.StatusReply:
        """Where the run stands, and what each actor is at."""
        return self._call(Connection.status)

    def send(self, verb: Verb, *, actor_id: str = "", episode: int | None = None, request_id: str = "") -> Answer:
        """Tell somebody something, and wait until it is known what became of it: seconds at most.

        actor_id: empty where one is connected, and for what is the learner's
        episode: which one a verdict means, as the person saw it; None for the one that runs now
        request_id: of the first attempt, for a retry (`uuid.uuid4().hex`): it is done once at most
        """
        status = self.status()  # its time is before the command leaves: on a network that sleeps, it grows old
        if verb.judges and episode is None:
            running = _running_episode(status, actor_id)
            if isinstance(running, Answer):
                return running
            episode = running
        request = pack_command(Command(verb, request_id or uuid.uuid4().hex, actor_id, episode, status.now_ns))
        reply = self._call(lambda connection: connection.command(request, ANSWER_S))
        return unpack_answer(reply, reply.actor_id)

    def close(self) -> None:
        """Give the connection back. May be called twice; the next call makes another one."""
        if (connection := self._connection) is not None:
            self._drop(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call[T](self, call: Callable[[Connection], T], *, again: bool = True) -> T:
        """Once more where the connection broke: a command that arrived all the same is known by its id."""
        connection = self._connected()
        try:
            return call(connection)
        except grpc.FutureCancelledError as error:  # another thread has found it broken
            if not again:
                raise ConsoleError(
                    f"the connection to {self._link.address} broke again and again; try later"
                ) from error
        except grpc.RpcError as error:
            broken = error.code() is grpc.StatusCode.UNAVAILABLE
            if broken:
                self._drop(connection)
            if not (broken and again):
                raise self._failed(error) from error
        return self._call(call, again=False)

    def _connected(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = Connection(self._link, self._security)
            return self._connection

    def _drop(self, connection: Connection) -> None:
        """The next call makes another one: gRPC would remember the failure, and wait longer and longer."""
        with self._lock:
            if self._connection is connection:
                self._connection = None
        connection.close()

    def _failed(self, error: grpc.RpcError) -> ConsoleError:
        code, reason = reason_of(error)
        where = f"the learner at {self._link.address}"
        if code is grpc.StatusCode.UNIMPLEMENTED:
            return ConsoleError(f"{where} is older than this tool; install the same version on both machines")
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return ConsoleError(
                f"no learner answers at {self._link.address} ({reason}); start it with `nudge learner`, or say where "
                f"it is with --link.address"
            )
        return ConsoleError(f"{where} refuses: {reason}")


def _running_episode(status: pb.StatusReply, actor_id: str) -> int | Answer | None:
    """The episode that runs at the actor that is meant; a refusal where none does, None where the learner judges."""
    meant = [each for each in status.actors if each.connected and actor_id in ("", each.actor_id)]
    if len(meant) != 1:
        return None
    state = meant[0].state
    if state.control == pb.CONTROL_NOBODY or not state.HasField("episode"):
        return Answer(Outcome.REFUSED, "no episode runs", meant[0].actor_id)
    return state.episode
