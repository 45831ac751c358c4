"""The page of labels, of the dashboard and of `nudge classifier label --page`: pictures, a timeline, and keys.

Whatever somebody labels is in the file before the page says so. Between two requests the server knows of no page.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from console.dashboard.access import Access
from console.dashboard.guard import Guard
from console.labels.desk import LabelDesk
from console.labels.room import Asked, LabelRoom
from console.web.listen import FRESH, body_of, listen, picture, refused, text_file
from console.web.templates import page_template
from policy.errors import NudgeError

TEMPLATES = Path(__file__).parents[1] / "templates"
MAX_ACTS_BYTES = 128 * 1024
TOOLS = {"p": "positive", "n": "negative", "u": "unsure", "x": "clear", "z": "undo", "h": "next hard"}
HOST = "127.0.0.1"


class LabelSite:
    """What is served below `/label`. Files and labels are touched in one thread beside the event loop.

    open_desk: called in that thread, when somebody comes, and where `follows` also when other episodes are there
    author: who labels; empty: pages ask
    back: where a page leads back to, for the row of an episode; empty: nowhere
    """

    def __init__(
        self, open_desk: Callable[[], LabelDesk], author: str = "", back: str = "", *, follows: bool = True
    ) -> None:
        self._room = LabelRoom(open_desk, author or getpass.getuser(), follows=follows)
        self._asks, self._back = not author, back
        self._thread = ThreadPoolExecutor(1, "labels")
        self._static = {
            "label.css": (TEMPLATES / "local.css").read_text() + (TEMPLATES / "label.css").read_text(),
            "label.js": (TEMPLATES / "label.js").read_text(),
        }
        self.mount = Mount(
            "/label",
            routes=[
                Route("/", self._visit),
                Route("/{row:int}", self._visit),
                Route("/act", self._act, methods=["POST"]),
                Route("/frame/{row:int}/{frame:int}/{camera}", self._picture),
                Route("/static/{name}", self._file),
            ],
        )

    def open(self) -> None:
        """Open the labels before anybody comes; raise `NudgeError` where that cannot be."""
        self._thread.submit(self._room.open).result()

    def close(self) -> None:
        """Close the labels."""
        self._thread.submit(self._room.close).result()
        self._thread.shutdown()

    async def _done[T](self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _visit(self, request: Request) -> Response:
        content = await self._done(self._room.visit, request.path_params.get("row"))
        if content is None:
            raise HTTPException(404, "there is no such episode; one that has no end, or is rejected, has no labels")
        template = page_template("label.html.j2")
        html = template.render(**content, asks=self._asks, back=self._back, tools=TOOLS)
        return HTMLResponse(html, headers=FRESH)

    async def _act(self, request: Request) -> Response:
        try:
            asked = Asked.model_validate_json(await body_of(request, MAX_ACTS_BYTES))
        except ValidationError as error:
            return PlainTextResponse(f"label: nothing was done, since this was not understood: {error}", 422)
        return JSONResponse(await self._done(self._room.act, asked), headers=FRESH)

    async def _picture(self, request: Request) -> Response:
        place = request.path_params
        return picture(await self._done(self._room.picture, place["row"], place["frame"], place["camera"]))

    async def _file(self, request: Request) -> Response:
        return text_file(self._static, request.path_params["name"])


def serve_labels(open_desk: Callable[[], LabelDesk], author: str, port: int, *, follows: bool) -> None:
    """Serve the page alone, on this machine alone, until Ctrl+C."""
    site = LabelSite(open_desk, author, follows=follows)
    app = Starlette(
        routes=[Route("/", _first), site.mount],
        middleware=[Middleware(Guard, access=Access(None))],
        exception_handlers={NudgeError: refused},
    )
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", ws="none")
    try:
        site.open()
        listener = listen(HOST, port, "--port")
        print(f"open http://{HOST}:{listener.getsockname()[1]} in a browser; Ctrl+C ends it", flush=True)
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        site.close()


async def _first(_request: Request) -> Response:
    return RedirectResponse("/label/", 303)
