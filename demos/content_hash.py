"""What a set is, as a number: the contract and all steps in order, whatever SQLite makes of them."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from nudge.v1 import learner_pb2 as pb
from policy.contract import Contract
from policy.step_schema import StoreDamaged, connect_to_look, require_ours, stored_contract
from policy.step_table import read_episode, row_differences

_BEGINNING = b"nudge demo set 1"


class ContentHash:
    """Sha256 over parts that each say how long they are, so that no byte can move from one to the next.

    Not over serialised messages: those may look otherwise under another version of protobuf.
    """

    def __init__(self, contract: Contract) -> None:
        self._sha256 = hashlib.sha256()
        self._take(_BEGINNING, contract.canonical_json().encode())

    def add(self, message: pb.Step) -> None:
        """The next step, with its frames as they were stored."""
        where = message.id
        self._take(
            where.session.encode(),
            struct.pack(
                "<IIBfBBBQqq",
                where.episode,
                where.step,
                message.source,
                message.reward,
                message.terminated,
                message.truncated,
                message.rejected,
                message.policy_version,
                message.monotonic_ns,
                message.wall_ns,
            ),
            message.action,
        )
        self._observation(message.observation)
        if message.HasField("final_observation"):
            self._take(b"final")
            self._observation(message.final_observation)
        if message.HasField("judgement"):  # a step without one has the hash that it always had
            self._take(b"judgement", struct.pack("<dB", message.judgement.probability, message.judgement.reason))
        if message.HasField("clipped"):  # the same
            self._take(b"clipped", struct.pack("<BB", message.clipped.tool, message.clipped.joints))

    def hexdigest(self) -> str:
        """64 hex digits."""
        return self._sha256.hexdigest()

    def _observation(self, message: pb.Observation) -> None:
        self._take(message.proprioception, message.sim_only, struct.pack("<I", len(message.frames)))
        for frame in sorted(message.frames, key=lambda frame: frame.camera):  # their order says nothing
            self._take(frame.camera.encode(), frame.png)

    def _take(self, *parts: bytes) -> None:
        for part in parts:
            self._sha256.update(struct.pack("<Q", len(part)))
            self._sha256.update(part)


def content_hash(path: Path) -> str:
    """That of an experience file, all of its episodes in the order in which they began.

    Raise `StoreDamaged` where a row of an episode does not say what its steps say, for those rows are not part of it;
    `StoreError` for a file that is missing or something else.
    """
    with closing(connect_to_look(path)) as connection:
        require_ours(connection, path)
        content = ContentHash(stored_contract(connection, path))
        try:
            for row in connection.execute("SELECT * FROM episodes ORDER BY id").fetchall():
                messages = read_episode(connection, row["id"])
                for difference in row_differences(row, messages):
                    raise StoreDamaged(
                        f"{path}: row {row['id']} of episodes: {difference}; take another copy of the set"
                    )
                for message in messages:
                    content.add(message)
        except (sqlite3.Error, TypeError, ValueError) as error:  # the last two: a value of another type than was stored
            raise StoreDamaged(f"{path}: cannot be read: {error}; take another copy of the set") from error
    return content.hexdigest()
