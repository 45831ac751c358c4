"""`nudge dashboard`: a run in the browser, while it learns and afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Sequence

import uvicorn

from console.coach.advice import Advice
from console.coach.gather import gather_evidence
from console.coach.rules import advise
from console.dashboard.access import load_access
from console.dashboard.buttons import RunCommands
from console.dashboard.evaluating import Evaluating
from console.dashboard.hub import Hub
from console.dashboard.parts import Parts
from console.dashboard.run_state import RunState, RunWatch
from console.dashboard.server import DashboardServer
from console.presets.load import load_settings
from console.priority import niceness
from console.run_folder import DASHBOARD_FILE
from console.run_settings import settings_of_run
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import FOLLOW_PARENT, stop_event
from console.web.listen import listen
from learner.disk import write_atomically
from policy.key_files import is_loopback

STOP_LOOK_S = 0.2
GRACE_S = 1


def main(argv: list[str]) -> int:
    """Serve until somebody says stop."""
    settings = settings_of_run(
        argv, lambda each: load_settings(Settings, each, DEFAULT_PRESET, "nudge dashboard"), lambda each: each
    )
    stop = stop_event()
    # As a child of the learner it stands back behind it; alone it is what somebody looks at.
    with niceness(settings.dashboard.niceness if os.environ.get(FOLLOW_PARENT) else 0):
        asyncio.run(_serve(settings, stop))
    return 0


async def _serve(settings: Settings, stop: threading.Event) -> None:
    chosen, watch = settings.dashboard, RunWatch(settings)
    commands = RunCommands(settings)

    def renew() -> None:
        if watch.trains:
            commands.send("checkpoint")

    evaluating = Evaluating(lambda: watch.settings, renew)
    hub = Hub(watch, Parts(_coach, evaluating), chosen.refresh_s)
    server = DashboardServer(hub, watch, load_access(chosen), commands, evaluating)
    secure = not is_loopback(chosen.host) and settings.service.tls.certificate is not None
    listener = listen(chosen.host, chosen.port, "--dashboard.port")
    config = uvicorn.Config(
        server.app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=settings.service.tls.certificate if secure else None,
        ssl_keyfile=settings.service.tls.key if secure else None,
    )
    host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
    url = f"http{'s' if secure else ''}://{host}:{listener.getsockname()[1]}"
    ready = settings.folder / DASHBOARD_FILE
    web = uvicorn.Server(config)
    await hub.look()  # a long history is read before the first page is asked for
    stopping = asyncio.create_task(_stop(stop, hub, web))
    write_atomically(ready, json.dumps({"url": url, "process": os.getpid()}).encode())
    try:
        print(f"open {url} in a browser; Ctrl+C ends it", flush=True)
        await web.serve(sockets=[listener])
    finally:
        stopping.cancel()
        ready.unlink(missing_ok=True)
        server.close()
        watch.close()


def _coach(state: RunState) -> Sequence[Advice]:
    return advise(gather_evidence(state.settings), state.settings.coach).advice


async def _stop(stop: threading.Event, hub: Hub, web: uvicorn.Server) -> None:
    """Ends the pages' connections, and then the server."""
    while not (stop.is_set() or web.should_exit):
        await asyncio.sleep(STOP_LOOK_S)
    hub.ending = True
    web.should_exit = True
