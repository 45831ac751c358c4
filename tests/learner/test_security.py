"""Whom the service lets in: TLS with certificates of one authority, the token on every method, nobody else."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import grpc
import pytest

from learner.security import load_security
from learner.service_settings import ServiceSettings
from policy.errors import SecurityError
from policy.fakes import fake_contract
from policy.wire import TOKEN_METADATA

type Listening = Callable[..., AbstractContextManager[int]]

CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)
SOON_S = 20.0
METHODS = (
    "/nudge.v1.Learner/Hello",
    "/nudge.v1.Learner/StreamExperience",
    "/nudge.v1.Learner/WatchPolicy",
    "/nudge.v1.Learner/Status",
    "/nudge.v1.Learner/Command",
    "/nudge.v1.Learner/WatchCommands",
    "/nudge.v1.Learner/ReportState",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.health.v1.Health/List",
    "/nudge.v1.Learner/NoSuchMethod",
)


def tls(folder: Path, ca: Path | None = None) -> dict[str, str]:
    files = {"ca": ca or folder / "ca.pem", "certificate": folder / "server.pem", "key": folder / "server.key"}
    return {name: str(path) for name, path in files.items()}


def client(folder: Path, ca: Path | None = None, certificate: bool = True) -> grpc.ChannelCredentials:
    pair = [(folder / name).read_bytes() if certificate else None for name in ("client.key", "client.pem")]
    return grpc.ssl_channel_credentials(((ca or folder) / "ca.pem").read_bytes(), *pair)


def called(channel: grpc.Channel, method: str, token: str | None = None, timeout_s: float = SOON_S) -> grpc.StatusCode:
    """The status of a call with an empty request."""
    call = channel.stream_stream(method, bytes, bytes)
    metadata = () if token is None else ((TOKEN_METADATA, token),)
    answer = call(iter([b""]), metadata=metadata, timeout=timeout_s)
    try:
        for _ in answer:
            pass
    except grpc.RpcError:
        pass
    return answer.code()


def status_over(port: int, credentials: grpc.ChannelCredentials | None, host: str = "127.0.0.1") -> grpc.StatusCode:
    address, options = f"{host}:{port}", [("grpc.use_local_subchannel_pool", 1)]
    made = (
        grpc.insecure_channel(address, options)
        if credentials is None
        else grpc.secure_channel(address, credentials, options)
    )
    with made as channel:
        call = channel.unary_unary("/nudge.v1.Learner/Status", bytes, bytes)
        try:
            call(b"", timeout=SOON_S)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def test_beyond_loopback_nothing_listens_without_tls_and_token(
    tmp_path: Path, keys: Path, listening: Listening
) -> None:
    token = str(keys / "ours" / "token")
    lacking: list[dict[str, object]] = [{}, {"tls": tls(keys / "ours")}, {"token_file": token}]
    for host in ("0.0.0.0", "::", "192.168.1.4", "learner.example"):
        for given in lacking:
            with pytest.raises(SecurityError) as caught:
                load_security(ServiceSettings.model_validate({"host": host} | given))
            for command in (
                "nudge keys --host",
                f"nudge learner --service.host {host} --service.tls.ca keys/ca.pem --service.tls.certificate "
                "keys/server.pem --service.tls.key keys/server.key --service.token-file keys/token",
            ):
                assert command in str(caught.value)
    with pytest.raises(SecurityError), listening(tmp_path, host="0.0.0.0"):
        pass


def test_with_both_it_listens_on_every_address(tmp_path: Path, keys: Path, listening: Listening) -> None:
    given = {"tls": tls(keys / "ours"), "token_file": str(keys / "ours" / "token")}
    with listening(tmp_path, host="0.0.0.0", **given) as port:
        assert status_over(port, client(keys / "ours")) is grpc.StatusCode.UNAUTHENTICATED  # no token yet


def test_only_a_valid_certificate_of_our_authority_comes_in(tmp_path: Path, keys: Path, listening: Listening) -> None:
    ours, theirs = keys / "ours", keys / "theirs"
    with listening(tmp_path, tls=tls(ours)) as port:
        assert status_over(port, client(ours)) is grpc.StatusCode.OK
        assert status_over(port, client(ours), "localhost") is grpc.StatusCode.OK
        refused = {
            "in clear": None,
            "of another authority": client(theirs, ca=ours),
            "without a certificate": client(ours, certificate=False),
            "who does not trust us": client(ours, ca=theirs),
        }
        got = {who: status_over(port, credentials) for who, credentials in refused.items()}
        assert got == dict.fromkeys(refused, grpc.StatusCode.UNAVAILABLE)
        assert status_over(port, client(ours)) is grpc.StatusCode.OK


def test_garbage_and_half_a_handshake_on_the_tls_port_hurt_nobody(
    tmp_path: Path, keys: Path, listening: Listening
) -> None:
    client_hello = bytes.fromhex("16030100c8010000c40303") + bytes(189)  # a TLS record of 200 bytes, empty inside
    starts = (b"", b"\0" * 500, b"GET / HTTP/1.1\r\n\r\n", client_hello[:7], client_hello, client_hello * 50)
    with listening(tmp_path, tls=tls(keys / "ours"), handshake_timeout_s=1.0) as port, ExitStack() as stack:
        for start in starts * 3:
            sent = stack.enter_context(socket.create_connection(("127.0.0.1", port), SOON_S))
            with suppress(ConnectionError):
                sent.sendall(start)
            assert status_over(port, client(keys / "ours")) is grpc.StatusCode.OK


def test_an_expired_certificate_does_not_come_in(tmp_path: Path, keys: Path, listening: Listening) -> None:
    with listening(tmp_path, tls=tls(keys / "ours", ca=keys / "old" / "ca.pem")) as port:
        assert status_over(port, client(keys / "old", ca=keys / "ours")) is grpc.StatusCode.UNAVAILABLE


@pytest.fixture
def guarded(tmp_path: Path, keys: Path, listening: Listening) -> Iterator[grpc.Channel]:
    """A channel in clear to a learner on loopback that wants the token."""
    with (
        listening(tmp_path, token_file=str(keys / "ours" / "token"), wrong_tokens_per_minute=1000) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel,
    ):
        yield channel


@pytest.mark.parametrize("method", METHODS)
def test_every_method_wants_the_token(guarded: grpc.Channel, keys: Path, method: str) -> None:
    token = (keys / "ours" / "token").read_text().strip()
    for wrong in (None, "", "t" * 43, token[:-1], token + "x", (keys / "theirs" / "token").read_text().strip()):
        assert called(guarded, method, wrong) is grpc.StatusCode.UNAUTHENTICATED
    assert called(guarded, method, token, timeout_s=1) is not grpc.StatusCode.UNAUTHENTICATED


def test_a_token_is_shown_once(guarded: grpc.Channel, keys: Path) -> None:
    token = (keys / "ours" / "token").read_text().strip()
    call = guarded.unary_unary("/nudge.v1.Learner/Status", bytes, bytes)
    call(b"", metadata=((TOKEN_METADATA, token),), timeout=SOON_S)
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", metadata=((TOKEN_METADATA, "t" * 43), (TOKEN_METADATA, token)), timeout=SOON_S)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_wrong_token_is_told_with_its_cure_and_logged_once_with_the_address(
    guarded: grpc.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    call = guarded.unary_unary("/nudge.v1.Learner/Status", bytes, bytes)
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", metadata=((TOKEN_METADATA, "guess" * 9),), timeout=SOON_S)
        assert "the token is not this learner's" in (caught.value.details() or "")
        assert "--link.token-file" in (caught.value.details() or "")
    lines = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert lines[0].startswith("refused 127.0.0.1 (UNAUTHENTICATED): the token is not")
    assert "guess" not in caplog.text


def test_guessing_is_slowed_and_the_right_token_still_passes(tmp_path: Path, keys: Path, listening: Listening) -> None:
    token = (keys / "ours" / "token").read_text().strip()
    with (
        listening(tmp_path, token_file=str(keys / "ours" / "token"), wrong_tokens_per_minute=3) as port,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        codes = [called(channel, METHODS[3], "t" * 43) for _ in range(8)]
        assert codes == [grpc.StatusCode.UNAUTHENTICATED] * 3 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 5
        assert called(channel, METHODS[3], token) is grpc.StatusCode.OK


def test_no_secret_stands_in_what_is_printed(keys: Path) -> None:
    files = {"tls": tls(keys / "ours"), "token_file": str(keys / "ours" / "token")}
    settings = ServiceSettings.model_validate(files)
    token = (keys / "ours" / "token").read_text().strip()
    shown = f"{settings!r} {settings.model_dump_json()} {load_security(settings)!r}"
    assert token not in shown
    assert "PRIVATE" not in shown
    assert "server.key" in shown  # the name of the file is no secret
