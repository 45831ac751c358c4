"""The ledger of one session: which steps wait, which the learner has, how the connection stands.

Bookkeeping without threads or network of its own; `actor.link` drives it. The spool's file is never read or written
with the lock held: the control loop waits for no disk.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterator

import grpc

from actor.link_settings import LinkSettings
from actor.link_state import (
    ExperienceRefused,
    LinkError,
    LinkState,
    LinkStatus,
    OtherLearner,
    Pause,
    PauseCause,
    Welcome,
    reason_of,
)
from actor.same_learner import check_same_learner
from actor.spool import TRIM_BATCH, Spool
from actor.spool_record import Place
from actor.step_queue import StepQueue
from nudge.v1 import learner_pb2 as pb
from policy.errors import ContractMismatch, NudgeError, SecurityError
from policy.experience import Step, StepId
from policy.step_schema import StoreError
from policy.wire import unpack_step_id

SEND_BATCH = 16
OUTGOING_POLL_S = 0.2  # how soon a sender notices that its connection is gone

log = logging.getLogger(__name__)


class Ledger:
    """All that the threads of a link share. Every public method takes the lock itself."""

    def __init__(self, settings: LinkSettings, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self._changed = threading.Condition()
        self._steps = StepQueue(settings, spool)
        self._state = LinkState(LinkStatus.AWAY, time.monotonic(), "not connected yet")
        self._code: grpc.StatusCode | None = None  # of the last break
        self._welcome: Welcome | None = None  # the first one
        self._fault: NudgeError | None = None
        self._steps_behind = 0
        self._closed = False

    # What the control loop asks.

    def take(self, step: Step) -> None:
        """Note a step that is to be sent; see `LearnerLink.send` for the errors."""
        with self._changed:
            self._check_usable()
            if self._closed:
                raise LinkError(f"{step.id}: the link is closed")
            self._steps.take(step)
            self._changed.notify_all()

    def pause(self) -> Pause | None:
        """Why the control loop is to pause; None when it may go on."""
        with self._changed:
            self._check_usable()
            return self._pause()

    def check_usable(self) -> None:
        """Raise what has ended this link for good."""
        with self._changed:
            self._check_usable()

    def steps_behind(self) -> int:
        """What the learner said last, and the steps that it does not even have."""
        with self._changed:
            self._check_usable()
            return self._steps_behind + self._steps.unacknowledged

    def state(self) -> LinkState:
        """How the link stands."""
        with self._changed:
            gauge = self._steps.gauge
            return dataclasses.replace(
                self._state,
                waiting_steps=self._steps.unacknowledged,
                fill=gauge.fill,
                filling=gauge.filling,
                pause=self._pause(),
            )

    def unwritten(self) -> int:
        """How many steps are not on disk yet."""
        with self._changed:
            return self._steps.in_memory

    def wait_written(self, timeout_s: float) -> bool:
        """Wait until every step is on this machine's disk; False after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._steps.in_memory == 0 or self._closed, timeout_s)
            return self._steps.in_memory == 0

    def wait_acknowledged(self, timeout_s: float) -> bool:
        """Wait until the learner has every step; False after `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._steps.unacknowledged == 0 or self._fault is not None, timeout_s)
            self._check_usable()
            return self._steps.unacknowledged == 0

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

    def wait_for_writing(self, timeout_s: float) -> bool:
        """Wait for steps to write or a batch to trim, at most `timeout_s`; False when the link is closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._steps.in_memory > 0 or self._steps.trimmable >= TRIM_BATCH, timeout_s
            )
            return not self._closed

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait `timeout_s`; True, at once, when the link is closed."""
        with self._changed:
            return bool(self._changed.wait_for(lambda: self._closed, timeout_s))

    def hand_out(self, limit: int) -> tuple[list[Step], Place, bool]:
        """Up to `limit` steps to write, how far the learner is, and whether it is time to trim."""
        with self._changed:
            group = self._steps.hand_out(limit)
            due = self._steps.trimmable >= (
                TRIM_BATCH if self._steps.in_memory and not self._steps.gauge.filling else 1
            )
            return group, self._steps.acknowledged, due

    def written(self) -> None:
        """What had been handed out is on disk, and may be sent."""
        with self._changed:
            self._steps.written(self._spool)
            self._changed.notify_all()

    def not_written(self, error: NudgeError) -> None:
        """The disk did not take what had been handed out; the writer keeps it."""
        with self._changed:
            self._steps.not_written(str(error))

    def outgoing(self, gone: threading.Event) -> Iterator[pb.Step]:
        """The steps that the learner does not have, as they become durable here, until `gone` is set."""
        with self._changed:
            sent_seq = self._steps.acknowledged.seq
        while not gone.is_set():
            if not self._wait_durable(sent_seq):
                continue
            try:
                batch = self._spool.read_after(sent_seq, SEND_BATCH)
            except StoreError as error:
                self.fail(error)
                return
            for seq, message in batch:
                yield message
                sent_seq = seq

    def greeted(self, welcome: Welcome) -> None:
        """Note the learner's answer to a Hello.

        Raise `OtherLearner` when this is not the learner that our steps and our network belong to.
        """
        with self._changed:
            first, acknowledged = self._welcome, self._steps.acknowledged
        check_same_learner(welcome, first, self._spool, acknowledged, self._settings.address)
        if self._spool.run_id is None:
            self._spool.bind(welcome.run_id)
        place = self._place(welcome.last_durable)
        with self._changed:
            self._acknowledge(place)
            self._welcome = self._welcome or welcome

    def acknowledged(self, ack: pb.Ack) -> None:
        """Note an acknowledgement: the learner is there and takes steps."""
        place = self._place(unpack_step_id(ack.last_durable) if ack.HasField("last_durable") else None)
        with self._changed:
            self._acknowledge(place)
            self._steps_behind = ack.steps_behind
            self._set_state(LinkStatus.CONNECTED)

    def broken(self, error: Exception) -> bool:
        """Note the end of a connection; True when it had been up."""
        code, text = reason_of(error)
        with self._changed:
            was_connected = self._connected()
            self._code = code
            if code is grpc.StatusCode.INVALID_ARGUMENT:
                self._fault = LinkError(text) if self._welcome is None else self._refused(text)
            elif code is grpc.StatusCode.FAILED_PRECONDITION and self._welcome is None:
                self._fault = ContractMismatch(text)
            elif isinstance(error, (OtherLearner, SecurityError)) and self._welcome is None:
                self._fault = error
            self._set_state(LinkStatus.AWAY, "closed" if self._closed else text)
            return was_connected

    def fail(self, error: NudgeError) -> None:
        """Note an error after which this link cannot go on; whoever uses it next gets it."""
        with self._changed:
            self._fault = self._fault or error
            self._set_state(LinkStatus.AWAY, str(error))

    def _place(self, step: StepId | None) -> Place:
        """Where in the spool the learner's last step stands; raise `LinkError` for one that was never sent."""
        with self._changed:
            known = self._steps.acknowledged
        if step is None or (known.step is not None and step.order <= known.step.order):
            return known
        place = self._spool.place_of(step)
        if place is None:
            raise LinkError(f"acknowledgement: got one for {step}, which {self._spool.path} has not sent")
        return place

    def _wait_durable(self, seq: int) -> bool:
        """Wait for a step on disk behind a place; False when none came for a while."""
        with self._changed:
            return self._changed.wait_for(lambda: self._steps.durable_seq > seq, OUTGOING_POLL_S)

    # With the lock held.

    def _connected(self) -> bool:
        return self._state.status is LinkStatus.CONNECTED

    def _check_usable(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _pause(self) -> Pause | None:
        pause = self._steps.pause()
        if pause is None and self._settings.when_away == "pause" and not self._connected():
            return Pause(PauseCause.AWAY, f"{self._settings.address}: {self._state.error}")
        return pause

    def _refused(self, text: str) -> ExperienceRefused:
        return ExperienceRefused(
            f"the learner refuses a step for good: {text}; it stays in {self._spool.path}: keep that file for whoever "
            f"looks into it, and move it away to begin a new session"
        )

    def _acknowledge(self, place: Place) -> None:
        self._steps.acknowledge(place)
        self._changed.notify_all()

    def _set_state(self, status: LinkStatus, error: str = "") -> None:
        since_s = self._state.since_s if status is self._state.status else time.monotonic()
        if (status, error) != (self._state.status, self._state.error):
            log.info("learner %s%s", status.value, f": {error}" if error else "")
        self._state = LinkState(status, since_s, error)
        self._changed.notify_all()
