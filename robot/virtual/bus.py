"""The half-duplex bus: who answers what, and what the wire loses on the way."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from robot.virtual import registers as reg
from robot.virtual.packets import BROADCAST_ID, LARGEST_LENGTH, Instruction, Packet
from robot.virtual.servo import Servo

# By the value of the baud rate register.
BAUD_RATES = (1_000_000, 500_000, 250_000, 128_000, 115_200, 57_600, 38_400, 19_200)
LARGEST_READ = LARGEST_LENGTH - 2  # error byte and checksum count too
BITS_PER_BYTE = 10  # with start and stop bit
RETURN_DELAY_UNIT_S = 2e-6


@dataclass(slots=True)
class BusFaults:
    """What is wrong with the wire; changed while it runs.

    lost, corrupt: chance of each packet, requests and answers alike, to vanish, or to arrive with one wrong bit
    silent: servos, counted from 0, whose cable is loose
    powered: false while the power brick is out; the USB side of the adapter lives on without it
    """

    lost: float = 0.0
    corrupt: float = 0.0
    silent: set[int] = field(default_factory=set)
    powered: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back on the wire, and how long request and answers occupied it [s]."""

    sent: bytes
    air_time_s: float


class ServoBus:
    """Servos on one wire. `lock` guards them: the wire's thread answers while the world's thread moves them."""

    def __init__(self, servos: Sequence[Servo], generator: random.Random) -> None:
        self.servos = tuple(servos)
        self.faults = BusFaults()
        self.lock = threading.Lock()
        self._generator = generator

    def answer(self, request: Packet, baud: int) -> Answer:
        """What the servos that hear this baud rate answer to one request."""
        with self.lock:
            hearing = self._hearing(baud)
            lost = self._chance(self.faults.lost) or self._chance(self.faults.corrupt)
            answers = [] if lost else list(_answers(hearing, request))
            sent = b"".join(self._on_the_wire(packet) for packet in answers)
            delay_s = sum(servo.memory.get(reg.RETURN_DELAY_TIME) for servo in hearing[:1]) * RETURN_DELAY_UNIT_S
        occupied_bytes = len(request.parameters) + 6 + len(sent)
        return Answer(sent, occupied_bytes * BITS_PER_BYTE / baud + delay_s * len(answers))

    def power(self, on: bool) -> None:
        """Pull the power brick, or plug it in: every servo then starts from what it kept."""
        with self.lock:
            if on == self.faults.powered:
                return
            self.faults.powered = on
            # Without power the torque is gone at once; what was not kept is forgotten by the time it returns.
            for servo in self.servos:
                servo.power_up()

    def _hearing(self, baud: int) -> list[Servo]:
        if not self.faults.powered:
            return []
        return [
            servo
            for index, servo in enumerate(self.servos)
            if index not in self.faults.silent and _baud_of(servo) == baud
        ]

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._generator.random() < probability

    def _on_the_wire(self, packet: Packet) -> bytes:
        if self._chance(self.faults.lost):
            return b""
        sent = bytearray(packet.pack())
        if self._chance(self.faults.corrupt):
            sent[self._generator.randrange(len(sent))] ^= 1 << self._generator.randrange(8)
        return bytes(sent)


def _baud_of(servo: Servo) -> int | None:
    index = servo.memory.get(reg.BAUD_RATE)
    return BAUD_RATES[index] if index < len(BAUD_RATES) else None


def _answers(servos: Sequence[Servo], request: Packet) -> Iterator[Packet]:
    """Act on a request; one that makes no sense is ignored, as the servos ignore it."""
    if request.code == Instruction.SYNC_READ:
        yield from _sync_read(servos, request.parameters)
    elif request.code == Instruction.SYNC_WRITE:
        _sync_write(servos, request.parameters)
    else:
        for servo in servos:
            # Its id may be about to change: it answers with the one it was called by.
            called = servo.id
            if request.id not in (called, BROADCAST_ID):
                continue
            values = _act(servo, request)
            if values is not None and _speaks(servo, request):
                yield Packet(called, servo.error, values)


def _speaks(servo: Servo, request: Packet) -> bool:
    if request.id == BROADCAST_ID:
        return request.code == Instruction.PING
    quiet = servo.memory.get(reg.RESPONSE_STATUS_LEVEL) == 0
    return not quiet or request.code in (Instruction.PING, Instruction.READ)


def _act(servo: Servo, request: Packet) -> bytes | None:
    """What the answer carries; None where the request is none that a servo knows."""
    parameters = request.parameters
    if request.code == Instruction.PING:
        return b""
    if request.code == Instruction.ACTION:
        servo.act()
        return b""
    if len(parameters) < 2:
        return None
    if request.code == Instruction.READ and parameters[1] <= LARGEST_READ:
        return servo.read(parameters[0], parameters[1])
    if request.code == Instruction.WRITE:
        servo.write(parameters[0], parameters[1:])
        return b""
    if request.code == Instruction.REG_WRITE:
        servo.register_write(parameters[0], parameters[1:])
        return b""
    return None


def _sync_read(servos: Sequence[Servo], parameters: bytes) -> Iterator[Packet]:
    if len(parameters) < 2 or parameters[1] > LARGEST_READ:
        return
    address, size = parameters[0], parameters[1]
    for called in parameters[2:]:
        for servo in servos:
            if servo.id == called:
                yield Packet(called, servo.error, servo.read(address, size))


def _sync_write(servos: Sequence[Servo], parameters: bytes) -> None:
    if len(parameters) < 2:
        return
    address, size = parameters[0], parameters[1]
    for start in range(2, len(parameters) - size, size + 1):
        for servo in servos:
            if servo.id == parameters[start]:
                servo.write(address, parameters[start + 1 : start + 1 + size])
