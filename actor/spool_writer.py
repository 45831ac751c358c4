"""The thread that makes steps durable: packs what waits (PNG takes a millisecond a frame), commits it as one group."""

from __future__ import annotations

import contextlib
import logging

from actor.ledger import Ledger
from actor.spool import Spool
from actor.spool_record import Place
from nudge.v1 import learner_pb2 as pb
from policy.errors import NudgeError
from policy.experience import Step
from policy.step_schema import StoreDamaged, StoreError
from policy.wire import pack_step

GROUP_STEPS = 64  # most steps of one commit
RETRY_S = 0.5  # how often a disk that does not take steps is tried again
TRIM_IDLE_S = 1.0  # a spool with nothing else to do is trimmed down to the last step

log = logging.getLogger(__name__)


class SpoolWriter:
    """Moves steps from memory into the spool, in their order, and trims those that the learner has."""

    def __init__(self, spool: Spool, ledger: Ledger) -> None:
        self._spool = spool
        self._ledger = ledger
        self._packed: list[tuple[Step, pb.Step]] = []  # handed out, and not on disk yet

    def run(self) -> None:
        """Write until the link is closed."""
        while self._ledger.wait_for_writing(TRIM_IDLE_S):
            if not self.write():
                self._ledger.wait_closed(RETRY_S)

    def write(self) -> bool:
        """Write what waits; False when the disk does not take it: it is kept for the next time."""
        steps, acknowledged, trim = self._ledger.hand_out(GROUP_STEPS - len(self._packed))
        self._packed += [(step, pack_step(step)) for step in steps]
        if not self._packed and not trim:
            return True
        try:
            self._spool.commit(self._packed, acknowledged, trim=trim)
        except StoreDamaged:
            raise
        except StoreError as error:
            self._ledger.not_written(error)
            self._make_room(acknowledged)
            return False
        self._packed.clear()
        self._ledger.written()
        return True

    def _make_room(self, acknowledged: Place) -> None:
        """Free pages of steps that the learner has: that takes less of the disk than new steps do, or none."""
        with contextlib.suppress(StoreError):  # the same trouble, which has been noted
            self._spool.commit([], acknowledged, trim=True)

    def finish(self) -> None:
        """Write what is left, once nothing more comes and `run` has ended; say what the disk did not take."""
        try:
            while self.write() and self._ledger.unwritten():
                pass
        except NudgeError:
            log.exception("%s: the last steps could not be written", self._spool.path)
        if self._ledger.unwritten():
            log.error("%s: %d steps are lost with this process", self._spool.path, self._ledger.unwritten())
