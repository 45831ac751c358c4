"""Pages of NiceGUI for the person at this machine; it is imported with this module, which only their verbs do."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import app, ui
from starlette.middleware.trustedhost import TrustedHostMiddleware

HOST = "127.0.0.1"


def serve(page: Callable[[], object], port: int, title: str) -> None:
    """Serve a page until Ctrl+C. Other names than this machine's own are refused, so that no web site reaches it.

    page: builds it for each visitor
    """
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    print(f"open http://{HOST}:{port} in a browser; Ctrl+C ends it", flush=True)
    ui.run(
        page,
        host=HOST,
        port=port,
        title=title,
        show=False,
        reload=False,
        show_welcome_message=False,
    )
