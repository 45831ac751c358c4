"""What the pages that Nudge serves itself have in common: where they listen, what they take, how they refuse."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from console.errors import ConsoleError

FRESH = {"Cache-Control": "no-store"}
UNCHANGING = {"Cache-Control": "private, max-age=86400, immutable"}


def listen(host: str, port: int, option: str) -> socket.socket:
    """A socket there; 0 takes a free port. option: how another port is given"""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConsoleError(
            f"{host}, port {port} cannot be opened ({error.strerror}); is another page served there? Choose another "
            f"port with {option}, 0 takes a free one"
        ) from error


async def body_of(request: Request, most_bytes: int) -> bytes:
    """What a request brings. Raise `HTTPException` for more than that."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(413)
    return body


async def refused(_request: Request, error: Exception) -> Response:
    """A `NudgeError`, as the reason why something was not done."""
    return PlainTextResponse(str(error), 409)


def text_file(files: Mapping[str, str], name: str) -> Response:
    """A script or a style sheet. Raise `HTTPException` where there is none of that name."""
    if name not in files:
        raise HTTPException(404)
    kind = "text/css" if name.endswith(".css") else "text/javascript"
    return Response(files[name], media_type=kind, headers={"Cache-Control": "no-cache"})


def picture(png: bytes | None) -> Response:
    """A recorded frame, which never changes. Raise `HTTPException` where there is none."""
    if png is None:
        raise HTTPException(404, "there is no such frame")
    return Response(png, media_type="image/png", headers=UNCHANGING)
