"""The dashboard beside a learner: a process of its own, so that neither interpreter nor threads wait for pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from console.presets.load import PRESET_OPTION, settings_text
from console.run_folder import DASHBOARD_FILE, DASHBOARD_LOG_FILE, LEARNER_SETTINGS_FILE
from console.settings import Settings
from console.stopping import Child
from learner.disk import write_atomically


@contextmanager
def dashboard_beside(settings: Settings) -> Iterator[Child | None]:
    """Serve the dashboard as long as this lasts; None where it is switched off, or cannot be."""
    settings_file = settings.folder / LEARNER_SETTINGS_FILE
    write_atomically(settings_file, settings_text(settings).encode())
    if not settings.dashboard.with_learner or not _installed():
        yield None
        return
    (settings.folder / DASHBOARD_FILE).unlink(missing_ok=True)  # of one that was killed
    arguments = ["dashboard", PRESET_OPTION, str(settings_file)]
    with Child("dashboard", arguments, settings.folder / DASHBOARD_LOG_FILE) as child:
        yield child


def told_address(settings: Settings, child: Child | None) -> str:
    """Where the dashboard is, in a line; or why there is none."""
    if child is None:
        if settings.dashboard.with_learner:
            return "no dashboard: uvicorn and starlette are not installed; they come with the extra `learner`"
        return "no dashboard: dashboard.with_learner is off"
    if child.status is not None:
        return f"no dashboard: {child.last_lines(1)}"
    url = dashboard_url(settings.folder)
    if url:
        return f"dashboard at {url}"
    port = settings.dashboard.port
    where = f"it will be at port {port}" if port else f"its address will stand in {child.log}"
    return f"the dashboard is starting: {where}"


def dashboard_url(folder: Path) -> str:
    """Where the dashboard of a run is served; empty where it is not."""
    try:
        return str(json.loads((folder / DASHBOARD_FILE).read_text())["url"])
    except FileNotFoundError:
        return ""


def _installed() -> bool:
    return find_spec("uvicorn") is not None and find_spec("starlette") is not None
