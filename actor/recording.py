"""Recording without a learner: steps go to a spool on this machine's disk, and stay there."""

from __future__ import annotations

import sys
import threading
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from actor.errors import ActorError
from actor.ledger import Ledger
from actor.link_settings import LinkSettings
from actor.link_state import LinkError, Pause
from actor.spool import Spool
from actor.spool_record import Progress
from actor.spool_writer import SpoolWriter
from policy.contract import Contract
from policy.errors import NudgeError
from policy.experience import Observation, Step, check_step


def without_learner(settings: LinkSettings) -> LinkSettings:
    """The same for a spool that nobody empties: the disk alone bounds it, and nobody is waited for."""
    return settings.model_copy(update={"when_away": "spool", "spool_max_bytes": sys.maxsize})


class RecordingLink:
    """The session of a spool that goes to no learner: steps become durable as those of training do. A `Link`.

    The spool stays the caller's: `close` leaves it open. `send` and `pause` raise what has ended the writing.
    """

    def __init__(self, settings: LinkSettings, contract: Contract, spool: Spool) -> None:
        self.session = spool.session
        self._contract, self._spool = contract, spool
        self._ledger = Ledger(settings, spool)
        self._writer = SpoolWriter(spool, self._ledger)
        self._thread = threading.Thread(target=self._write, daemon=True, name="recording-writer")
        self._thread.start()

    @property
    def progress(self) -> Progress:
        """How far the session has come: only what is on disk counts."""
        return self._spool.progress

    @property
    def pause(self) -> Pause | None:
        """Why the control loop is to pause: the disk does not take steps, or not fast enough."""
        return self._ledger.pause()

    @property
    def steps_behind(self) -> int:
        """Nobody learns, so nobody is behind."""
        return 0

    @property
    def unwritten(self) -> int:
        """Steps that are only in memory; above 0 after `close`: the disk did not take them."""
        return self._ledger.unwritten()

    def send(self, step: Step) -> None:
        """Take a step, without waiting; it counts once it is on disk. See `LearnerLink.send` for the errors."""
        check_step(step, self._contract)
        self._ledger.take(step)

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        """There is no policy."""
        return None

    def flush_to_disk(self, timeout_s: float) -> bool:
        """Wait until every step is on the disk; False when that takes longer than `timeout_s`."""
        return self._ledger.wait_written(timeout_s)

    def close(self) -> None:
        """Write what waits, and end. May be called twice."""
        self._ledger.close()
        self._thread.join()
        self._writer.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        """The thread does not die unseen: whoever uses the link next gets the reason."""
        try:
            self._writer.run()
        except NudgeError as error:
            self._ledger.fail(error)
        except BaseException as error:
            self._ledger.fail(LinkError(f"recording: its writing thread ended: {type(error).__name__}: {error}"))
            raise


class NoPolicy:
    """Stands where a policy would, in a loop that only demonstrates: nobody asks it. An `ActingPolicy`."""

    def load_snapshot(self, data: bytes) -> int:
        """Never."""
        raise ActorError(f"recording: got a policy of {len(data)} bytes, expected none while demonstrations are made")

    def select_action(
        self,
        observation: Observation,  # noqa: ARG002  # as `ActingPolicy` has it
        exploration: float,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Never."""
        raise ActorError("recording: got a step that a policy should drive, expected demonstrated ones only")
