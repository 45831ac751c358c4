"""Stands before every request to the dashboard: no other site asks through a browser, and nobody without the token."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.dashboard.access import Access

OPEN_PATHS = ("/login", "/static/dashboard.css")
LOOPBACK = ["127.0.0.1", "localhost", "::1", "[::1]"]
HEADERS = {
    # Nothing is asked for anywhere else, and no other site lays its own buttons over these.
    b"content-security-policy": b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    b"form-action 'self'; frame-ancestors 'none'",
    b"referrer-policy": b"same-origin",  # without any, a form of ours would not say whose it is
    b"x-content-type-options": b"nosniff",
}


class Guard:
    """Stands before every request: the token, and that it is our own page that commands."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        # Without a token no web site may reach this by a name of its own.
        hosts = ["*"] if access.token is not None else LOOPBACK
        self._app = TrustedHostMiddleware(app, allowed_hosts=hosts)
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it pass, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refused = self._refusal(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS.items()]
            await send(message)

        await (refused or self._app)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> Response | None:
        if request.method == "POST" and not _is_own(request.headers):
            return PlainTextResponse("dashboard: this request came from another site's page; nothing was done\n", 403)
        if request.url.path in OPEN_PATHS or self._access.fits(request.cookies.get(cookie_name(request), "")):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return PlainTextResponse("", 303, headers={"Location": "/login"})
        return PlainTextResponse("dashboard: got no token, or another one; open /login in a browser and give it\n", 403)


def cookie_name(request: Request) -> str:
    """Of the cookie with the token; browsers tell cookies apart by host, and not by port."""
    return f"nudge-dashboard-{request.url.port or request.url.scheme}"


def _is_own(headers: Headers) -> bool:
    """Whether our page asks: a browser says of which site a script or a form is."""
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
