"""Hands out the pages, the frames as they came, and what has changed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from console.checkpoints import go_back
from console.classifier.options import labels_beside
from console.dashboard import pages
from console.dashboard.access import Access
from console.dashboard.evaluating import Evaluating
from console.dashboard.guard import Guard, cookie_name
from console.dashboard.hub import Hub
from console.dashboard.run_state import RunState, RunWatch
from console.dashboard.seams import Commands
from console.labels.desk import LabelDesk, desk_as_recorded
from console.labels.site import LabelSite
from console.run_folder import STORE_FILE
from console.terminal.key_numbers import share
from console.terminal.words import WORDS
from console.web.listen import FRESH, body_of, picture, refused, text_file
from console.web.templates import page_template
from policy.errors import NudgeError
from policy.experience_file import EpisodeSelection

TEMPLATES = Path(__file__).parent.parent / "templates" / "dashboard"
SCRIPTS = ("dashboard.js", "episode.js")
COOKIE_S = 30 * 86_400
MAX_FORM_BYTES = 4096


class DashboardServer:
    """The application. watch: what `hub` looks at; commands: who takes them"""

    def __init__(self, hub: Hub, watch: RunWatch, access: Access, commands: Commands, evaluating: Evaluating) -> None:
        self._evaluating = evaluating
        self._hub, self._watch, self._access, self._commands = hub, watch, access, commands
        self._labels = LabelSite(self._open_labels, back="/episode/")
        self._static = {name: (TEMPLATES / name).read_text() for name in SCRIPTS}
        self._static["dashboard.css"] = page_template("dashboard/dashboard.css.j2").render()
        self.app = Starlette(
            routes=[
                Route("/", self._run),
                Route("/episodes", self._episodes),
                Route("/episode/{row:int}", self._episode),
                Route("/checkpoints", self._simple("checkpoints", pages.checkpoints_page)),
                Route("/demonstrations", self._simple("demonstrations", self._demonstrations_page)),
                Route("/settings", self._simple("settings", pages.settings_page)),
                Route("/changes", self._changes),
                Route("/frame/{cursor:int}/{camera}", self._frame),
                Route("/frame/{cursor:int}/{camera}/final", self._final_frame),
                Route("/static/{name}", self._file),
                Route("/login", self._login, methods=["GET", "POST"]),
                Route("/command/{word}", self._command, methods=["POST"]),
                Route("/evaluation/{verb}", self._evaluation, methods=["POST"]),
                Route("/rollback/{updates:int}", self._rollback, methods=["POST"]),
                self._labels.mount,
            ],
            middleware=[Middleware(Guard, access=access)],
            exception_handlers={NudgeError: refused},
        )

    def close(self) -> None:
        """End an evaluation that is under way, and close the labels."""
        self._evaluating.close()
        self._labels.close()

    def _open_labels(self) -> LabelDesk:
        path = self._watch.settings.folder / STORE_FILE
        return desk_as_recorded(path, labels_beside(path), EpisodeSelection())

    # --- pages --------------------------------------------------------------------------------------------------------

    async def _run(self, _request: Request) -> Response:
        shown = await self._hub.look()
        return self._page(
            "run",
            shown.parts,
            shown.state,
            since=self._hub.mark(shown),
            cursor=shown.cursor,
            cameras=[camera.name for camera in shown.state.settings.contract.cameras],
        )

    async def _episodes(self, request: Request) -> Response:
        shown = await self._hub.look()
        before = request.query_params.get("before", "0")
        if not before.isdecimal():
            raise HTTPException(404)
        verdicts = await asyncio.to_thread(self._watch.verdicts)
        page = pages.episodes_page(shown.state, verdicts, int(before))
        return self._page("episodes", shown.parts, shown.state, **page)

    async def _episode(self, request: Request) -> Response:
        shown, row = await self._hub.look(), int(request.path_params["row"])
        if row not in shown.state.episodes:
            raise HTTPException(404, "there is no such episode")
        page = await asyncio.to_thread(self._episode_page, shown.state, row)
        return self._page("episode", shown.parts, shown.state, **page)

    def _episode_page(self, state: RunState, row: int) -> dict[str, Any]:
        return pages.episode_page(state, self._watch.verdicts(), row, self._watch.cursors(row))

    def _demonstrations_page(self, state: RunState) -> dict[str, Any]:
        return pages.demonstrations_page(state, self._watch.verdicts())

    def _simple(self, name: str, make: Callable[[RunState], dict[str, Any]]) -> Callable[[Request], Any]:
        async def page(_request: Request) -> Response:
            shown = await self._hub.look()
            content = await asyncio.to_thread(make, shown.state)
            return self._page(name, shown.parts, shown.state, **content)

        return page

    def _page(self, name: str, parts: dict[str, Any], state: RunState, since: str = "", **content: Any) -> Response:
        template = page_template(f"dashboard/{name}.html.j2", share=share)
        here = "/" if name == "run" else "/episodes" if name == "episode" else f"/{name}"
        html = template.render(run=state.settings.run, parts=parts, here=here, since=since, **content)
        return HTMLResponse(html, headers=FRESH)

    # --- what pages ask for -------------------------------------------------------------------------------------------

    async def _changes(self, request: Request) -> Response:
        mark = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return StreamingResponse(self._events(mark), media_type="text/event-stream", headers=FRESH)

    async def _events(self, mark: str) -> AsyncIterator[str]:
        """Server-sent events: a browser that lost its connection asks again from the last mark on."""
        yield "retry: 1000\n\n"
        async for at, told in self._hub.changes(mark):
            yield f"id: {at}\ndata: {json.dumps(told)}\n\n"

    async def _frame(self, request: Request) -> Response:
        return self._picture(request, final=False)

    async def _final_frame(self, request: Request) -> Response:
        return self._picture(request, final=True)

    def _picture(self, request: Request, *, final: bool) -> Response:
        return picture(self._watch.frame(request.path_params["cursor"], request.path_params["camera"], final=final))

    async def _file(self, request: Request) -> Response:
        return text_file(self._static, request.path_params["name"])

    # --- what a person does -------------------------------------------------------------------------------------------

    async def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return self._ask_for_token(refused=False)
        body = await body_of(request, MAX_FORM_BYTES)
        token = parse_qs(body.decode("ascii", "replace")).get("token", [""])[0].strip()
        if not self._access.fits(token):
            return self._ask_for_token(refused=True)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(
            cookie_name(request), token, max_age=COOKIE_S, httponly=True, samesite="strict", secure=secure
        )
        return answer

    def _ask_for_token(self, *, refused: bool) -> Response:
        html = page_template("dashboard/login.html.j2").render(refused=refused)
        return HTMLResponse(html, 403 if refused else 200, headers=FRESH)

    async def _command(self, request: Request) -> Response:
        word = request.path_params["word"]
        if word not in WORDS:
            raise HTTPException(404, "nobody takes this command")
        return PlainTextResponse(await asyncio.to_thread(self._commands.send, word))

    async def _evaluation(self, request: Request) -> Response:
        verbs = {"start": self._evaluating.start, "stop": self._evaluating.stop}
        verb = request.path_params["verb"]
        if verb not in verbs:
            raise HTTPException(404)
        return PlainTextResponse(await asyncio.to_thread(verbs[verb]))

    async def _rollback(self, request: Request) -> Response:
        folder, updates = self._watch.settings.folder, request.path_params["updates"]
        lines = await asyncio.to_thread(go_back, folder, str(updates))
        return PlainTextResponse("\n".join(lines))
