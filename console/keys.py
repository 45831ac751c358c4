"""`nudge keys`: certificates, keys and a token for a learner that others can reach.

An authority of one's own signs one certificate for the learner and one for its actors (RFC 5280); no key is ever sent
anywhere, and no file is ever overwritten.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import Field
from rich.console import Console

from console.errors import ConsoleError
from console.presets.load import parse_options
from policy.contract import Frozen

AUTHORITY_DAYS = 3653  # ten years
LEAF_DAYS = 731  # two years
CLOCK_SKEW = dt.timedelta(hours=1)  # a robot host without a clock battery lags behind
LOCAL = ("localhost", "127.0.0.1", "::1")  # for tunnels, and for an actor on the learner's machine


class KeySettings(Frozen):
    """For whom the keys are, and where they go."""

    host: tuple[str, ...] = Field(description="Names and addresses under which actors reach the learner.")
    folder: Path = Field(default=Path("keys"), description="Folder to write into; nothing in it is overwritten.")


@dataclass(frozen=True, slots=True)
class _Signed:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def main(argv: list[str]) -> int:
    """Make the files, and say which belongs on which machine."""
    settings = parse_options(KeySettings, argv, "nudge keys")
    make_keys(settings.host, settings.folder, dt.datetime.now(dt.UTC))
    _tell(settings, Console(soft_wrap=True, highlight=False))
    return 0


def make_keys(hosts: tuple[str, ...], folder: Path, now: dt.datetime) -> None:
    """Write authority, certificates, keys and token into a folder, each with mode 0600.

    now: when their validity begins, with its zone
    Raise `ConsoleError` for a host that no actor can dial, or when one of the files is there.
    """
    names = _subject_names(hosts)
    authority = _authority(now)
    server = _leaf("nudge learner", authority, ExtendedKeyUsageOID.SERVER_AUTH, names, now)
    client = _leaf("nudge actor", authority, ExtendedKeyUsageOID.CLIENT_AUTH, None, now)
    files = {
        "ca.pem": authority.certificate_pem,
        "ca.key": authority.key_pem,
        "server.pem": server.certificate_pem,
        "server.key": server.key_pem,
        "client.pem": client.certificate_pem,
        "client.key": client.key_pem,
        "token": secrets.token_urlsafe(32).encode() + b"\n",
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise ConsoleError(
            f"{folder}: {', '.join(there)} is there, and keys are never overwritten; choose another --folder, or move "
            f"the old ones away and copy the new ones to every machine"
        )
    for name, content in files.items():
        _write_new(folder / name, content)


def _write_new(path: Path, content: bytes) -> None:
    """A file that did not exist, and that nobody else could read at any moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _subject_names(hosts: tuple[str, ...]) -> x509.SubjectAlternativeName:
    """The names of the learner's certificate, those of its own machine included."""
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys((*hosts, *LOCAL)):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            names.append(_dns_name(host))
            continue
        if address.is_unspecified:
            raise ConsoleError(
                f"--host: got {host}, which stands for every address of a machine; expected names or addresses that an "
                f"actor can dial, such as gpu-box.lab or 192.168.1.20"
            )
        names.append(x509.IPAddress(address))
    return x509.SubjectAlternativeName(names)


def _dns_name(host: str) -> x509.DNSName:
    labels = host.split(".")
    if len(host) > 253 or not all(label.replace("-", "a").isalnum() and len(label) < 64 for label in labels):
        raise ConsoleError(f"--host: got {host!r}, expected a name such as gpu-box.lab, or an IP address; no port")
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise ConsoleError(f"--host: got {host!r}, expected a name in ASCII, or an IP address ({error})") from error


def _authority(now: dt.datetime) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"nudge authority {secrets.token_hex(4)}")])
    builder = (
        _builder(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    return _Signed(builder.sign(key, hashes.SHA256()), key)


def _leaf(
    common_name: str,
    authority: _Signed,
    usage: x509.ObjectIdentifier,
    names: x509.SubjectAlternativeName | None,
    now: dt.datetime,
) -> _Signed:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    signer = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        _builder(subject, issuer.subject, key, now, LEAF_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return _Signed(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _tell(settings: KeySettings, console: Console) -> None:
    folder = settings.folder
    console.print(
        f"[bold]Learner's machine[/]: ca.pem server.pem server.key token\n"
        f"  nudge learner --service.host 0.0.0.0 {_options('service', folder, 'server')}\n"
        f"[bold]Actor's machine[/], into {folder} there: ca.pem client.pem client.key token\n"
        f"  nudge actor --link.address {_dialled(settings.host[0])}:50551 {_options('link', folder, 'client')}\n"
        f"[bold]Neither[/]: ca.key signs new certificates; keep it elsewhere, or delete it.\n"
        f"Whoever has client.key and token can teach this learner: copy them with scp -p, never by mail.\n"
        f"The certificates end after two years, the authority after ten."
    )


def _options(section: str, folder: Path, end: str) -> str:
    return (
        f"--{section}.tls.ca {folder / 'ca.pem'} --{section}.tls.certificate {folder / f'{end}.pem'} "
        f"--{section}.tls.key {folder / f'{end}.key'} --{section}.token-file {folder / 'token'}"
    )


def _dialled(host: str) -> str:
    return f"[{host}]" if ":" in host else host
