"""A servo's memory: what is written is in effect at once, and outlives the power only while the lock is open."""

from __future__ import annotations

from robot.virtual.registers import (
    EEPROM,
    LOCK,
    MAX_TORQUE_LIMIT,
    MEMORY_SIZE,
    READ_ONLY,
    TORQUE_LIMIT,
    Register,
    shipped_memory,
)


class ServoMemory:
    """Bytes by address. Not thread-safe: the bus has one lock for all of its servos."""

    def __init__(self) -> None:
        self._bytes = shipped_memory()
        self._kept = shipped_memory()
        self.power_up()

    def power_up(self) -> None:
        """Start anew from what was kept."""
        self._bytes = shipped_memory()
        for area in EEPROM:
            self._bytes[area.start : area.stop] = self._kept[area.start : area.stop]
        self.set(TORQUE_LIMIT, self.get(MAX_TORQUE_LIMIT))

    @property
    def kept(self) -> bytes:
        """What outlives the power, as a whole memory (256,)."""
        return bytes(self._kept)

    def restore(self, kept: bytes) -> None:
        """Power up with what an earlier servo kept (256,)."""
        self._kept[:] = kept[:MEMORY_SIZE].ljust(MEMORY_SIZE, b"\0")
        self.power_up()

    def get(self, register: Register) -> int:
        """The value of a register."""
        return register.decode(self.read(register.address, register.size))

    def set(self, register: Register, value: int) -> None:
        """Change a register from inside the servo: read-only ones too, and not kept."""
        self._bytes[register.address : register.address + register.size] = register.encode(value)

    def keep(self, register: Register, value: int) -> None:
        """Change a register for good, as a tool at the factory would."""
        self.set(register, value)
        self._kept[register.address : register.address + register.size] = register.encode(value)

    def read(self, address: int, size: int) -> bytes:
        """Bytes from an address on; zeros beyond the end."""
        return bytes(self._bytes[address : address + size]).ljust(size, b"\0")

    def write(self, address: int, values: bytes) -> frozenset[int]:
        """Write from an address on; read-only bytes stay as they are. Returns the addresses that were written."""
        unlocked = self.get(LOCK) == 0
        written = frozenset(range(address, min(address + len(values), MEMORY_SIZE))) - READ_ONLY
        for at in written:
            self._bytes[at] = values[at - address]
            if unlocked and any(at in area for area in EEPROM):
                self._kept[at] = values[at - address]
        return written
