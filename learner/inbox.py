"""The inbox of one experience stream: bounded, so that a fast sender waits in the network and not in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc

from nudge.v1 import learner_pb2 as pb
from policy.errors import InvalidExperience


class Inbox:
    """Steps between the thread that reads them and the handler that stores them in groups."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self._changed = threading.Condition()
        self._waiting: list[pb.Step] = []
        self._waiting_bytes = 0
        self._ended = False
        self._error: InvalidExperience | None = None

    def fill(self, messages: Iterator[pb.Step]) -> None:
        """Read until the messages end, the sender leaves or the inbox is closed; runs in a thread of its own.

        What is no message ends it too: `error` says so once all before it has been taken out.
        """
        try:
            for message in messages:
                if not self._put(message):
                    break
        except grpc.RpcError:
            # So gRPC tells that the sender has left: for the handler it is the end, like any other.
            pass
        except InvalidExperience as error:
            self._error = error
        finally:
            self.close()

    def take(self, timeout_s: float) -> list[pb.Step]:
        """All that waits, as soon as there is any; nothing after `timeout_s`, or at once when the end is reached."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout_s)
            taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._changed.notify_all()
            return taken

    @property
    def ended(self) -> bool:
        """True once nothing waits and nothing more will come."""
        with self._changed:
            return self._ended and not self._waiting

    @property
    def error(self) -> InvalidExperience | None:
        """Why the messages ended, when it was not their sender's wish; complete once `ended` is true."""
        return self._error

    def close(self) -> None:
        """Take nothing more in; what waits can still be taken out."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, message: pb.Step) -> bool:
        size = message.ByteSize()
        with self._changed:
            # One message always fits, however large: gRPC has bounded its size already.
            self._changed.wait_for(
                lambda: self._ended or not self._waiting or self._waiting_bytes + size <= self._capacity_bytes
            )
            if self._ended:
                return False
            self._waiting.append(message)
            self._waiting_bytes += size
            self._changed.notify_all()
            return True
