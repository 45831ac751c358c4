"""Is there a learner, and what does it say that stands in no file?"""

from __future__ import annotations

import json
from pathlib import Path

import grpc

from console.run_folder import READY_FILE
from learner.service_settings import ServiceSettings
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.errors import NudgeError
from policy.key_files import TlsFiles, load_tls, load_token
from policy.wire import TOKEN_METADATA

ANSWER_S = 1.0


class LearnerLook:
    """Asks the learner of a run folder for its status, over the wire that its actors use. One thread at a time.

    client_tls: the files of an actor; a learner with TLS answers nobody without
    """

    def __init__(self, folder: Path, service: ServiceSettings, client_tls: TlsFiles) -> None:
        self._ready = folder / READY_FILE
        self._service, self._client_tls = service, client_tls
        self._address = ""
        self._channel: grpc.Channel | None = None

    def ask(self) -> pb.StatusReply | str | None:
        """What it says; why it does not answer, in words; None where no learner says that it runs."""
        try:
            address = str(json.loads(self._ready.read_text())["address"])
        except FileNotFoundError:
            self.close()
            return None
        except (ValueError, KeyError, TypeError) as error:
            return f"{self._ready} does not say where the learner listens ({error})"
        try:
            channel = self._connected(address)
            token = load_token(self._service.token_file)
        except NudgeError as error:
            return str(error)
        metadata = () if token is None else ((TOKEN_METADATA, token),)
        try:
            return pb_grpc.LearnerStub(channel).Status(pb.StatusRequest(), timeout=ANSWER_S, metadata=metadata)
        except grpc.RpcError as error:
            return f"the learner at {address} does not answer: {error.code().name.lower().replace('_', ' ')}"

    def close(self) -> None:
        """Give the channel back. May be called twice."""
        if self._channel is not None:
            self._channel.close()
        self._channel, self._address = None, ""

    def _connected(self, address: str) -> grpc.Channel:
        if self._channel is not None and address == self._address:
            return self._channel
        self.close()
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        if self._service.tls.ca is None:
            channel = grpc.insecure_channel(address, options)
        else:
            channel = grpc.secure_channel(address, _credentials(self._client_tls), options)
        self._channel, self._address = channel, address
        return channel


class _NoClientKeys(NudgeError):
    """A learner behind TLS, and no files to show it."""


def _credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    keys = load_tls(files, "link.tls")
    if keys is None:
        raise _NoClientKeys(
            "the learner speaks with TLS, and link.tls names no files of an actor, so it is not asked; what stands in "
            "the run folder is shown all the same"
        )
    return grpc.ssl_channel_credentials(keys.ca, keys.key, keys.certificate)
