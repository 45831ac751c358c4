"""Packets of the Feetech protocol 0: `FF FF id length instruction parameters ~sum`, answered with an error byte."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

HEADER = b"\xff\xff"
BROADCAST_ID = 0xFE
# What LeRobot's SDK will send or take at most.
LARGEST_LENGTH = 250
# Bytes of one packet leave without a pause; half a packet followed by silence is what a broken driver left behind.
LONGEST_PAUSE_S = 0.02


class Instruction(IntEnum):
    """What a driver may ask for."""

    PING = 0x01
    READ = 0x02
    WRITE = 0x03
    REG_WRITE = 0x04
    ACTION = 0x05
    SYNC_READ = 0x82
    SYNC_WRITE = 0x83


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, in either direction.

    code: the instruction of a request, the error byte of an answer
    """

    id: int
    code: int
    parameters: bytes = b""

    def pack(self) -> bytes:
        """The bytes on the wire."""
        body = bytes((self.id, len(self.parameters) + 2, self.code)) + self.parameters
        return HEADER + body + bytes((checksum(body),))


def checksum(body: bytes) -> int:
    """The inverted low byte of the sum of all that stands between header and checksum."""
    return ~sum(body) & 0xFF


class PacketReader:
    """Finds packets in a stream of bytes; whatever is no packet is skipped, byte by byte."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fed_s = 0.0

    def feed(self, received: bytes, now_s: float) -> list[Packet]:
        """The packets that these bytes complete.

        now_s: any steady clock; an unfinished packet is given up after `LONGEST_PAUSE_S`
        """
        if now_s - self._fed_s > LONGEST_PAUSE_S:
            self._buffer.clear()
        self._fed_s = now_s
        self._buffer += received
        packets = []
        while (packet := self._next()) is not None:
            packets.append(packet)
        return packets

    def _next(self) -> Packet | None:
        buffer = self._buffer
        while True:
            start = buffer.find(HEADER)
            if start < 0:
                del buffer[: len(buffer) - buffer.endswith(b"\xff")]
                return None
            del buffer[:start]
            if len(buffer) < 4:
                return None
            length = buffer[3]
            # FF FF FF: the second FF belongs to the header, the first one to nothing.
            if buffer[2] == 0xFF or not 2 <= length <= LARGEST_LENGTH:
                del buffer[0]
                continue
            end = 4 + length
            if len(buffer) < end:
                return None
            body = bytes(buffer[2 : end - 1])
            if checksum(body) != buffer[end - 1]:
                del buffer[0]
                continue
            del buffer[:end]
            return Packet(body[0], body[2], body[3:])
