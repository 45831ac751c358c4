"""How full the spool is: when to warn, when to pause, when to go on."""

from __future__ import annotations

from actor.link_settings import LinkSettings
from policy.contract import Contract
from policy.errors import NudgeError

WARN_AT, CALM_AT = (
    0.8,
    0.75,
)  # shares of the capacity; apart, so that a spool at the border does not warn again and again
RESUME_AT = 0.9

EMPTY_BYTES = 256 << 10  # of a file without steps, generously
ROW_BYTES = 8 << 10  # of a step without its pictures, with what pages leave unused


class SpoolTooSmall(NudgeError):
    """`spool_max_bytes` leaves no room for steps of this contract."""


def capacity_bytes(contract: Contract, settings: LinkSettings) -> int:
    """Bytes that a spool may hold before the actor pauses.

    Below `spool_max_bytes` by what can still come then: all steps in memory, the last with its final observation, with
    pictures that do not compress at all.
    """
    frames_bytes = sum(9 * camera.size_px * (3 * camera.size_px + 1) // 8 + 1024 for camera in contract.cameras)
    reserved = (settings.queue_steps + 1) * (frames_bytes + ROW_BYTES)
    capacity = settings.spool_max_bytes - reserved
    if capacity < EMPTY_BYTES + reserved:
        raise SpoolTooSmall(
            f"spool_max_bytes: got {settings.spool_max_bytes}, expected at least {2 * reserved + EMPTY_BYTES} for "
            f"{settings.queue_steps} steps in memory of this contract's cameras; raise it, or lower queue_steps"
        )
    return capacity


class SpoolGauge:
    """Filling and full, each with a distance between on and off."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity_bytes = capacity_bytes
        self.fill = 0.0  # of the capacity
        self.filling = False
        self.full = False

    def update(self, used_bytes: int) -> None:
        """Note how much is used now."""
        self.fill = used_bytes / self._capacity_bytes
        self.filling = self.fill >= (CALM_AT if self.filling else WARN_AT)
        self.full = self.fill >= (RESUME_AT if self.full else 1.0)
