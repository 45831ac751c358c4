"""What an actor is told when the learner does not believe it, or it does not believe the learner: cause and cure."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from actor.link import LearnerLink, LinkSettings, Spool
from actor.security import _tls_verdict, load_link_security
from policy.errors import SecurityError
from policy.fakes import fake_contract

type Listening = Callable[..., AbstractContextManager[int]]

CONTRACT = fake_contract(cameras=1, proprioception=1, size_px=8)
SOON_S = 30.0


def files(folder: Path, end: str) -> dict[str, str]:
    return {"ca": f"{folder}/ca.pem", "certificate": f"{folder}/{end}.pem", "key": f"{folder}/{end}.key"}


def opened(folder: Path, address: str, **settings: object) -> str:
    """The run that a link with these settings reaches."""
    made = LinkSettings.model_validate({"address": address, "connect_timeout_s": SOON_S} | settings)
    with Spool(folder / "spool.sqlite", CONTRACT, made) as spool, LearnerLink(made, CONTRACT, spool) as link:
        return link.open().run_id


def test_with_the_keys_of_one_run_both_ends_meet(tmp_path: Path, keys: Path, listening: Listening) -> None:
    token = str(keys / "ours" / "token")
    with listening(tmp_path, tls=files(keys / "ours", "server"), token_file=token) as port:
        assert opened(tmp_path, f"localhost:{port}", tls=files(keys / "ours", "client"), token_file=token) == "trial"


@pytest.mark.parametrize("address", ["192.168.1.20:50551", "learner.example:50551", "[fe80::1]:50551"])
def test_another_machine_is_not_dialled_in_clear(address: str, keys: Path) -> None:
    with pytest.raises(SecurityError) as caught:
        load_link_security(LinkSettings(address=address, token_file=keys / "ours" / "token"))
    for command in (
        "nudge keys --host",
        f"nudge actor --link.address {address} --link.tls.ca keys/ca.pem --link.tls.certificate keys/client.pem "
        "--link.tls.key keys/client.key --link.token-file keys/token",
    ):
        assert command in str(caught.value)


def test_a_wrong_or_missing_token_is_said_at_once_with_its_cure(
    tmp_path: Path, keys: Path, listening: Listening
) -> None:
    with listening(tmp_path, token_file=str(keys / "ours" / "token")) as port:
        with pytest.raises(SecurityError, match=r"the token is missing; copy .*--link.token-file PATH"):
            opened(tmp_path, f"127.0.0.1:{port}")
        with pytest.raises(SecurityError, match=r"the token is not this learner's; copy .*--link.token-file PATH"):
            opened(tmp_path, f"127.0.0.1:{port}", token_file=str(keys / "theirs" / "token"))


@pytest.mark.parametrize(
    ("ca", "client", "cause"),
    [
        ("ours", "theirs", "it does not take .*theirs/client.pem: it trusts another authority; both"),
        ("theirs", "theirs", "its certificate does not convince us: self-signed certificate in certificate chain"),
        (None, None, "it speaks TLS only, and this actor has no keys; name link.tls.ca"),
    ],
)
def test_a_learner_that_does_not_shake_hands_is_explained(
    tmp_path: Path, keys: Path, ca: str | None, client: str | None, cause: str, listening: Listening
) -> None:
    given = {} if client is None else files(keys / client, "client") | {"ca": f"{keys}/{ca}/ca.pem"}
    with listening(tmp_path, tls=files(keys / "ours", "server")) as port:
        with pytest.raises(SecurityError, match=cause) as caught:
            opened(tmp_path, f"127.0.0.1:{port}", tls=given)
        assert "the files of one `nudge keys` run" in str(caught.value)


def test_an_expired_certificate_is_told_apart_from_a_foreign_one(
    tmp_path: Path, keys: Path, listening: Listening
) -> None:
    trusting = files(keys / "ours", "server") | {"ca": f"{keys}/old/ca.pem"}
    given = LinkSettings.model_validate({"tls": files(keys / "old", "client") | {"ca": f"{keys}/ours/ca.pem"}})
    with listening(tmp_path, tls=trusting) as port:
        verdict = _tls_verdict(f"127.0.0.1:{port}", given.tls, SOON_S)
    assert verdict is not None
    assert "old/client.pem: by its clock this one has expired" in verdict


def test_a_learner_that_hangs_up_after_the_handshake_is_not_said_to_refuse(keys: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "ours" / "server.pem", keys / "ours" / "server.key")

    def hang_up(listener: socket.socket) -> None:
        plain, _ = listener.accept()
        context.wrap_socket(plain, server_side=True).close()

    given = LinkSettings.model_validate({"tls": files(keys / "ours", "client")})
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        ended = pool.submit(hang_up, listener)
        assert _tls_verdict(f"127.0.0.1:{listener.getsockname()[1]}", given.tls, SOON_S) is None
        ended.result()


def test_a_certificate_for_another_name_is_explained(tmp_path: Path, keys: Path, listening: Listening) -> None:
    expected = pytest.raises(SecurityError, match=r"certificate is not valid for '127\.0\.0\.2'.*with --host")
    with listening(tmp_path, tls=files(keys / "ours", "server"), host="127.0.0.2") as port, expected:
        opened(tmp_path, f"127.0.0.2:{port}", tls=files(keys / "ours", "client"))


def test_a_learner_without_tls_is_explained(tmp_path: Path, keys: Path, listening: Listening) -> None:
    with (
        listening(tmp_path) as port,
        pytest.raises(SecurityError, match=r"without TLS; start it with service\.tls\.ca"),
    ):
        opened(tmp_path, f"127.0.0.1:{port}", tls=files(keys / "ours", "client"))


def test_no_secret_stands_in_what_is_printed(keys: Path) -> None:
    settings = LinkSettings.model_validate(
        {"tls": files(keys / "ours", "client"), "token_file": str(keys / "ours" / "token")}
    )
    security = load_link_security(settings)
    shown = f"{settings!r} {settings.model_dump_json()} {security!r}"
    assert (keys / "ours" / "token").read_text().strip() not in shown
    assert "PRIVATE" not in shown
