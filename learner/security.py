"""Whom the service believes: TLS with client certificates, and a token; beyond loopback both."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc

from learner.service_settings import ServiceSettings
from policy.errors import SecurityError
from policy.key_files import is_loopback, load_tls, load_token


@dataclass(frozen=True, slots=True)
class ServiceSecurity:
    """None where the settings name no file."""

    credentials: grpc.ServerCredentials | None
    token: str | None = field(repr=False)


def load_security(settings: ServiceSettings) -> ServiceSecurity:
    """Read the key files; raise `SecurityError` for what is wrong with them, or missing beyond loopback."""
    _require_both_beyond_loopback(settings)
    keys = load_tls(settings.tls, "service.tls")
    token = load_token(settings.token_file)
    if keys is None:
        return ServiceSecurity(None, token)
    # A handshake that fails (a foreign, an expired or no client certificate) ends inside gRPC: no Python code runs, and
    # gRPC prints the cause on stderr, without the peer's address, every time
    # (https://github.com/grpc/grpc/issues/32893). The actor says what it can find out (actor.security).
    credentials = grpc.ssl_server_credentials([(keys.key, keys.certificate)], keys.ca, require_client_auth=True)
    return ServiceSecurity(credentials, token)


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
