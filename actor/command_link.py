"""What goes over a connection beside steps and policies: people's commands in, at what the actor is and answers out.

Experience comes first: where this fails and the connection does not, it is tried again, and steps flow on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc

from actor.command_desk import CommandDesk
from actor.connection import Connection
from actor.link_state import LinkState, reason_of
from nudge.v1 import learner_pb2 as pb
from policy.commands import InvalidCommand, pack_answer, unpack_order
from teleop.takeover import Control

LOOK_S = 0.1  # between two looks at what has changed
REPORT_S = 1.0  # between two reports of what has not
RETRY_S = 1.0  # after a call that failed
LONGEST_TEXT = 300  # characters of a sentence
MOST_ANSWERS = 8  # in a report, whose size is limited
FIRST_MINOR = 3  # of protocol 1: the first with these calls

_CONTROL = {
    None: pb.CONTROL_NOBODY,
    Control.POLICY: pb.CONTROL_POLICY,
    Control.ALIGNING: pb.CONTROL_ALIGNING,
    Control.HUMAN: pb.CONTROL_HUMAN,
    Control.RELEASING: pb.CONTROL_RELEASING,
}


def knows_commands(protocol_version: str) -> bool:
    """Whether a learner of this version has the calls that this needs."""
    minor = protocol_version.partition(".")[2]
    return minor.isdecimal() and int(minor) >= FIRST_MINOR


class CommandLink:
    """Serves a desk over one connection after the other. link_state: where the reason of a pause may stand"""

    def __init__(self, desk: CommandDesk, link_state: Callable[[], LinkState], session: str) -> None:
        self._desk, self._link_state, self._session = desk, link_state, session
        self._told = ""

    def begin(self, connection: Connection, *, learner_knows: bool) -> tuple[Callable[[], None], ...]:
        """What goes on over this connection, each part in a thread of its own; nothing with a learner of before 1.3."""
        self._desk.connected()
        if not learner_knows:
            self._tell_once("the learner is older than this actor, and passes no commands on; install the same version")
            return ()
        return lambda: self._receive(connection), lambda: self._report(connection)

    def _receive(self, connection: Connection) -> None:
        while not self._desk.clock.is_known:  # else all that comes would pass for too old
            if connection.gone(LOOK_S):
                return
        while not connection.gone(0):
            try:
                for message in connection.commands(self._session):
                    self._take(message)
            except grpc.RpcError as error:
                self._tell_failure(connection, error)
            connection.gone(RETRY_S)

    def _take(self, message: pb.ActorCommand) -> None:
        try:
            self._desk.receive(unpack_order(message))
        except InvalidCommand as error:  # of a learner that is newer than this actor
            self._desk.tell(f"a command from elsewhere is not understood: {error}")

    def _report(self, connection: Connection) -> None:
        last: pb.ActorState | None = None
        last_s = 0.0
        while not connection.gone(LOOK_S):
            answers, state = self._desk.answers()[:MOST_ANSWERS], self._state()
            due = time.monotonic() - last_s >= REPORT_S
            if not (answers or due or last is None or _differs(state, last)):
                continue
            request = pb.ReportStateRequest(state=state)
            request.answers.extend(pack_answer(order.request_id, answer, LONGEST_TEXT) for order, answer in answers)
            asked_ns = self._desk.clock.ours_ns()
            try:
                reply = connection.report(self._session, request)
            except (grpc.RpcError, grpc.FutureCancelledError) as error:
                self._tell_failure(connection, error)
                connection.gone(RETRY_S)
                continue
            self._desk.clock.heard(reply.now_ns, asked_ns)
            self._desk.delivered(len(answers))
            last, last_s = state, time.monotonic()

    def _state(self) -> pb.ActorState:
        state, pause = self._desk.board.state, self._link_state().pause
        paused = "by the operator" if state.paused else "" if pause is None else f"{pause.cause.value}: {pause.reason}"
        made = pb.ActorState(
            control=_CONTROL[state.control],
            step=state.steps,
            demonstrating=state.demonstrating,
            paused=paused[:LONGEST_TEXT],
            awaited=state.awaited[:LONGEST_TEXT],
            fault=state.fault[:LONGEST_TEXT],
            emergency=self._desk.emergency.pressed_by[:LONGEST_TEXT],
        )
        if state.episode is not None:
            made.episode = state.episode
        return made

    def _tell_failure(self, connection: Connection, error: Exception) -> None:
        """Unless the connection has ended, which is told as such."""
        if not connection.gone(0):
            self._tell_once(f"commands from elsewhere do not come through: {reason_of(error)[1]}")

    def _tell_once(self, what: str) -> None:
        if what != self._told:
            self._told = what
            self._desk.tell(what)


def _differs(state: pb.ActorState, last: pb.ActorState) -> bool:
    """Whether anything has changed but the number of the step, which always does."""
    without = pb.ActorState()
    without.CopyFrom(state)
    without.step = last.step
    return without != last
