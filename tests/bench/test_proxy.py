"""The proxy forwards every byte until it is told otherwise, and each fault is the one that its name says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bench.proxy import LOOPBACK, Proxy, Way

SOON_S = 20.0  # far more than anything here takes
WHILE_S = 0.3  # long enough for loopback to deliver what it would deliver


class Peer:
    """A listener that accepts connections; the test talks on both ends."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0))
        self._listener.settimeout(SOON_S)
        self.port = int(self._listener.getsockname()[1])
        self._sockets = [self._listener]

    def connect(self, proxy: Proxy) -> tuple[socket.socket, socket.socket]:
        """Both ends of a new connection through the proxy: near, far."""
        before, deadline_s = proxy.accepted, time.monotonic() + SOON_S
        near = socket.create_connection((LOOPBACK, proxy.port), SOON_S)
        far, _ = self._listener.accept()
        far.settimeout(SOON_S)
        self._sockets += [near, far]
        while proxy.accepted == before:  # the far end is there a moment before the proxy knows
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        return near, far

    def close(self) -> None:
        for each in self._sockets:
            each.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made = Peer()
    yield made
    made.close()


@pytest.fixture
def proxy(peer: Peer) -> Iterator[Proxy]:
    with Proxy(peer.port) as made:
        yield made


def receive(sock: socket.socket, length: int) -> bytes:
    """Up to `length` bytes; fewer when the other side ends first."""
    data = b""
    while len(data) < length and (part := sock.recv(length - len(data))):
        data += part
    return data


def silent(sock: socket.socket) -> bool:
    """Nothing comes for a while, not even the end."""
    sock.settimeout(WHILE_S)
    try:
        sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(SOON_S)
    return False


def gone(sock: socket.socket) -> bool:
    """The other side has left, in whichever way."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_bytes_pass_both_ways_unchanged_and_are_counted(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    payload = bytes(range(256)) * 4000  # 1 MB: far more than one read
    sender = threading.Thread(target=near.sendall, args=(payload,))
    sender.start()
    assert receive(far, len(payload)) == payload
    sender.join()
    far.sendall(b"thanks")
    assert receive(near, 6) == b"thanks"
    assert (proxy.bytes_forwarded(Way.UP), proxy.bytes_forwarded(Way.DOWN)) == (len(payload), 6)


def test_the_end_of_one_side_reaches_the_other_after_the_last_byte(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    near.sendall(b"last words")
    near.close()
    assert receive(far, 100) == b"last words"


def test_a_delay_holds_every_byte_for_its_time(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    proxy.delay_s = 0.2
    begin_s = time.monotonic()
    near.sendall(b"ping")
    assert receive(far, 4) == b"ping"
    assert time.monotonic() - begin_s >= 0.2


def test_a_throttle_bounds_the_throughput(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    proxy.bytes_per_s = 100_000.0
    begin_s = time.monotonic()
    near.sendall(bytes(30_000))
    assert len(receive(far, 30_000)) == 30_000
    assert time.monotonic() - begin_s >= 0.3  # 30 kB at 100 kB/s


def test_a_cut_ends_both_sides_and_the_next_connection_is_whole(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    assert proxy.cut() == 1
    assert gone(near)
    assert gone(far)
    near, far = peer.connect(proxy)
    near.sendall(b"again")
    assert receive(far, 5) == b"again"


def test_a_truncation_breaks_off_in_the_middle(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    assert proxy.truncate(Way.UP, 7) == 1
    near.sendall(b"a message of some length")
    assert receive(far, 100) == b"a messa"
    assert gone(near)


@pytest.mark.parametrize("way", list(Way))
def test_a_half_open_connection_is_silent_one_way_and_tells_nobody(peer: Peer, proxy: Proxy, way: Way) -> None:
    near, far = peer.connect(proxy)
    sender, receiver = (near, far) if way is Way.UP else (far, near)
    assert proxy.halve(frozenset({way})) == 1
    sender.sendall(b"lost")
    assert silent(receiver)
    receiver.sendall(b"heard")
    assert receive(sender, 5) == b"heard"
    sender.close()
    assert silent(receiver)


def test_a_half_open_connection_does_not_disturb_the_next_one(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    proxy.halve()
    near.sendall(b"lost")
    assert silent(far)
    near, far = peer.connect(proxy)
    near.sendall(b"whole")
    assert receive(far, 5) == b"whole"


def test_a_frozen_link_loses_nothing(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    proxy.freeze()
    near.sendall(b"patience")
    assert silent(far)
    proxy.thaw()
    assert receive(far, 8) == b"patience"


def test_refused_connections_see_no_listener_and_standing_ones_go_on(peer: Peer, proxy: Proxy) -> None:
    near, far = peer.connect(proxy)
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, proxy.port), SOON_S)
    near.sendall(b"still")
    assert receive(far, 5) == b"still"
    proxy.accept()
    near, far = peer.connect(proxy)
    near.sendall(b"new")
    assert receive(far, 3) == b"new"


def test_without_a_target_a_connection_ends_at_once(peer: Peer, proxy: Proxy) -> None:
    proxy.target = None
    with socket.create_connection((LOOPBACK, proxy.port), SOON_S) as near:
        assert gone(near)
