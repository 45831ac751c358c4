"""A TCP proxy between an actor and its learner that behaves as a bad network does, on demand.

It runs in a thread of its own; every method may be called from any other. It knows nothing of gRPC: it counts bytes,
and delays, throttles, holds, swallows, cuts off and refuses them.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

LOOPBACK = "127.0.0.1"
READ_BYTES = 16 * 1024
WAITING_READS = 64  # held in a direction before its sender feels it
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


class Way(Enum):
    """A direction through the proxy."""

    UP = "up"  # from the actor to the learner
    DOWN = "down"


BOTH = frozenset(Way)


@dataclass(eq=False)
class _Connection:
    """An accepted connection and its continuation. `deaf` ways swallow everything, the end of a side included."""

    writers: dict[Way, asyncio.StreamWriter]  # where a way leads to
    deaf: frozenset[Way] = frozenset()
    left: dict[Way, int] = field(default_factory=dict)  # bytes that a way still forwards before it breaks off

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()

    def reset(self) -> None:
        for writer in self.writers.values():
            sock = writer.get_extra_info("socket")
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()


class Proxy:
    """Listens on a loopback port and forwards to `target`, a loopback port that may change; None refuses.

    delay_s: how long every byte takes on its way [s]; bytes_per_s: throughput of each direction, None is unlimited
    """

    def __init__(self, target: int | None = None) -> None:
        self.target = target
        self.delay_s = 0.0
        self.bytes_per_s: float | None = None
        self.accepted = 0
        self._bytes = dict.fromkeys(Way, 0)
        self._connections: set[_Connection] = set()
        # Bound without listening, so that nobody else gets the port while connections are refused.
        self._reserved = _bound_socket(0)
        self.port: int = self._reserved.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self.accept()

    @property
    def address(self) -> str:
        """Where an actor finds its learner."""
        return f"{LOOPBACK}:{self.port}"

    def bytes_forwarded(self, way: Way) -> int:
        """Bytes of TCP payload that came out of the proxy so far."""
        return self._bytes[way]

    @property
    def connections(self) -> int:
        """Connections that at least one side still holds open."""
        return len(self._connections)

    def refuse(self) -> None:
        """Refuse new connections, as a machine without a learner does; those that stand go on."""
        self._do(self._stop_listening())

    def accept(self) -> None:
        """Take connections again."""
        self._do(self._listen())

    def freeze(self) -> None:
        """Hold every byte in both directions: no loss and no end, only silence."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def thaw(self) -> None:
        """Forward what was held, and what comes."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def halve(self, ways: frozenset[Way] = BOTH) -> int:
        """Make the connections that stand half-open; return how many.

        What they send along `ways` is lost and nobody is told, not even that a side has left; new ones are whole.
        """
        return self._do(self._halve(ways))

    def truncate(self, way: Way, after_bytes: int) -> int:
        """Break off the connections that stand after so many more bytes along a way; return how many they are."""
        return self._do(self._truncate(way, after_bytes))

    def cut(self) -> int:
        """Reset the connections that stand; return how many."""
        return self._do(self._cut())

    def close(self) -> None:
        """Cut everything and stop listening."""
        self._do(self._shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _do[T](self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, sock=_bound_socket(self.port))

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _halve(self, ways: frozenset[Way]) -> int:
        for connection in self._connections:
            connection.deaf |= ways
        return len(self._connections)

    async def _truncate(self, way: Way, after_bytes: int) -> int:
        for connection in self._connections:
            connection.left[way] = after_bytes
        return len(self._connections)

    async def _cut(self) -> int:
        for connection in self._connections:
            connection.reset()
        return len(self._connections)

    async def _shut_down(self) -> None:
        await self._stop_listening()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.target is None:
                raise ConnectionRefusedError
            onward_reader, onward_writer = await asyncio.open_connection(LOOPBACK, self.target)
        except OSError:  # no learner there: its actor is to see the same
            writer.transport.abort()
            return
        connection = _Connection({Way.UP: onward_writer, Way.DOWN: writer})
        self._connections.add(connection)
        self.accepted += 1
        try:
            await asyncio.gather(
                self._forward(connection, Way.UP, reader), self._forward(connection, Way.DOWN, onward_reader)
            )
        except asyncio.CancelledError:
            return  # the proxy closes; asyncio would log it as an error of this callback
        finally:
            connection.close()
            self._connections.discard(connection)

    async def _forward(self, connection: _Connection, way: Way, reader: asyncio.StreamReader) -> None:
        """One direction of a connection, until the side that it comes from has left."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WAITING_READS)
        delivering = asyncio.create_task(self._deliver(connection, way, waiting))
        data = b"begin"
        while data:
            try:
                data = await reader.read(READ_BYTES)
            except ConnectionError:
                data = b""
            await waiting.put((self._loop.time() + self.delay_s, data))
        await delivering

    async def _deliver(self, connection: _Connection, way: Way, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        """Write what was read when its time has come; no bytes mean that the sender has left."""
        writer = connection.writers[way]
        while True:
            due_s, data = await waiting.get()
            await asyncio.sleep(max(0.0, due_s - self._loop.time()))
            await self._flowing.wait()
            if self.bytes_per_s is not None:
                await asyncio.sleep(len(data) / self.bytes_per_s)
            if not data:
                break
            if way in connection.deaf or writer.is_closing():
                continue
            part = data[: connection.left.get(way, len(data))]
            self._bytes[way] += len(part)
            writer.write(part)
            if way in connection.left:
                connection.left[way] -= len(part)
                if connection.left[way] == 0:
                    connection.close()
            try:
                await writer.drain()
            except ConnectionError:
                continue  # its own reader tells the other side
        if way not in connection.deaf:
            connection.close()


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((LOOPBACK, port))
    return bound
