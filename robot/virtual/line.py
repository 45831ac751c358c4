"""A serial port that is no hardware: a pseudo-terminal behind a symbolic link, with a bus at its other end."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import sys
import termios
import threading
import time
import tty
from pathlib import Path
from typing import Self

from robot.virtual.bus import ServoBus
from robot.virtual.errors import VirtualArmError
from robot.virtual.packets import PacketReader

# Linux tells any baud rate, the odd ones too, through this call alone: struct termios2 of asm/termbits.h.
_HAS_TERMIOS2 = sys.platform == "linux"
_TCGETS2, _TERMIOS2 = 0x802C542A, "4IB19s2I"


class SerialLine:
    """Serves one bus under one path, in a thread of its own.

    path: the symbolic link; a dead one of an earlier process is replaced, anything else there is refused
    wire_timing: keep each answer back for as long as the bytes would take on the wire
    """

    def __init__(self, path: Path, bus: ServoBus, *, wire_timing: bool = False) -> None:
        self.path = path
        self._bus = bus
        self._wire_timing = wire_timing
        self._lock = threading.Lock()
        self._stop_reading: int | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    @property
    def plugged_in(self) -> bool:
        """Whether the path leads somewhere."""
        return self._thread is not None

    @property
    def sound(self) -> bool:
        """Whether it is unplugged, or serves."""
        thread = self._thread
        return thread is None or thread.is_alive()

    def plug_in(self) -> None:
        """Make the port appear. Raises `VirtualArmError` where something else has its path."""
        with self._lock:
            if self._thread is not None:
                return
            if self.path.exists(follow_symlinks=False) and not self.path.is_symlink():
                raise VirtualArmError(
                    f"{self.path}: got a file or device, expected a free path for a port; choose another folder"
                )
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            woken, self._stop_reading = os.pipe()
            self._thread = threading.Thread(
                target=self._serve, args=(master, slave, woken), name=f"line {self.path.name}", daemon=True
            )
            self._thread.start()
            # A new link under another name, then renamed: the path never leads nowhere while it exists.
            fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(os.ttyname(slave))
            fresh.replace(self.path)

    def unplug(self) -> None:
        """Make the port vanish under whoever has it open, who then gets errors of input and output."""
        with self._lock:
            if self._thread is None or self._stop_reading is None:
                return
            self.path.unlink(missing_ok=True)
            os.close(self._stop_reading)
            self._thread.join()
            self._thread = self._stop_reading = None

    def _serve(self, master: int, slave: int, woken: int) -> None:
        reader = PacketReader()
        try:
            while True:
                ready, _, _ = select.select([master, woken], [], [])
                if woken in ready:
                    return
                received = os.read(master, 4096)
                now_s = time.perf_counter()
                for request in reader.feed(received, now_s):
                    answer = self._bus.answer(request, _baud_rate(slave))
                    now_s = self._wait(now_s, answer.air_time_s)
                    _send(master, answer.sent)
        finally:
            for opened in (master, slave, woken):
                os.close(opened)

    def _wait(self, begun_s: float, air_time_s: float) -> float:
        """When the wire is free again."""
        until_s = begun_s + air_time_s * self._wire_timing
        while (left_s := until_s - time.perf_counter()) > 0:
            time.sleep(left_s)
        return until_s


def _send(master: int, sent: bytes) -> None:
    """Write what fits: a wire does not wait for a driver that has stopped reading."""
    try:
        if sent:
            os.write(master, sent)
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise


def _baud_rate(slave: int) -> int:
    """What the driver has set its end to [bit/s]."""
    if _HAS_TERMIOS2:
        state = fcntl.ioctl(slave, _TCGETS2, bytes(struct.calcsize(_TERMIOS2)))
        return int(struct.unpack(_TERMIOS2, state)[-1])
    return int(termios.tcgetattr(slave)[5])
