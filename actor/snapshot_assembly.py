"""Policy snapshots put together again from the chunks that the learner sends."""

from __future__ import annotations

import hashlib

from nudge.v1 import learner_pb2 as pb
from policy.errors import SnapshotError


class SnapshotAssembler:
    """Takes chunks in the order of arrival; only a complete snapshot with the right checksum leaves it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._head: pb.PolicyChunk | None = None  # the first chunk of the unfinished snapshot
        self._data = bytearray()

    def add(self, chunk: pb.PolicyChunk) -> tuple[int, bytes] | None:
        """The version and bytes of the snapshot that this chunk completes, else None.

        Raise `SnapshotError` for a chunk out of order, one too large, or a checksum that differs.
        """
        if chunk.offset == 0:
            self._begin(chunk)
        head = self._head
        if head is None or _identity(head) != _identity(chunk) or chunk.offset != len(self._data):
            raise SnapshotError(
                f"policy {chunk.version}: got the chunk at byte {chunk.offset} of {chunk.total_bytes}, expected "
                f"byte {len(self._data)} of " + ("a new one" if head is None else f"policy {head.version}")
            )
        if not chunk.data or len(self._data) + len(chunk.data) > chunk.total_bytes:
            raise SnapshotError(
                f"policy {chunk.version}: got {len(chunk.data)} bytes at byte {chunk.offset} of {chunk.total_bytes}"
            )
        self._data += chunk.data
        if len(self._data) < chunk.total_bytes:
            return None
        return self._finish(head)

    def _begin(self, chunk: pb.PolicyChunk) -> None:
        if not 0 < chunk.total_bytes <= self._max_bytes:
            raise SnapshotError(
                f"policy {chunk.version}: got {chunk.total_bytes} bytes announced, expected 1 to {self._max_bytes}"
            )
        self._head, self._data = chunk, bytearray()

    def _finish(self, head: pb.PolicyChunk) -> tuple[int, bytes]:
        data, self._head, self._data = bytes(self._data), None, bytearray()
        digest = hashlib.sha256(data).digest()
        if digest != head.sha256:
            raise SnapshotError(
                f"policy {head.version}: got sha256 {digest.hex()[:12]} over {len(data)} bytes, the learner announced "
                f"{head.sha256.hex()[:12]}; the bytes changed on the way"
            )
        return head.version, data


def _identity(chunk: pb.PolicyChunk) -> tuple[int, int, bytes]:
    return chunk.version, chunk.total_bytes, chunk.sha256
