"""The control socket: JSON lines over a Unix socket, one command a line, one answer a line."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from policy.errors import NudgeError
from robot.virtual.commands import COMMAND, Command, State
from robot.virtual.errors import VirtualArmError

if TYPE_CHECKING:
    from robot.virtual.station import Station

LARGEST_LINE = 1 << 16
# The kernel's limit for the path of a Unix socket, without the closing zero.
LONGEST_PATH = 107


class ControlSocket:
    """Lets others tell the station what to do, each connection in a thread of its own.

    Its path also says whose the folder is: made first, it keeps a second station out; it answers once it is started.
    """

    def __init__(self, path: Path, station: Station) -> None:
        _require_free(path)
        path.unlink(missing_ok=True)
        self._path = path
        self._server = _Server(str(path), _Conversation)
        self._server.station = station
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="control", daemon=True)

    def start(self) -> None:
        """Answer from now on, what was asked before included."""
        self._thread.start()

    def close(self) -> None:
        """Free the path."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


class Remote:
    """The other end: tells a running station what to do.

    folder: where its ports are
    """

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self.folder = path.parent
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise VirtualArmError(
                f"{path}: no virtual arm answers there ({error}); start one with `nudge virtual`, or name its --folder"
            ) from error
        self._lines = self._socket.makefile("rb")

    @classmethod
    def when_ready(cls, path: Path, within_s: float) -> Self:
        """The same for a station that is about to start. Raises `VirtualArmError` when it does not come."""
        deadline_s = time.monotonic() + within_s
        while True:
            try:
                remote = cls(path, timeout_s=within_s)
                remote.tell(State())  # answered once all of it is there
                return remote
            except VirtualArmError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def tell(self, command: Command) -> dict[str, Any]:
        """Have a command followed. Raises `VirtualArmError` with the station's reason where it is not."""
        return self.tell_json(command.model_dump_json())

    def tell_json(self, line: str) -> dict[str, Any]:
        """The same for a command that is JSON already, on one line."""
        self._socket.sendall(line.replace("\n", " ").encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._lines.readline() or b'{"error": "the virtual arm has ended"}')
        if "error" in answer:
            raise VirtualArmError(str(answer["error"]))
        return answer


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    station: Station


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Server)
        while line := self.rfile.readline(LARGEST_LINE):
            answer = _follow(line, self.server.station)
            try:
                self.wfile.write(json.dumps(answer).encode() + b"\n")
            except BrokenPipeError:
                return


def _follow(line: bytes, station: Station) -> dict[str, Any]:
    try:
        return COMMAND.validate_json(line).apply(station)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, it['loc'])) or 'command'}: {it['msg']}" for it in error.errors())
        return {"error": f"got {line.strip()[:200].decode(errors='replace')!r}, expected a command: {found}"}
    except NudgeError as error:
        return {"error": str(error)}


def _require_free(path: Path) -> None:
    if len(str(path).encode()) > LONGEST_PATH:
        raise VirtualArmError(
            f"{path}: got {len(str(path).encode())} bytes, expected at most {LONGEST_PATH} for the path of a socket; "
            f"choose a shorter --folder"
        )
    try:
        Remote(path, timeout_s=1.0).__exit__()
    except VirtualArmError:
        return
    raise VirtualArmError(f"{path}: another virtual arm runs in this folder; stop it, or choose another --folder")
