"""The door of the service: every call, whatever its method, shows the token, and sends its request soon."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from learner.peers import DoorPeers
from learner.quotas import PlaceQuota, RateQuota
from learner.refusals import Refusals
from learner.service_settings import ServiceSettings
from policy.errors import InvalidExperience
from policy.wire import TOKEN_METADATA

type Handler = grpc.RpcMethodHandler[Any, Any]
type Details = grpc.HandlerCallDetails

WRONG_TOKEN = (
    "the token is {}; copy the learner's token file to this machine and name it: --link.token-file PATH "
    "(`nudge keys` made it; its mode must be 0600)"
)
NOT_THROUGH_DOOR = "this port is for the learner itself; come with TLS to the one that it prints, service.port"


class Admission(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Refuses calls without the token; bounds the wait for the one request of a call that sends only one.

    gRPC gives such a call a thread before its request is there, and would wait for ever.

    door: the connections that came through the TLS door, when there is one; calls of others are refused
    """

    def __init__(
        self, settings: ServiceSettings, token: str | None, refusals: Refusals, door: DoorPeers | None
    ) -> None:
        self._token = None if token is None else token.encode()
        self._refusals = refusals
        self._door = door
        self._timeout_s = settings.request_timeout_s
        self._waiting = PlaceQuota(settings.max_waiting_calls, max(1, settings.max_waiting_calls // 2))
        self._wrong_tokens = RateQuota(settings.wrong_tokens_per_minute, 60.0)

    def intercept_service(self, continuation: Callable[[Details], Handler | None], details: Details) -> Handler | None:
        """The handler of a call: the method's own one, or one that says why not. Runs in gRPC's serving thread."""
        wrong = self._what_is_wrong(details)
        if wrong is not None:
            # As a stream, so that it answers without waiting for a request; a client cannot tell the difference.
            refusing = grpc.stream_stream_rpc_method_handler(lambda _, context: self._refuse_token(wrong, context))
            return self._behind_door(refusing)
        handler = continuation(details)
        return None if handler is None else self._behind_door(self._guarded(handler))

    def _behind_door(self, handler: Handler) -> Handler:
        """The same calls, of connections only that the TLS door has made."""
        door, behave = self._door, handler.stream_stream
        if door is None:
            return handler
        assert behave is not None  # every handler of this class is a stream

        def behave_behind_door(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            if not door.is_open(context):
                if door.host(context) is not None:
                    context.abort(grpc.StatusCode.UNAVAILABLE, "the connection of this call is closed")
                self._refusals.refuse(context, grpc.StatusCode.UNAUTHENTICATED, NOT_THROUGH_DOOR)
            return behave(requests, context)

        return grpc.stream_stream_rpc_method_handler(
            behave_behind_door, handler.request_deserializer, handler.response_serializer
        )

    def _what_is_wrong(self, details: Details) -> str | None:
        if self._token is None:
            return None
        shown = [value for key, value in details.invocation_metadata or () if key == TOKEN_METADATA]
        if len(shown) != 1:
            return "missing" if not shown else "there more than once"
        got = shown[0] if isinstance(shown[0], bytes) else shown[0].encode()
        return None if hmac.compare_digest(got, self._token) else "not this learner's"

    def _refuse_token(self, wrong: str, context: grpc.ServicerContext) -> Iterator[None]:
        wait_s = self._wrong_tokens.take(self._refusals.peer_host(context))
        if wait_s > 0:
            reason = f"too many calls without the right token come from this address; wait {wait_s:.0f} s"
            self._refusals.refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        self._refusals.refuse(context, grpc.StatusCode.UNAUTHENTICATED, WRONG_TOKEN.format(wrong))

    def _guarded(self, handler: Handler) -> Handler:
        """The same calls, with an end to the wait for a request, and a refusal of ours for what is no message."""
        parse = _tolerant(handler.request_deserializer)
        stream, one = handler.stream_stream, handler.unary_stream or handler.unary_unary
        if stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: stream(_well_formed(requests), context), parse, handler.response_serializer
            )
        assert one is not None  # no method of ours takes a stream and answers once

        def behave(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            answer = one(self._first(requests, context), context)
            yield from answer if handler.response_streaming else (answer,)

        return grpc.stream_stream_rpc_method_handler(behave, parse, handler.response_serializer)

    def _first(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Any:
        peer = self._refusals.peer_host(context)
        if not self._waiting.take(peer):
            reason = "too many calls wait for their request; send each request at once, or try again later"
            self._refusals.refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        patience = threading.Timer(self._timeout_s, context.cancel)
        patience.start()
        try:
            return next(_well_formed(requests))
        except StopIteration:
            self._refusals.refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "the call ended without a request")
        except InvalidExperience as error:
            self._refusals.refuse(context, grpc.StatusCode.INVALID_ARGUMENT, error)
        finally:
            patience.cancel()
            self._waiting.give_back(peer)


class _Malformed:
    """Stands for bytes that are no message.

    A deserialiser must not raise: gRPC would log a traceback for each, end the call itself, and, when the handler then
    ends as well, keep the call for ever: its place on the connection is lost, and `stop` waits for it.
    """


def _tolerant(parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    assert parse is not None  # generated code always names one

    def parse_or_mark(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _Malformed()

    return parse_or_mark


def _well_formed(requests: Iterator[Any]) -> Iterator[Any]:
    """The messages, until one is none: then raise `InvalidExperience`."""
    for request in requests:
        if isinstance(request, _Malformed):
            raise InvalidExperience("got bytes that are no message of this protocol; does a Nudge send them?")
        yield request
