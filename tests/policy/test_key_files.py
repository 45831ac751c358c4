"""Key files: what is read, what is refused with its cure, and that no secret is shown."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from console.keys import make_keys
from policy.errors import SecurityError
from policy.key_files import TlsFiles, is_loopback, load_tls, load_token

NOW = dt.datetime.now(dt.UTC)


def made(folder: Path, days_ago: float = 0) -> Path:
    make_keys(("learner.example",), folder, NOW - dt.timedelta(days=days_ago))
    return folder


def server_files(folder: Path) -> TlsFiles:
    return TlsFiles(ca=folder / "ca.pem", certificate=folder / "server.pem", key=folder / "server.key")


def test_files_of_one_run_are_taken_and_their_key_is_not_shown(tmp_path: Path) -> None:
    keys = load_tls(server_files(made(tmp_path)), "service.tls")
    assert keys is not None
    assert keys.key == (tmp_path / "server.key").read_bytes()
    assert "PRIVATE" not in repr(keys)


def test_no_files_are_no_tls_and_some_files_are_a_mistake(tmp_path: Path) -> None:
    assert load_tls(TlsFiles(), "service.tls") is None
    with pytest.raises(SecurityError, match=r"got no service.tls.certificate and no service.tls.key"):
        load_tls(TlsFiles(ca=made(tmp_path) / "ca.pem"), "service.tls")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_secrets_that_others_can_read_are_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    made(tmp_path)
    for name in ("server.key", "token"):
        (tmp_path / name).chmod(mode)
    with pytest.raises(SecurityError, match=rf"mode {mode:04o}.*`chmod 600 {tmp_path}/server.key`"):
        load_tls(server_files(tmp_path), "service.tls")
    with pytest.raises(SecurityError, match=rf"`chmod 600 {tmp_path}/token`"):
        load_token(tmp_path / "token")
    for public in ("ca.pem", "server.pem"):
        (tmp_path / public).chmod(0o644)  # a certificate is no secret
    (tmp_path / "server.key").chmod(0o600)
    assert load_tls(server_files(tmp_path), "service.tls") is not None


@pytest.mark.parametrize("days_ago", [800, -2], ids=["expired", "not valid yet"])
def test_certificates_outside_their_dates_are_refused_with_them(tmp_path: Path, days_ago: int) -> None:
    files = server_files(made(tmp_path, days_ago))
    begins = NOW - dt.timedelta(days=days_ago, hours=1)  # an hour for clocks that lag
    with pytest.raises(SecurityError, match=f"valid from {begins:%Y-%m-%d %H:%M} to .* now it is {NOW:%Y-%m-%d}"):
        load_tls(files, "service.tls")


@pytest.mark.parametrize(("days_ago", "warns"), [(702, True), (700, False)])
def test_the_end_is_announced_30_days_ahead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, days_ago: int, warns: bool
) -> None:
    # Valid for 731 days: 731 - 702 = 29 are left, or 731 - 700 = 31.
    load_tls(server_files(made(tmp_path, days_ago)), "service.tls")
    assert ("server.pem: the certificate ends in" in caplog.text) is warns


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    crossed = TlsFiles(ca=tmp_path / "ca.pem", certificate=tmp_path / "server.pem", key=tmp_path / "client.key")
    with pytest.raises(SecurityError, match=r"client.key: this key is not that of .*server.pem"):
        load_tls(crossed, "service.tls")


def test_other_content_is_refused_by_name_and_not_quoted(tmp_path: Path) -> None:
    made(tmp_path)
    for name, reason in (("ca.pem", "expected a certificate in PEM"), ("server.key", "expected a private key in PEM")):
        kept = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(b"hunter2 and more")
        with pytest.raises(SecurityError, match=f"{name}: {reason}") as caught:
            load_tls(server_files(tmp_path), "service.tls")
        assert "hunter2" not in str(caught.value)
        (tmp_path / name).write_bytes(kept)
    with pytest.raises(SecurityError, match=r"missing.pem: No such file.*nudge keys --host"):
        load_tls(server_files(tmp_path).model_copy(update={"ca": tmp_path / "missing.pem"}), "service.tls")
    (tmp_path / "ca.pem").write_bytes(b"x" * 70_000)
    with pytest.raises(SecurityError, match="no key file"):
        load_tls(server_files(tmp_path), "service.tls")


@pytest.mark.parametrize("content", [b"", b"short\n", b"two words " * 5, b"\xff" * 40, "é".encode() * 40])
def test_a_token_is_one_long_visible_word(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_bytes(content)
    with pytest.raises(SecurityError, match="at least 32 visible ASCII characters"):
        load_token(path)
    path.write_bytes(b"  " + b"t" * 32 + b"\n")
    assert load_token(path) == "t" * 32


def test_only_what_cannot_leave_the_machine_is_loopback() -> None:
    inside = ["127.0.0.1", "127.0.0.53", "::1", "[::1]", "localhost"]
    outside = ["0.0.0.0", "::", "192.168.1.4", "learner.example", "localhost.evil.example", ""]
    assert [is_loopback(host) for host in inside] == [True] * len(inside)
    assert [is_loopback(host) for host in outside] == [False] * len(outside)
