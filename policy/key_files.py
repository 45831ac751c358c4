"""The files that secure the wire: certificates, keys and the token, as both ends read them.

Settings only name files. What stands in a key or in a token is kept in fields that no repr shows.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import logging
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from policy.contract import Frozen
from policy.errors import SecurityError

MAX_FILE_BYTES = 1 << 16
MIN_TOKEN_CHARACTERS = 32
WARN_BEFORE_END = dt.timedelta(days=30)

log = logging.getLogger(__name__)


class TlsFiles(Frozen):
    """PEM files of one end; all three, or none for a connection in clear."""

    ca: Path | None = Field(default=None, description="Certificate of the authority that both ends trust.")
    certificate: Path | None = Field(default=None, description="Certificate of this end, signed by that authority.")
    key: Path | None = Field(default=None, description="Private key of that certificate; readable by its owner only.")


@dataclass(frozen=True, slots=True)
class TlsKeys:
    """What stands in the three files, checked."""

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)


def load_tls(files: TlsFiles, section: str) -> TlsKeys | None:
    """Read and check the files; None when none is named.

    section: the settings that name them, such as `service.tls`
    Raise `SecurityError` when some are missing, others may read the key, the key belongs to another certificate, or a
    certificate is not valid now. Warn 30 days before its end.
    """
    missing = [f"{section}.{name}" for name, path in files if path is None]
    if len(missing) == 3:
        return None
    if files.ca is None or files.certificate is None or files.key is None:
        raise SecurityError(f"{section}: got no {' and no '.join(missing)}; TLS needs all three files, or none")
    keys = TlsKeys(_read(files.ca), _read(files.certificate), _read_secret(files.key))
    _check_dates(keys.ca, files.ca)
    _check_dates(keys.certificate, files.certificate)
    _check_pair(keys, files.certificate, files.key)
    return keys


def load_token(path: Path | None) -> str | None:
    """The token in a file that only its owner can read; None when no file is named. Raise `SecurityError`."""
    if path is None:
        return None
    token = _read_secret(path).decode("ascii", "replace").strip()
    if len(token) < MIN_TOKEN_CHARACTERS or re.fullmatch(r"[!-~]+", token) is None:
        raise SecurityError(
            f"{path}: expected one line of at least {MIN_TOKEN_CHARACTERS} visible ASCII characters, got another "
            f"content; make one with `nudge keys`"
        )
    return token


def is_loopback(host: str) -> bool:
    """True for an address that does not leave this machine; of names only for localhost, others can change."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _read_secret(path: Path) -> bytes:
    """The content of a file that nobody but its owner can read."""
    data = _read(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise SecurityError(
            f"{path}: others on this machine may use this secret (mode {mode:04o}, expected 0600); type "
            f"`chmod 600 {path}`, and make new keys if somebody may have read it"
        )
    return data


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SecurityError(
            f"{path}: {error.strerror}; `nudge keys --host NAME` makes certificates, keys and a token"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise SecurityError(f"{path}: got more than {MAX_FILE_BYTES} bytes, which is no key file; name another one")
    return data


def _check_dates(pem: bytes, path: Path) -> None:
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise SecurityError(f"{path}: expected a certificate in PEM, got another content ({error})") from error
    now = dt.datetime.now(dt.UTC)
    for certificate in certificates:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begins <= now <= ends:
            raise SecurityError(
                f"{path}: the certificate is valid from {begins:%Y-%m-%d %H:%M} to {ends:%Y-%m-%d %H:%M} UTC, and now "
                f"it is {now:%Y-%m-%d %H:%M}; set this machine's clock, or make new keys with `nudge keys`"
            )
        if ends - now < WARN_BEFORE_END:
            log.warning(
                "%s: the certificate ends in %d days, on %s; make new keys with `nudge keys`",
                path,
                (ends - now).days,
                f"{ends:%Y-%m-%d}",
            )


def _check_pair(keys: TlsKeys, certificate_path: Path, key_path: Path) -> None:
    """gRPC says of a pair that does not fit no more than that the handshake failed."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        public = load_pem_private_key(keys.key, None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        # Without the library's own words: they may quote what stands in the file.
        raise SecurityError(f"{key_path}: expected a private key in PEM without a passphrase") from error
    if public != x509.load_pem_x509_certificates(keys.certificate)[0].public_key():
        raise SecurityError(f"{key_path}: this key is not that of {certificate_path}; name a pair that was made as one")
