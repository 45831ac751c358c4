"""Who calls, when all connections to gRPC come from the door before it (`learner.tls_door`) on this machine."""

from __future__ import annotations

import urllib.parse
from collections import OrderedDict

import grpc


class DoorPeers:
    """Whose each connection is that the door has made to gRPC, by the address of the door's end of it.

    The door writes, gRPC's threads read. Bounded: besides the open ones, only those that closed last are remembered,
    for calls that outlive their connection a little.

    places: most connections that are open at a time
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._open: dict[str, str] = {}
        self._closed: OrderedDict[str, str] = OrderedDict()

    def enter(self, inner: tuple[str, int], host: str) -> None:
        """A connection of the door from `inner` to gRPC is that of the peer `host`; before its first byte."""
        name = f"ipv4:{inner[0]}:{inner[1]}"  # as gRPC writes it
        self._closed.pop(name, None)
        self._open[name] = host

    def leave(self, inner: tuple[str, int]) -> None:
        """The connection ends; before another process can get its address."""
        name = f"ipv4:{inner[0]}:{inner[1]}"
        self._closed[name] = self._open.pop(name)
        if len(self._closed) > self._places:
            self._closed.popitem(last=False)

    def is_open(self, context: grpc.ServicerContext) -> bool:
        """Did this call come through the door, and is its connection still there?"""
        return connection_of(context) in self._open

    def host(self, context: grpc.ServicerContext) -> str | None:
        """The peer behind the door; None when the call did not come through it."""
        name = connection_of(context)
        return self._open.get(name) or self._closed.get(name)


def connection_of(context: grpc.ServicerContext) -> str:
    """The far end of the call's connection, as gRPC writes it: `ipv4:192.168.1.7:40312`, `ipv6:[::1]:40312`."""
    return urllib.parse.unquote(context.peer())
