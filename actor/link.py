"""The link to the learner: steps out, acknowledgements and policies in, whatever the network does.

The control loop never waits here. One thread writes the spool, one keeps the connection and sends what is on disk, one
takes snapshots; the learner being away is a state to look at, not an error.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Self

import grpc

from actor.command_desk import CommandDesk
from actor.command_link import CommandLink, knows_commands
from actor.connection import Connection
from actor.ledger import Ledger
from actor.link_settings import LinkSettings
from actor.link_state import (
    ActorIdTaken,
    ExperienceRefused,
    LinkError,
    LinkState,
    LinkStatus,
    OpeningStopped,
    OtherLearner,
    Pause,
    PauseCause,
    Welcome,
)
from actor.policy_inbox import PolicyInbox
from actor.security import load_link_security
from actor.spool import Spool, SpoolFull
from actor.spool_record import Progress
from actor.spool_writer import SpoolWriter
from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.errors import NudgeError
from policy.experience import Step, check_step
from policy.wire import PROTOCOL_VERSION, unpack_step_id

__all__ = [
    "ActorIdTaken",
    "ExperienceRefused",
    "LearnerLink",
    "LinkError",
    "LinkSettings",
    "LinkState",
    "LinkStatus",
    "OpeningStopped",
    "OtherLearner",
    "Pause",
    "PauseCause",
    "Progress",
    "Spool",
    "SpoolFull",
    "Welcome",
]

STOP_POLL_S = 0.2  # how soon a wait for the learner notices that it is to end


class LearnerLink:
    """The session of a spool with one learner. `open` it once; methods are safe in any thread.

    judge: who pays the rewards, as `HelloRequest.judge` says; empty: that is not told
    The spool stays the caller's: `close` leaves it open.
    When the learner has refused a step for good, `send`, `flush`, `pause`, `steps_behind` and `latest_snapshot` raise
    `ExperienceRefused`: going on would only lose data.
    """

    def __init__(self, settings: LinkSettings, contract: Contract, spool: Spool, judge: str = "") -> None:
        self.session = spool.session
        self._settings = settings
        self._judge = judge
        self._contract = contract
        self._security = load_link_security(settings)
        self._spool = spool
        self._ledger = Ledger(settings, spool)
        self._writer = SpoolWriter(spool, self._ledger)
        self._policies = PolicyInbox()
        self._commands: CommandLink | None = None
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._closing = False
        self._threads: tuple[threading.Thread, ...] = ()

    def open(self, stop: threading.Event | None = None) -> Welcome:
        """Connect; return when the learner has answered and takes steps.

        stop: ends the wait
        Raise `ContractMismatch` with the learner's reason, `OtherLearner` when our steps go to another one,
        `ActorIdTaken`, `OpeningStopped`, or `LinkError` at the deadline; the link is closed then.
        """
        with self._lock:
            if self._threads or self._closing:
                raise LinkError("link: opened before, or closed; make a new LearnerLink on the same spool")
            self._threads = tuple(
                threading.Thread(target=self._guarded, args=(name, target), daemon=True, name=f"link-{name}")
                for name, target in (("writer", self._writer.run), ("connection", self._keep_connected))
            )
            for thread in self._threads:
                thread.start()
        try:
            return self._wait_connected(stop)
        except NudgeError:
            self.close()
            raise

    def send(self, step: Step) -> None:
        """Take a step for the learner, without waiting; the caller does not change its arrays afterwards.

        It counts as taken once it is on disk (`progress`), and is sent only then. Raise `InvalidExperience` for a step
        that the contract does not allow or that does not follow the last one, `SpoolFull` when too many wait in
        memory: `pause` has said so long before.
        """
        check_step(step, self._contract)
        self._ledger.take(step)

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        """Version and bytes of the newest policy, once for each; None when there is no other since the last call."""
        self._ledger.check_usable()
        return self._policies.take()

    def prepare_snapshots(self, prepare: Callable[[bytes], None]) -> None:
        """Have `prepare` look at every policy that comes from now on, in the link's thread, before it is handed out.

        A `NudgeError` of it is one of the link: whoever uses the link next gets it.
        """
        self._policies.prepare_with(prepare)

    def attend(self, desk: CommandDesk) -> None:
        """Bring to this desk what people tell the actor, and report at what it is. To be called before `open`."""
        self._commands = CommandLink(desk, self._ledger.state, self.session)

    @property
    def pause(self) -> Pause | None:
        """Why the control loop is to pause; None when it may go on."""
        return self._ledger.pause()

    @property
    def steps_behind(self) -> int:
        """How many environment steps the learner is behind: as it said last, and those that it does not have yet."""
        return self._ledger.steps_behind()

    @property
    def state(self) -> LinkState:
        """Whether the learner is there, since when, and why not; what waits, and why to pause."""
        return self._ledger.state()

    @property
    def policy(self) -> tuple[int, float] | None:
        """Version of the policy that came last, which acts from the next tick on, and when it came (time.monotonic)."""
        return self._policies.arrived

    @property
    def progress(self) -> Progress:
        """How far the session has come: only what is on disk counts."""
        return self._spool.progress

    @property
    def unacknowledged(self) -> int:
        """Steps that the learner has not made durable yet."""
        return self._ledger.state().waiting_steps

    @property
    def unwritten(self) -> int:
        """Steps that are only in memory; above 0 after `close`: the disk did not take them."""
        return self._ledger.unwritten()

    def flush(self, timeout_s: float) -> bool:
        """Wait until every step is durable at the learner; False when that takes longer than `timeout_s`."""
        return self._ledger.wait_acknowledged(timeout_s)

    def flush_to_disk(self, timeout_s: float) -> bool:
        """Wait until every step is on this machine's disk; False when that takes longer than `timeout_s`."""
        return self._ledger.wait_written(timeout_s)

    def close(self) -> None:
        """End all threads, at once, and write what waits; the spool's next link delivers it. May be called twice."""
        with self._lock:
            closed_before, self._closing = self._closing, True
            self._ledger.close()
            if self._connection is not None:
                self._connection.cancel()
        for thread in self._threads:
            thread.join()
        if not closed_before:
            self._writer.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait_connected(self, stop: threading.Event | None) -> Welcome:
        deadline_s = time.monotonic() + self._settings.connect_timeout_s
        while (remaining_s := deadline_s - time.monotonic()) > 0:
            welcome = self._ledger.wait_connected(min(STOP_POLL_S, remaining_s))
            if welcome is not None:
                return welcome
            if stop is not None and stop.is_set():
                raise OpeningStopped(f"link: stopped before the learner at {self._settings.address} had answered")
        raise self._why_not_open()

    def _why_not_open(self) -> LinkError:
        error = self._ledger.state().error
        if self._ledger.last_code() is grpc.StatusCode.ALREADY_EXISTS:
            return ActorIdTaken(error)
        return LinkError(
            f"no learner at {self._settings.address} within {self._settings.connect_timeout_s:g} s ({error}); start it "
            f"with `nudge learner`, or set the link's address"
        )

    def _guarded(self, name: str, target: Callable[[], None]) -> None:
        """No thread dies unseen: whoever uses the link next gets the reason."""
        try:
            target()
        except NudgeError as error:
            self._ledger.fail(error)
        except BaseException as error:
            self._ledger.fail(LinkError(f"link: its {name} thread ended: {type(error).__name__}: {error}"))
            raise

    def _keep_connected(self) -> None:
        """Connect again for ever, with exponential pauses, jittered so that many actors do not knock at once."""
        pause_s = self._settings.backoff_first_s
        while True:
            with self._lock:
                if self._closing:
                    return
                self._connection = connection = Connection(self._settings, self._security)
            begun_s = time.monotonic()
            # A learner that takes the connection and then fails (its disk is full) is not asked more and more often.
            if self._connect_once(connection) and time.monotonic() - begun_s > self._settings.backoff_max_s:
                pause_s = self._settings.backoff_first_s
            if self._ledger.wait_over(pause_s * random.uniform(0.5, 1.0)):
                return
            pause_s = min(2 * pause_s, self._settings.backoff_max_s)

    def _connect_once(self, connection: Connection) -> bool:
        """One connection, from the handshake to its break; True when it was up in between."""
        ledger = self._ledger
        try:
            welcome = self._greet(connection)
            ledger.greeted(welcome)
            known_version = self._policies.known_version(welcome.policy_version)
            connection.run(
                self.session,
                ledger.outgoing,
                ledger.acknowledged,
                known_version,
                self._receive,
                self._beside(connection, welcome),
            )
            return ledger.broken(LinkError("the learner ended the stream"))
        except (grpc.RpcError, grpc.FutureCancelledError, NudgeError) as error:
            return ledger.broken(error)
        finally:
            connection.close()

    def _beside(self, connection: Connection, welcome: Welcome) -> tuple[Callable[[], None], ...]:
        """What goes on beside steps and policies."""
        if self._commands is None:
            return ()
        return self._commands.begin(connection, learner_knows=welcome.takes_reports)

    def _receive(self, version: int, data: bytes) -> None:
        try:
            self._policies.put(version, data)
        except NudgeError as error:  # it would not fit the next time either
            self._ledger.fail(error)

    def _greet(self, connection: Connection) -> Welcome:
        reply = connection.hello(
            pb.HelloRequest(
                protocol_version=PROTOCOL_VERSION,
                contract_hash=self._contract.hash,
                contract_json=self._contract.canonical_json(),
                actor_id=self._settings.actor_id,
                session=self.session,
                judge=self._judge,
            )
        )
        durable = unpack_step_id(reply.last_durable) if reply.HasField("last_durable") else None
        return Welcome(
            reply.run_id,
            reply.policy_version,
            reply.policy_spec_json,
            durable,
            reply.shared_demonstrations,
            knows_commands(reply.protocol_version),
        )
