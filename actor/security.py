"""How the actor shows who it is, and finds out why a learner does not believe it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field

import grpc

from actor.link_settings import LinkSettings
from policy.errors import SecurityError
from policy.key_files import TlsFiles, TlsKeys, is_loopback, load_tls, load_token
from policy.wire import TOKEN_METADATA

_CURE = (
    "both machines need the files of one `nudge keys` run, with --host as the address is written here, and right clocks"
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")  # OpenSSL's names for it
_ALERTS = {  # in which a learner says what it has against our certificate
    "TLSV1_ALERT_UNKNOWN_CA": "it trusts another authority",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "by its clock this one has expired",
}
_OTHER_ALERT = "its log says why"
VERDICT_S = 2.0  # longest wait for each answer; closing the link waits as long


@dataclass(frozen=True, slots=True)
class LinkSecurity:
    """Empty where the settings name no file."""

    credentials: grpc.ChannelCredentials | None
    metadata: tuple[tuple[str, str], ...] = field(repr=False)  # of every call


def load_link_security(settings: LinkSettings) -> LinkSecurity:
    """Read the key files; raise `SecurityError` for what is wrong with them, or for clear text beyond loopback."""
    keys = load_tls(settings.tls, "link.tls")
    if keys is None and not is_loopback(settings.address.rpartition(":")[0]):
        raise SecurityError(
            f"link.address: {settings.address} is another machine, and no TLS files are named: frames, the token and "
            f"the commands of the policy would travel in clear. Make keys on the learner's machine, copy the actor's, "
            f"and name them:\n"
            f"  nudge keys --host NAME_OR_ADDRESS_OF_THE_LEARNER\n"
            f"  nudge actor --link.address {settings.address} --link.tls.ca keys/ca.pem --link.tls.certificate "
            f"keys/client.pem --link.tls.key keys/client.key --link.token-file keys/token\n"
            f"or come through an SSH tunnel (ssh -L) to 127.0.0.1"
        )
    token = load_token(settings.token_file)
    metadata = () if token is None else ((TOKEN_METADATA, token),)
    return LinkSecurity(None if keys is None else _credentials(keys), metadata)


def why_refused(error: grpc.RpcError, settings: LinkSettings) -> SecurityError | None:
    """What a failed handshake has to do with keys and tokens, in words; None when it is something else."""
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return SecurityError(f"the learner at {settings.address} refuses this actor: {error.details()}")
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return None
    verdict = _tls_verdict(settings.address, settings.tls, settings.call_timeout_s)
    return None if verdict is None else SecurityError(f"the learner at {settings.address}: {verdict}")


def _credentials(keys: TlsKeys) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(keys.ca, keys.key, keys.certificate)


def _tls_verdict(address: str, files: TlsFiles, timeout_s: float) -> str | None:
    """Shake hands once more by hand: gRPC says no more than "Socket closed" of most that can be wrong.

    With TLS 1.3 the client's part is done before the server has judged its certificate. A learner that takes it speaks
    first; one that does not, sends an alert. One that only hangs up is about to stop, and not to be judged.
    """
    name, _, port = address.rpartition(":")
    host, speaks_tls, alert = name.strip("[]"), False, ""
    try:
        with (
            socket.create_connection((host, int(port)), min(timeout_s, VERDICT_S)) as plain,
            _context(files).wrap_socket(plain, server_hostname=host) as wrapped,
        ):
            speaks_tls = True
            wrapped.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"its certificate does not convince us: {error.verify_message.rstrip('.')}; {_CURE}"
    except ssl.SSLError as error:
        if error.reason in _NO_TLS:
            hint = "start it with service.tls.ca, .certificate and .key, or name no link.tls here"
            return None if files.ca is None else f"it speaks without TLS; {hint}"
        if isinstance(error, ssl.SSLEOFError) and not speaks_tls:
            return None  # a learner that dies, or a tunnel without one behind it, hangs up as well
        alert = error.reason or ""
    except OSError:
        return None  # no learner there, or no answer: gRPC's own words are right
    if files.ca is None:
        return f"it speaks TLS only, and this actor has no keys; name link.tls.ca, .certificate and .key: {_CURE}"
    if "_ALERT_" not in alert:
        return None
    return f"it does not take {files.certificate}: {_ALERTS.get(alert, _OTHER_ALERT)}; {_CURE}"


def _context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if files.ca is not None and files.certificate is not None:
        context.load_verify_locations(files.ca)
        context.load_cert_chain(files.certificate, files.key)
    else:  # nothing is sent over it: the answer alone tells whether TLS is spoken there
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
