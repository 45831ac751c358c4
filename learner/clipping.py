"""How often the guard had the arm do less than was asked for, in the newest steps of a store."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

_COLUMNS = {"clipped_tool", "clipped_joints"}  # stores of layouts before 4 have not
_SHARES = (
    "SELECT AVG(clipped_tool) AS tool, AVG(clipped_joints) AS joints FROM "
    "(SELECT clipped_tool, clipped_joints FROM steps ORDER BY seq DESC LIMIT ?)"
)


@dataclass(frozen=True, slots=True)
class ClipShares:
    """Shares of steps [1]. tool: box or leash confined it; joints: a limit or the largest step held one"""

    tool: float
    joints: float


def clip_shares(connection: sqlite3.Connection, steps: int) -> ClipShares | None:
    """Of the newest `steps` steps, those that say it; None where none does. Cheap: reads no more than these."""
    if not {row["name"] for row in connection.execute("PRAGMA table_info(steps)")} >= _COLUMNS:
        return None
    row = connection.execute(_SHARES, (steps,)).fetchone()
    return None if row["tool"] is None else ClipShares(row["tool"], row["joints"])
