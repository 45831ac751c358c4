"""The door before gRPC: shakes hands in TLS, names whom it refuses, and passes on the bytes of the others.

gRPC's own TLS prints a failed handshake on stderr without the peer's address, each time
(https://github.com/grpc/grpc/issues/32893). So the learner's port is this door's, and gRPC listens behind it, in clear,
on a port of 127.0.0.1 whose calls it takes from the door only (`learner.peers`, `learner.admission`).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress

import grpc

from learner.peers import DoorPeers
from learner.refusals import Refusals
from learner.service_settings import ServiceSettings

CHUNK_BYTES = 1 << 16  # read at a time; nothing more of a connection is held here
LAST_BYTES_S = 0.5  # for what gRPC said last, when the door closes
RETRY_S = 0.5  # after a failure to accept, such as too many open files

_OTHER_AUTHORITY = (18, 19, 20, 21)  # OpenSSL's codes for a certificate that nobody we trust has signed
_CAUSES = {  # of a failed handshake, by OpenSSL's names
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it shows no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust our certificate: another authority",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "by its clock our certificate has expired",
    "HTTP_REQUEST": "it speaks HTTP without TLS",
    "WRONG_VERSION_NUMBER": "it speaks without TLS",
    "UNSUPPORTED_PROTOCOL": "it speaks an older TLS than 1.3",
}


class TlsDoor:
    """Listens from its making to `close`, in a thread of its own. Raise `OSError` when the address is taken.

    inner_port: of 127.0.0.1, where gRPC listens in clear
    peers: where the door notes whose its connections to gRPC are
    """

    def __init__(
        self,
        settings: ServiceSettings,
        context: ssl.SSLContext,
        inner_port: int,
        peers: DoorPeers,
        refusals: Refusals,
    ) -> None:
        self._settings, self._context, self._refusals = settings, context, refusals
        self._inner, self._peers = ("127.0.0.1", inner_port), peers
        self._listeners = _listen(settings.host, settings.port)
        self.port: int = self._listeners[0].getsockname()[1]
        self._connections: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="learner-tls-door")
        self._thread.start()

    def close(self) -> None:
        """Accept nobody any more, pass on the last bytes, and end all connections. May be called twice."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        async with asyncio.TaskGroup() as group:
            accepting = [group.create_task(self._accept(listener)) for listener in self._listeners]
            await self._closing.wait()
            for task in accepting:
                task.cancel()
        for listener in self._listeners:
            listener.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=LAST_BYTES_S)  # the runner ends those that are left

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                outer, address = await self._loop.sock_accept(listener)
            except OSError as error:
                self._refusals.note("a new connection", grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
                await asyncio.sleep(RETRY_S)
                continue
            peer = _host(address)
            if len(self._connections) >= self._settings.max_connections:
                outer.close()
                reason = f"{len(self._connections)} connections are open; raise service.max_connections"
                self._refusals.note(peer, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
                continue
            task = self._loop.create_task(self._attend(outer, peer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

    async def _attend(self, outer: socket.socket, peer: str) -> None:
        """One connection, from its handshake to its end."""
        with outer:
            stream = _TlsStream(outer, self._context, self._settings)
            try:
                outer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(self._settings.handshake_timeout_s):
                    await stream.handshake()
            except OSError as error:  # also what TLS and the time-out raise
                self._refusals.note(peer, grpc.StatusCode.UNAUTHENTICATED, f"no TLS with this peer: {_cause(error)}")
                return
            try:
                await self._carry(stream, peer)
            except OSError as error:  # gRPC has stopped, or there are too many open files
                self._refusals.note(peer, grpc.StatusCode.UNAVAILABLE, f"no way from the TLS door to gRPC: {error}")

    async def _carry(self, stream: _TlsStream, peer: str) -> None:
        """Pass bytes both ways until either side ends; then neither is left half open."""
        with socket.socket() as inner:
            inner.setblocking(False)
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(inner, self._inner)
            name = inner.getsockname()
            self._peers.enter(name, peer)
            ways = [self._loop.create_task(way(inner)) for way in (stream.pass_inward, stream.pass_outward)]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _cancelled(*ways)
                self._peers.leave(name)


class _TlsStream:
    """TLS over a socket of which nothing is buffered here, so that each side feels how slow the other one is.

    Not asyncio's own TLS: that drops the alert in which a failed handshake tells the peer why (Python 3.12).
    """

    def __init__(self, outer: socket.socket, context: ssl.SSLContext, settings: ServiceSettings) -> None:
        self._outer, self._loop = outer, asyncio.get_running_loop()
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self._sending = asyncio.Lock()
        # A peer that takes nothing for so long is gone; gRPC, which probes it, is not heard behind what waits here.
        self._patience_s = settings.keepalive_time_s + settings.keepalive_timeout_s

    async def handshake(self) -> None:
        """Shake hands; raise `OSError`, mostly an `ssl.SSLError`, after telling the peer."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
            except ssl.SSLError:
                with suppress(OSError):
                    await self._flush()
                raise
            else:
                return await self._flush()
            if not await self._receive():
                raise ConnectionResetError(
                    "it hung up in the middle, as a gRPC client does that does not trust our certificate"
                )

    async def pass_inward(self, inner: socket.socket) -> None:
        """From the peer to gRPC, until the peer ends or the connection breaks: to gRPC that is the same."""
        with suppress(OSError):
            while True:
                while data := self._decrypted():
                    await self._loop.sock_sendall(inner, data)
                await self._flush()  # what TLS itself answers
                if not await self._receive():
                    return

    async def pass_outward(self, inner: socket.socket) -> None:
        """From gRPC to the peer, until gRPC ends or the connection breaks."""
        with suppress(OSError):
            while data := await self._loop.sock_recv(inner, CHUNK_BYTES):
                self._tls.write(data)
                await self._flush()

    async def _receive(self) -> bool:
        data = await self._loop.sock_recv(self._outer, CHUNK_BYTES)
        self._received.write(data)
        return bool(data)

    def _decrypted(self) -> bytes:
        with suppress(ssl.SSLWantReadError):
            return self._tls.read(CHUNK_BYTES)
        return b""

    async def _flush(self) -> None:
        async with self._sending, asyncio.timeout(self._patience_s):
            if data := self._to_send.read():
                await self._loop.sock_sendall(self._outer, data)


def _listen(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of the host, all with one port; `::` means IPv4 as well."""
    listeners: list[socket.socket] = []
    try:
        for family, *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            bound = listeners[0].getsockname()[1] if listeners else port
            both = family is socket.AF_INET6 and host == "::"
            listeners.append(socket.create_server((str(address[0]), bound), family=family, dualstack_ipv6=both))
            listeners[-1].setblocking(False)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _host(address: tuple[str, int]) -> str:
    """As gRPC writes it: `192.168.1.7`, `[::1]`."""
    host = address[0].removeprefix("::ffff:")
    return f"[{host}]" if ":" in host else host


def _cause(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it did not finish the handshake in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        foreign = "another authority has signed it: " if error.verify_code in _OTHER_AUTHORITY else ""
        return f"its certificate does not convince us: {foreign}{error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return _CAUSES.get(error.reason or "", f"what it sends is no handshake of ours ({error.reason})")
    return error.strerror or str(error)


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """End the tasks; raise what one of them has failed with."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
