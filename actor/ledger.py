"""The ledger of one session: which steps wait, which are durable, how the connection stands.

Bookkeeping without threads or network of its own; `actor.link` drives it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator

import grpc

from actor.link_settings import LinkSettings
from actor.link_state import ExperienceRefused, LinkError, LinkState, LinkStatus, Welcome, reason_of
from actor.spool import Spool, SpoolFull
from nudge.v1 import learner_pb2 as pb
from policy.errors import ContractMismatch, InvalidExperience, NudgeError
from policy.experience import Step, StepId
from policy.wire import pack_step, unpack_step_id

SEND_BATCH = 16
OUTGOING_POLL_S = 0.2  # how soon a sender notices that its connection is gone

log = logging.getLogger(__name__)


class Ledger:
    """All that the threads of a link share. Every public method takes the lock itself."""

    def __init__(self, settings: LinkSettings, session: str) -> None:
        self._settings = settings
        self._session = session
        self._spool = Spool(settings.spool_capacity_steps)
        self._changed = threading.Condition()
        self._pending: deque[Step] = deque()  # taken, not packed yet
        self._unacknowledged = 0  # pending and spooled
        self._newest: Step | None = None
        self._acknowledged: StepId | None = None
        self._state = LinkState(LinkStatus.AWAY, time.monotonic(), "not connected yet")
        self._code: grpc.StatusCode | None = None  # of the last break
        self._welcome: Welcome | None = None  # the first one
        self._fault: NudgeError | None = None
        self._steps_behind = 0
        self._snapshot: tuple[int, bytes] | None = None
        self._known_version = 0
        self._closed = False

    # What the control loop asks.

    def take(self, step: Step) -> None:
        """Note a step that is to be sent; see `LearnerLink.send` for the errors."""
        with self._changed:
            self._check_usable()
            if self._closed:
                raise LinkError(f"{step.id}: the link is closed")
            self._check_follows(step)
            if self._unacknowledged >= self._settings.spool_capacity_steps:
                raise SpoolFull(
                    f"spool: {self._unacknowledged} steps wait for the learner, the most it may hold; the link is "
                    f"{self._state.status.value} ({self._state.error or 'no error'}): bring the learner back, or raise "
                    f"spool_capacity_steps"
                )
            self._pending.append(step)
            self._newest = step
            self._unacknowledged += 1
            self._changed.notify_all()

    def take_snapshot(self) -> tuple[int, bytes] | None:
        """The newest policy, if it has not been taken yet."""
        with self._changed:
            self._check_usable()
            snapshot, self._snapshot = self._snapshot, None
            return snapshot

    def steps_behind(self) -> int:
        """What the learner said last."""
        with self._changed:
            self._check_usable()
            return self._steps_behind

    def state(self) -> LinkState:
        """How the connection stands."""
        with self._changed:
            return self._state

    def unacknowledged(self) -> int:
        """How many steps are not durable yet."""
        with self._changed:
            return self._unacknowledged

    def wait_acknowledged(self, timeout_s: float) -> bool:
        """Wait until every step is durable; False after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._unacknowledged == 0 or self._fault is not None, timeout_s)
            self._check_usable()
            return self._unacknowledged == 0

    def wait_connected(self, timeout_s: float) -> Welcome | None:
        """The learner's first answer, as soon as it takes steps; None after `timeout_s`. Raise what went wrong."""
        with self._changed:
            self._changed.wait_for(lambda: self._fault or self._closed or self._connected(), timeout_s)
            self._check_usable()
            if self._closed:
                raise LinkError("link: closed while it was opening")
            return self._welcome if self._connected() else None

    def last_code(self) -> grpc.StatusCode | None:
        """Status code of the last break."""
        with self._changed:
            return self._code

    # What the threads of the link do.

    def close(self) -> None:
        """Wake everyone who waits; no step is taken any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_over(self, timeout_s: float) -> bool:
        """Wait `timeout_s`; True, at once, when there is nothing left to do: closed, or failed for good."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._closed or self._fault is not None, timeout_s))

    def pack_next(self) -> bool:
        """Pack the next step as soon as there is one; False when there is nothing left to do."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closed)
            if self._closed:
                return False
            step = self._pending.popleft()
        try:
            self._spool.append(pack_step(step))
        except InvalidExperience as error:
            self.fail(error)
            return False
        return True

    def outgoing(self, cursor: StepId | None, gone: threading.Event) -> Iterator[pb.Step]:
        """The steps behind `cursor`, as they come, until `gone` is set."""
        while not gone.is_set():
            for message in self._spool.after(cursor, SEND_BATCH, OUTGOING_POLL_S):
                yield message
                cursor = unpack_step_id(message.id)

    def greeted(self, welcome: Welcome) -> int:
        """Note the learner's answer to a Hello; return the policy version that we know.

        Raise `LinkError` when this is not the learner that our steps and our network belong to.
        """
        with self._changed:
            self._check_same_learner(welcome)
            if welcome.last_durable is not None:
                self._trim(welcome.last_durable)
            if welcome.policy_version < self._known_version:
                log.info("the learner went back from policy %d to %d", self._known_version, welcome.policy_version)
                self._known_version = 0
            self._welcome = self._welcome or welcome
            return self._known_version

    def acknowledged(self, ack: pb.Ack) -> None:
        """Note an acknowledgement: the learner is there and takes steps."""
        with self._changed:
            if ack.HasField("last_durable"):
                self._trim(unpack_step_id(ack.last_durable))
            self._steps_behind = ack.steps_behind
            self._set_state(LinkStatus.CONNECTED)

    def received(self, version: int, data: bytes) -> None:
        """Note a policy, in the place of one that nobody has taken."""
        with self._changed:
            self._snapshot, self._known_version = (version, data), version

    def broken(self, error: Exception) -> bool:
        """Note the end of a connection; True when it had been up."""
        code, text = reason_of(error)
        with self._changed:
            was_connected = self._connected()
            self._code = code
            if code is grpc.StatusCode.INVALID_ARGUMENT:
                self._fault = LinkError(text) if self._welcome is None else ExperienceRefused(text)
            elif code is grpc.StatusCode.FAILED_PRECONDITION and self._welcome is None:
                self._fault = ContractMismatch(text)
            self._set_state(LinkStatus.AWAY, "closed" if self._closed else text)
            return was_connected

    def fail(self, error: NudgeError) -> None:
        """Note an error after which this link cannot go on; whoever uses it next gets it."""
        with self._changed:
            self._fault = self._fault or error
            self._set_state(LinkStatus.AWAY, str(error))

    # With the lock held.

    def _connected(self) -> bool:
        return self._state.status is LinkStatus.CONNECTED

    def _check_usable(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _check_follows(self, step: Step) -> None:
        """The rule of the learner's store, checked where the caller can still be found."""
        last = self._newest
        same = last is not None and not last.last and step.id.episode == last.id.episode
        expected = last.id.step + 1 if last is not None and same else 0
        earliest = 0 if last is None else last.id.episode + (0 if same else 1)
        if step.id.session != self._session or step.id.episode < earliest or step.id.step != expected:
            raise InvalidExperience(
                f"{step.id}: it does not follow {last.id if last is not None else 'the beginning'}; expected session "
                f"{self._session}, episode {earliest} or later, steps counted from 0 without a gap"
            )

    def _check_same_learner(self, now: Welcome) -> None:
        first, kept, durable = self._welcome, self._acknowledged, now.last_durable
        if first is not None and (now.run_id, now.policy_spec_json) != (first.run_id, first.policy_spec_json):
            raise LinkError(
                f"the learner at {self._settings.address} serves run {now.run_id!r}, this actor began with "
                f"{first.run_id!r} or with another policy; start that learner again, or restart this actor"
            )
        if kept is not None and (durable is None or (durable.episode, durable.step) < (kept.episode, kept.step)):
            raise LinkError(
                f"the learner has steps up to {durable}, but had acknowledged {kept}; start it on its own store again, "
                f"or restart this actor"
            )

    def _trim(self, up_to: StepId) -> None:
        if up_to.session != self._session:
            raise LinkError(f"acknowledgement: got one for session {up_to.session}, ours is {self._session}")
        self._acknowledged = up_to
        self._unacknowledged -= self._spool.trim(up_to)
        self._changed.notify_all()

    def _set_state(self, status: LinkStatus, error: str = "") -> None:
        since_s = self._state.since_s if status is self._state.status else time.monotonic()
        if (status, error) != (self._state.status, self._state.error):
            log.info("learner %s%s", status.value, f": {error}" if error else "")
        self._state = LinkState(status, since_s, error)
        self._changed.notify_all()
