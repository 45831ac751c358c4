"""Whom the service believes: TLS with client certificates, and a token; beyond loopback both."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field

from learner.service_settings import ServiceSettings
from policy.errors import SecurityError
from policy.key_files import TlsFiles, is_loopback, load_tls, load_token


@dataclass(frozen=True, slots=True)
class ServiceSecurity:
    """None where the settings name no file."""

    tls: ssl.SSLContext | None
    token: str | None = field(repr=False)


def load_security(settings: ServiceSettings) -> ServiceSecurity:
    """Read the key files; raise `SecurityError` for what is wrong with them, or missing beyond loopback."""
    _require_both_beyond_loopback(settings)
    keys = load_tls(settings.tls, "service.tls")
    token = load_token(settings.token_file)
    return ServiceSecurity(None if keys is None else _context(settings.tls), token)


def _context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.3 with a certificate of our authority on both sides."""
    assert files.ca is not None  # load_tls takes all three files, or none
    assert files.certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # a session that is resumed would not show its certificate again
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.certificate, files.key)
    except ssl.SSLError as error:
        raise SecurityError(
            f"{files.certificate}: OpenSSL does not take it, its key {files.key} or its authority {files.ca} "
            f"({error.reason}); make new keys with `nudge keys`"
        ) from error
    return context


def _require_both_beyond_loopback(settings: ServiceSettings) -> None:
    complete = None not in (settings.tls.ca, settings.tls.certificate, settings.tls.key, settings.token_file)
    if complete or is_loopback(settings.host):
        return
    raise SecurityError(
        f"service.host: got {settings.host!r}, which others can reach; beyond loopback the learner needs TLS and a "
        f"token. Make both, and start again with them:\n"
        f"  nudge keys --host NAME_OR_ADDRESS_OF_THIS_MACHINE\n"
        f"  nudge learner --service.host {settings.host} --service.tls.ca keys/ca.pem --service.tls.certificate "
        f"keys/server.pem --service.tls.key keys/server.key --service.token-file keys/token\n"
        f"or stay on 127.0.0.1 and let actors come through an SSH tunnel (ssh -L)"
    )
