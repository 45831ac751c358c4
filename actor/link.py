"""The link to the learner: steps out, acknowledgements and policies in, whatever the network does.

The control loop never waits here. One thread packs (PNG takes a millisecond a frame), one keeps the connection, one
takes snapshots; the learner being away is a state to look at, not an error.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable
from typing import Self

import grpc

from actor.connection import Connection
from actor.ledger import Ledger
from actor.link_settings import LinkSettings
from actor.link_state import ActorIdTaken, ExperienceRefused, LinkError, LinkState, LinkStatus, Welcome
from actor.spool import SpoolFull
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
    "SpoolFull",
    "Welcome",
]


class LearnerLink:
    """One session with one learner. `open` it once; methods are safe in any thread.

    When the learner has refused a step for good, `send`, `flush`, `steps_behind` and `latest_snapshot` raise
    `ExperienceRefused`: going on would only lose data.
    """

    def __init__(self, settings: LinkSettings, contract: Contract) -> None:
        self.session = uuid.uuid4().hex
        self._settings = settings
        self._contract = contract
        self._ledger = Ledger(settings, self.session)
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._closing = False
        self._threads: tuple[threading.Thread, ...] = ()

    def open(self) -> Welcome:
        """Connect; return when the learner has answered and takes steps.

        Raise `ContractMismatch` with the learner's reason, `ActorIdTaken`, or `LinkError` at the deadline; the link is
        closed then.
        """
        with self._lock:
            if self._threads or self._closing:
                raise LinkError("link: opened before, or closed; make a new LearnerLink, it is a new session")
            self._threads = tuple(
                threading.Thread(target=self._guarded, args=(target,), daemon=True, name=f"link-{target.__name__}")
                for target in (self._pack, self._keep_connected)
            )
            for thread in self._threads:
                thread.start()
        try:
            welcome = self._ledger.wait_connected(self._settings.connect_timeout_s)
            if welcome is None:
                raise self._why_not_open()
        except NudgeError:
            self.close()
            raise
        return welcome

    def send(self, step: Step) -> None:
        """Take a step for the learner, without waiting; the caller does not change its arrays afterwards.

        Raise `InvalidExperience` for a step that the contract does not allow or that does not follow the last one,
        `SpoolFull` when too many wait already.
        """
        check_step(step, self._contract)
        self._ledger.take(step)

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        """Version and bytes of the newest policy, once for each; None when there is no other since the last call."""
        return self._ledger.take_snapshot()

    @property
    def steps_behind(self) -> int:
        """How many environment steps the learner is behind, as it said last."""
        return self._ledger.steps_behind()

    @property
    def state(self) -> LinkState:
        """Whether the learner is there, since when, and why not."""
        return self._ledger.state()

    @property
    def unacknowledged(self) -> int:
        """Steps that the learner has not made durable yet."""
        return self._ledger.unacknowledged()

    def flush(self, timeout_s: float) -> bool:
        """Wait until every step is durable at the learner; False when that takes longer than `timeout_s`."""
        return self._ledger.wait_acknowledged(timeout_s)

    def close(self) -> None:
        """End all threads, at once: `flush` first, what is not acknowledged is lost. May be called twice."""
        with self._lock:
            self._closing = True
            self._ledger.close()
            if self._connection is not None:
                self._connection.cancel()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _why_not_open(self) -> LinkError:
        error = self._ledger.state().error
        if self._ledger.last_code() is grpc.StatusCode.ALREADY_EXISTS:
            return ActorIdTaken(error)
        return LinkError(
            f"no learner at {self._settings.address} within {self._settings.connect_timeout_s:g} s ({error}); start it "
            f"with `nudge learner`, or set the link's address"
        )

    def _guarded(self, target: Callable[[], None]) -> None:
        """No thread dies unseen: whoever uses the link next gets the reason."""
        try:
            target()
        except BaseException as error:
            self._ledger.fail(LinkError(f"link: thread {target.__name__} ended: {type(error).__name__}: {error}"))
            raise

    def _pack(self) -> None:
        while self._ledger.pack_next():
            pass

    def _keep_connected(self) -> None:
        """Connect again for ever, with exponential pauses, jittered so that many actors do not knock at once."""
        pause_s = self._settings.backoff_first_s
        while True:
            with self._lock:
                if self._closing:
                    return
                self._connection = connection = Connection(self._settings)
            if self._connect_once(connection):
                pause_s = self._settings.backoff_first_s
            if self._ledger.wait_over(pause_s * random.uniform(0.5, 1.0)):
                return
            pause_s = min(2 * pause_s, self._settings.backoff_max_s)

    def _connect_once(self, connection: Connection) -> bool:
        """One connection, from the handshake to its break; True when it was up in between."""
        ledger = self._ledger
        try:
            welcome = self._greet(connection)
            known_version = ledger.greeted(welcome)
            connection.run(
                self.session,
                lambda gone: ledger.outgoing(welcome.last_durable, gone),
                ledger.acknowledged,
                known_version,
                ledger.received,
            )
            return ledger.broken(LinkError("the learner ended the stream"))
        except (grpc.RpcError, grpc.FutureCancelledError, NudgeError) as error:
            return ledger.broken(error)
        finally:
            connection.close()

    def _greet(self, connection: Connection) -> Welcome:
        reply = connection.hello(
            pb.HelloRequest(
                protocol_version=PROTOCOL_VERSION,
                contract_hash=self._contract.hash,
                contract_json=self._contract.canonical_json(),
                actor_id=self._settings.actor_id,
                session=self.session,
            )
        )
        durable = unpack_step_id(reply.last_durable) if reply.HasField("last_durable") else None
        return Welcome(reply.run_id, reply.policy_version, reply.policy_spec_json, durable)
