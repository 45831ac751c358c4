"""All six servos at once over LeRobot's Feetech bus: bounded tries, and what went wrong said by name.

LeRobot's own `sync_read` fetches one register, gives up all six servos for one lost packet, and takes a late answer for
the next one. Here one read fetches neighbouring registers, and only who has not answered is asked again.
"""

from __future__ import annotations

import errno
import logging
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from robot.arm import JOINT_NAMES
from robot.errors import ArmError, BusLost, ServoSilent
from robot.so101.port import require_port
from robot.so101.registers import IDENTITY, MODEL, MODEL_NUMBER
from robot.so101.settings import BusSettings

if TYPE_CHECKING:
    from lerobot.motors.feetech import FeetechMotorsBus

Ticks = NDArray[np.int64]
_log = logging.getLogger(__name__)
# What an answer has around its parameters: header, id, length, error, checksum.
_LENGTH_BESIDES_PARAMETERS = 2
READ_WAIT_S = 0.002  # the driver looks at its own time-outs so often
_PARAMETERS_BEGIN, _ID_AT, _LENGTH_AT = 5, 2, 3


class So101Bus:
    """Six servos, ids 1 to 6 in the order of `JOINT_NAMES`, on one port. One thread at a time.

    unanswered: joint -> how often it did not answer and was asked again
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._lerobot: FeetechMotorsBus | None = None
        self.unanswered: Counter[str] = Counter()

    @property
    def is_open(self) -> bool:
        """Whether there is a port to speak to."""
        return self._lerobot is not None

    def open(self, *, complete: bool = True) -> None:
        """Open the port, for this process alone, and find all six servos. Raises `ArmFault`, and leaves none open then.

        complete: false is for who would let go of those that answer
        """
        from lerobot.motors import Motor, MotorNormMode
        from lerobot.motors.feetech import FeetechMotorsBus

        self.close()
        port = require_port(self._settings.port)
        motors = {name: Motor(index + 1, MODEL, MotorNormMode.DEGREES) for index, name in enumerate(JOINT_NAMES)}
        bus = FeetechMotorsBus(str(port), motors)
        with self._translated("opening"):
            bus.connect(handshake=False)  # its handshake gives up at the first lost packet
            # Feetech's SDK asks a port that never waits again and again: that takes a core from those who are to
            # answer, and the interpreter from the cameras' threads.
            bus.port_handler.ser.timeout = READ_WAIT_S
        self._lerobot = bus
        try:
            with self._translated("locking"):
                self._lock(bus)
            if complete:
                self._require_servos()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the port; the servos go on with what they did."""
        bus, self._lerobot = self._lerobot, None
        if bus is not None:
            with self._translated("closing"):
                bus.port_handler.closePort()

    def fetch(self, registers: Sequence[str]) -> dict[str, Ticks]:
        """Neighbouring registers of all servos: name of LeRobot's table -> (6,), signs decoded.

        Takes at most `BusSettings.patience_s`. Raises `ServoSilent` with who did not answer, `BusLost`.
        """
        from lerobot.motors.encoding_utils import decode_sign_magnitude

        table, signs = _tables()
        address = min(table[name][0] for name in registers)
        size = max(table[name][0] + table[name][1] for name in registers) - address
        answers = self._ask_all(address, size)
        found = {}
        for name in registers:
            start, length = table[name][0] - address, table[name][1]
            raw = [int.from_bytes(answer[start : start + length], "little") for answer in answers]
            if name in signs:
                raw = [decode_sign_magnitude(value, signs[name]) for value in raw]
            found[name] = np.array(raw, np.int64)  # (6,)
        return found

    def spread(self, register: str, values: Mapping[str, int]) -> None:
        """Write a register of some or all servos in one packet. None of them confirms it. Raises `BusLost`."""
        bus = self._opened()
        with self._translated(f"writing {register}"):
            bus.port_handler.is_using = False  # an exchange that broke off leaves it set
            bus.sync_write(register, dict(values), normalize=False)

    def ensure(self, register: str, values: Mapping[str, int]) -> None:
        """The same, read back and repeated until it holds. Raises `ArmFault` when it does not."""
        found: Ticks = np.zeros(0, np.int64)
        for _ in range(self._settings.tries):
            self.spread(register, values)
            found = self.fetch([register])[register]
            wrong = {name: value for name, value in values.items() if found[JOINT_NAMES.index(name)] != value}
            if not wrong:
                return
            values = wrong
        got = {name: int(found[JOINT_NAMES.index(name)]) for name in values}
        raise ServoSilent(
            f"{self._port}: {register} of {', '.join(values)}: wrote {dict(values)} {self._settings.tries} times, read "
            f"{got}; the servo does not take what it is told: check its cable, switch its power off and on"
        )

    # --- inside -----------------------------------------------------------------------------------------------------

    @property
    def _port(self) -> str:
        return f"bus {self._settings.port}"

    def _opened(self) -> FeetechMotorsBus:
        if self._lerobot is None:
            raise BusLost(f"{self._port}: the port is not open; recovering the arm opens it again")
        return self._lerobot

    def _lock(self, bus: FeetechMotorsBus) -> None:
        """Keep other processes of the project out; the lock dies with the port. Raises `BusLost` where one has it."""
        try:
            bus.port_handler.ser.exclusive = True  # pyserial's flock: LeRobot's own tools do not ask for it
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise
            raise BusLost(
                f"{self._port}: another process has it, an actor or a watchdog that parks its arm; wait for its end"
            ) from error

    def _require_servos(self) -> None:
        found = self.fetch(IDENTITY)
        models = dict(zip(JOINT_NAMES, found["Model_Number"].tolist(), strict=True))
        others = {name: number for name, number in models.items() if number != MODEL_NUMBER}
        if others:
            raise ArmError(
                f"{self._port}: got servos of model {others}, expected STS3215 ({MODEL_NUMBER}) at each joint"
            )
        firmware = set(
            zip(found["Firmware_Major_Version"].tolist(), found["Firmware_Minor_Version"].tolist(), strict=True)
        )
        if len(firmware) > 1:
            _log.warning("%s: the servos have different firmware: %s", self._port, sorted(firmware))

    def _ask_all(self, address: int, size: int) -> list[bytes]:
        """Bytes of the memory of each servo, those who do not answer asked again: 6 times (size,) bytes."""
        answers: dict[int, bytes] = {}
        begun_s = time.monotonic()
        with self._translated("reading"):
            for _ in range(self._settings.tries):
                missing = [id_ for id_ in range(1, len(JOINT_NAMES) + 1) if id_ not in answers]
                self._ask(address, size, missing, answers)
                if len(answers) == len(JOINT_NAMES):
                    return [answers[id_] for id_ in sorted(answers)]
                self.unanswered.update(JOINT_NAMES[id_ - 1] for id_ in missing if id_ not in answers)
        silent = [name for index, name in enumerate(JOINT_NAMES) if index + 1 not in answers]
        raise ServoSilent(self._silence(silent, time.monotonic() - begun_s))

    def _ask(self, address: int, size: int, ids: list[int], answers: dict[int, bytes]) -> None:
        """Ask once, and gather what comes until all have answered or the time is up."""
        from scservo_sdk import COMM_RX_TIMEOUT, COMM_SUCCESS

        bus = self._opened()
        port, packets = bus.port_handler, bus.packet_handler
        port.is_using = False
        port.ser.reset_input_buffer()  # what came too late for an earlier question is no answer to this one
        if packets.syncReadTx(port, address, size, ids, len(ids)) != COMM_SUCCESS:
            return
        port.setPacketTimeoutMillis(1000 * self._settings.answer_timeout_s)
        result, left = COMM_SUCCESS, set(ids)
        while left and result != COMM_RX_TIMEOUT:
            packet, result = packets.rxPacket(port)
            if result == COMM_SUCCESS and packet[_LENGTH_AT] == size + _LENGTH_BESIDES_PARAMETERS:
                answers[packet[_ID_AT]] = bytes(packet[_PARAMETERS_BEGIN : _PARAMETERS_BEGIN + size])
                left.discard(packet[_ID_AT])

    def _silence(self, silent: Sequence[str], took_s: float) -> str:
        tries = f"did not answer {self._settings.tries} times within {took_s:.2f} s"
        if len(silent) == len(JOINT_NAMES):
            return f"{self._port}: no servo answers ({tries}); is the power brick plugged in and switched on?"
        first = JOINT_NAMES.index(silent[0])
        cure = f"check the cable that leads to {silent[0]}"
        if first and tuple(silent) == JOINT_NAMES[first:]:
            cure = f"check the cable from {JOINT_NAMES[first - 1]} to {silent[0]}: all behind it are silent"
        named = ", ".join(f"{name} (id {JOINT_NAMES.index(name) + 1})" for name in silent)
        return f"{self._port}: {named} {tries}; {cure}"

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """The driver's errors as ours; the port is closed, since none of them goes away by itself."""
        try:
            yield
        except (OSError, termios.error) as error:  # termios.error is no OSError; serial.SerialException is one
            bus, self._lerobot = self._lerobot, None
            if bus is not None:
                _close_quietly(bus.port_handler.closePort)
            raise BusLost(
                f"{self._port}: lost while {doing} ({error}); check the USB cable, then recover the arm"
            ) from error


def _close_quietly(close: Callable[[], None]) -> None:
    """Free a port whose device is gone already: that it cannot be closed properly says nothing new."""
    try:
        close()
    except (OSError, termios.error) as error:
        _log.debug("closing a lost port: %s", error)


def _tables() -> tuple[dict[str, tuple[int, int]], dict[str, int]]:
    """LeRobot's own: register -> address and size, register -> its sign bit."""
    from lerobot.motors.feetech.tables import MODEL_CONTROL_TABLE, MODEL_ENCODING_TABLE

    tables: tuple[Any, Any] = (MODEL_CONTROL_TABLE, MODEL_ENCODING_TABLE)
    return tables[0][MODEL], tables[1][MODEL]
