"""Serves the page of the keyboard, in a process of its own: the control loop has its interpreter for itself.

`python -m teleop.keyboard.page_process`, with JSON lines on standard input and output. In come an `Opening`, then who
is in control and what the operator is awaited for, at each change. Out go the port, or what is wrong, then what `Pages`
tells, and `{}` five times a second. It ends with its input, however its parent ends.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from teleop.keyboard.pages import Heard, Opening, Pages
from teleop.keyboard.table import key_table

PAGE = Path(__file__).with_name("page.html")
BEAT_S = 0.2  # how often the parent hears that this process lives, and silent pages are looked for
SHOW_S = 0.1  # how often a page is told the time, and who is in control
WRONG_PAGE = 1008  # the WebSocket's code for what breaks the rules

_LOOPBACK = ["127.0.0.1", "localhost", "::1", "[::1]"]
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",  # no other site lays its own buttons over these
    "Referrer-Policy": "no-referrer",  # the URL may hold a token
}
_NO_TOKEN = (
    "keyboard page: got no token, or another one, expected the one in the URL that Nudge printed when it was started; "
    "open that URL\n"
)


class PageServer:
    """Keys of all pages go to `pages`; each page is shown who is in control."""

    def __init__(self, opening: Opening, pages: Pages) -> None:
        self._opening, self._pages = opening, pages
        self._shown: dict[str, str] = {}
        # With a token nothing else is needed; without one no web site may reach this by a name of its own.
        hosts = ["*"] if opening.token else _LOOPBACK
        self.app = Starlette(
            routes=[Route("/", self._page), WebSocketRoute("/keys", self._keys)],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        )

    def show(self, shown: dict[str, str]) -> None:
        """Who is in control, and what the operator is awaited for."""
        self._shown = shown

    async def _page(self, request: Request) -> Response:
        if not self._has_token(request):
            return PlainTextResponse(_NO_TOKEN, 403)
        return HTMLResponse(PAGE.read_text(), headers=_HEADERS)

    async def _keys(self, websocket: WebSocket) -> None:
        if not (self._has_token(websocket) and _is_own(websocket)):
            await websocket.close(WRONG_PAGE)
            return
        await websocket.accept()
        page = self._pages.join()
        showing = asyncio.create_task(self._show(websocket))
        try:
            while True:
                self._pages.heed(page, Heard.model_validate_json(await websocket.receive_text()))
        except WebSocketDisconnect:
            pass  # the page was closed
        except ValidationError:
            await websocket.close(WRONG_PAGE)
        finally:
            self._pages.leave(page)
            showing.cancel()

    async def _show(self, websocket: WebSocket) -> None:
        keys, drives = self._opening.keys, self._opening.drives
        told: dict[str, Any] = {"keys": keys.model_dump(), "drives": drives, "table": key_table(keys, drives=drives)}
        try:
            while websocket.application_state is WebSocketState.CONNECTED:
                await websocket.send_json({**told, "now_s": time.monotonic(), **self._shown})
                told = {}
                await asyncio.sleep(SHOW_S)
        except WebSocketDisconnect:
            return  # who hears the page knows it, too

    def _has_token(self, connection: HTTPConnection) -> bool:
        token = connection.query_params.get("token", "")
        return not self._opening.token or hmac.compare_digest(token.encode(), self._opening.token.encode())


def _is_own(connection: HTTPConnection) -> bool:
    """Whether our page asks: a browser says of which site a script is, and lets that of any site ask."""
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")


async def _serve() -> None:
    told = await _input()
    opening = Opening.model_validate_json(await told.readline())
    try:
        family = socket.AF_INET6 if ":" in opening.host else socket.AF_INET
        listener = socket.create_server((opening.host, opening.port), family=family)
    except OSError as error:
        place = f"{opening.host}, port {opening.port}"
        _tell({"error": f"{place} cannot be opened ({error.strerror}); set teleop.keyboard.page to another"})
        return
    pages = Pages(opening.keys, _tell)
    page = PageServer(opening, pages)
    server = uvicorn.Server(
        uvicorn.Config(
            page.app,
            log_level="warning",
            access_log=False,  # it would write the token, and to standard output
            lifespan="off",
            ws_max_size=1024,
            ws_ping_interval=2.0,
            ws_ping_timeout=3.0,  # a browser whose machine is gone without a word
            timeout_graceful_shutdown=1,
        )
    )
    _tell({"port": listener.getsockname()[1]})
    async with asyncio.TaskGroup() as tasks:
        others = [tasks.create_task(_follow(told, page, server)), tasks.create_task(_beat(pages))]
        await server.serve(sockets=[listener])
        for task in others:
            task.cancel()


async def _input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _follow(lines: asyncio.StreamReader, page: PageServer, server: uvicorn.Server) -> None:
    """Until the parent ends."""
    async for line in lines:
        page.show(json.loads(line))
    server.should_exit = True


async def _beat(pages: Pages) -> None:
    while True:
        pages.look()
        _tell({})
        await asyncio.sleep(BEAT_S)


def _tell(message: dict[str, Any]) -> None:
    try:
        os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        return  # the parent has ended: the end of the input says so, too


def main() -> None:
    """Serve until standard input ends."""
    # Keys may wait for the control loop, never the other way round: give back what priority the parent was given.
    os.setpriority(os.PRIO_PROCESS, 0, max(0, os.getpriority(os.PRIO_PROCESS, 0)))
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
