"""The serial port: that it is there, may be used, and will still be the same one tomorrow."""

from __future__ import annotations

import os
import re
from pathlib import Path

from robot.errors import ArmError, BusLost

STABLE_PORTS = Path("/dev/serial/by-id")
_COUNTED = re.compile(r"/dev/(tty(ACM|USB)|cu\.usb)[^/]*\d$")


def require_port(port: Path | None) -> Path:
    """The port, where it can be opened. Raises `ArmError` where none is set or allowed, `BusLost` where it is gone."""
    if port is None:
        raise ArmError(f"serial port: none is set; give arm.so101.port. {_candidates()}")
    if not port.exists():
        raise BusLost(
            f"serial port {port}: there is no such device; check the USB cable, and its name. {_candidates()}"
        )
    if not os.access(port, os.R_OK | os.W_OK):
        raise ArmError(
            f"serial port {port}: this user may not use it; `sudo usermod -aG dialout $USER`, then log in again"
        )
    return port


def doubts_of_port(port: Path) -> list[str]:
    """What may go wrong with this name of a port: nothing, or one sentence."""
    if not _COUNTED.match(str(port)):
        return []
    return [
        f"serial port {port}: such names are counted as devices appear, and swap at a reboot; expected a path below "
        f"{STABLE_PORTS}. {_candidates(port)}"
    ]


def stable_ports() -> list[Path]:
    """Paths of serial ports that stay the same after a reboot, sorted."""
    return sorted(STABLE_PORTS.glob("*")) if STABLE_PORTS.is_dir() else []


def _candidates(port: Path | None = None) -> str:
    """The stable names; only those that lead to a port, where one is given."""
    found = [it for it in stable_ports() if port is None or it.resolve() == port.resolve()]
    return f"There: {', '.join(map(str, found))}." if found else f"{STABLE_PORTS} has none: is the arm plugged in?"
