"""`nudge keys`: what it writes, what it refuses, and that the page about it can be followed to the end."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
import shlex
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from actor.link import LearnerLink, Spool
from console.keys import main, make_keys
from console.main import VERBS
from console.presets.load import load_settings
from console.settings import DEFAULT_PRESET, Settings
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policy.errors import NudgeError

ROOT = Path(__file__).resolve().parents[2]
NOW = dt.datetime.now(dt.UTC)
FILES = {"ca.pem", "ca.key", "server.pem", "server.key", "client.pem", "client.key", "token"}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_nobody_else_can_read_what_it_writes(tmp_path: Path) -> None:
    make_keys(("gpu-box.lab",), tmp_path / "keys", NOW)
    assert {path.name for path in (tmp_path / "keys").iterdir()} == FILES
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "keys").iterdir()} == {0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700


def test_certificates_name_the_learner_and_say_what_they_are_for(tmp_path: Path) -> None:
    make_keys(("gpu-box.lab", "192.168.1.20", "fe80::7"), tmp_path, NOW)
    authority, server, client = (certificate(tmp_path / name) for name in ("ca.pem", "server.pem", "client.pem"))
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gpu-box.lab", "localhost"]
    addresses = ["192.168.1.20", "fe80::7", "127.0.0.1", "::1"]
    assert names.get_values_for_type(x509.IPAddress) == list(map(ipaddress.ip_address, addresses))
    for leaf, usage in ((server, ExtendedKeyUsageOID.SERVER_AUTH), (client, ExtendedKeyUsageOID.CLIENT_AUTH)):
        leaf.verify_directly_issued_by(authority)
        assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [usage]
        assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert leaf.not_valid_after_utc - NOW.replace(microsecond=0) == dt.timedelta(days=731)
    signs = authority.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (signs.key_cert_sign, signs.digital_signature) == (True, False)


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    make_keys((), tmp_path, NOW)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(NudgeError, match="keys are never overwritten"):
        make_keys((), tmp_path, NOW)
    for name in FILES - {"token"}:
        (tmp_path / name).unlink()
    with pytest.raises(NudgeError, match="token is there"):
        make_keys((), tmp_path, NOW)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"token": kept["token"]}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "learner:50551", "two words", "", "a..b", "bücher.example"])
def test_hosts_that_no_actor_can_dial_are_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(NudgeError, match="--host: got"):
        make_keys((host,), tmp_path / "keys", NOW)
    assert not (tmp_path / "keys").exists()


def commands(text: str) -> dict[str, list[str]]:
    """Arguments by verb, of each line that begins with `nudge`."""
    lines = [shlex.split(line) for line in re.findall(r"^\s+(nudge .*)$", text, re.MULTILINE)]
    return {words[1]: words[2:] for words in lines}


def test_the_page_on_security_can_be_followed_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = commands((ROOT / "docs" / "security.md").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    assert "keys" in VERBS
    assert main(page["keys"]) == 0
    printed = commands(capsys.readouterr().out)
    assert printed == {verb: page[verb] for verb in ("learner", "actor")}

    service = load_settings(Settings, [*page["learner"], "--service.port", "0"], DEFAULT_PRESET, "nudge learner")
    with ExperienceStore(tmp_path / "experience.sqlite", service.contract) as store:
        server = LearnerServer(
            service.service, service.contract, service.run, store, PolicyPublisher(), "{}", pb.StatusReply
        )
        try:
            port = server.start()
            arguments = [word.replace("50551", str(port)) for word in page["actor"]]
            actor = load_settings(Settings, arguments, DEFAULT_PRESET, "nudge actor")
            with (
                Spool(tmp_path / "spool.sqlite", actor.contract, actor.link) as spool,
                LearnerLink(actor.link, actor.contract, spool) as link,
            ):
                assert link.open().run_id == service.run
        finally:
            server.stop(0)
