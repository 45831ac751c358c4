"""What the dashboard costs: the first paint of a day's run, and what it takes from a learner while pages are open.

    python bench/dashboard.py [--json] [--rounds 4] [--seconds 15] [--pages 3] [--browser] [--folder F]

See bench/README.md for what is measured, and how it is kept fair.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room. The browser is driven
# as in the tests.
_ROOT = Path(__file__).resolve().parents[1]
_OTHERS = [entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench")]
sys.path[:] = [str(_ROOT), *_OTHERS, str(_ROOT / "tests" / "support")]

import grpc  # noqa: E402 - the path comes first
import numpy as np  # noqa: E402
import tyro  # noqa: E402

from bench.dashboard_run import EPISODES, STEPS, a_reading, an_episode, make_day  # noqa: E402
from bench.kept_folder import kept_or_temporary  # noqa: E402
from chromium import Chromium, Tab, found  # noqa: E402
from console.presets.load import dump_settings, load_preset  # noqa: E402
from console.run_folder import DASHBOARD_FILE, METRICS_FILE, READY_FILE, STORE_FILE  # noqa: E402
from console.settings import Settings  # noqa: E402
from console.stopping import Child  # noqa: E402
from learner.store import ExperienceStore  # noqa: E402
from nudge.v1 import learner_pb2 as pb  # noqa: E402
from nudge.v1 import learner_pb2_grpc as pb_grpc  # noqa: E402
from policy.fakes import fake_episode  # noqa: E402
from policy.step_schema import connect, transaction  # noqa: E402
from policy.step_table import take_step  # noqa: E402
from policy.wire import pack_step  # noqa: E402
from waiting import eventually  # noqa: E402

ENDLESS_UTD = 100_000
LEARNER_DEMOS, LEARNER_STEPS = 20, 40
LIVE_NOISE = 16  # pictures as large as a camera's
READY_S = 180.0
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
WHOLE = "document.querySelectorAll('svg').length > 5 && document.readyState === 'complete'"


@dataclass(frozen=True)
class Options:
    """What is measured."""

    json: bool = False
    """One line of JSON instead of words."""
    rounds: int = 4
    """How often a turn without pages is followed by one with."""
    seconds: float = 15.0
    """Length of a turn [s]."""
    pages: int = 3
    """Open pages in a turn with pages."""
    paints: int = 7
    """First paints, whose median counts; the very first one is told as well."""
    browser: bool = False
    """Pages in a browser on this machine, which takes its own share; else followed as a browser elsewhere would."""
    folder: Path | None = None
    """Keep the made-up run here, and use it again."""


class Page(threading.Thread):
    """Follows the changes and fetches each new frame, as the page's script does."""

    def __init__(self, url: str, cameras: list[str]) -> None:
        super().__init__(daemon=True)
        self._url, self._cameras = url, cameras
        self.changes, self.frames, self.ended = 0, 0, threading.Event()

    def run(self) -> None:
        """Until `ended`."""
        with urllib.request.urlopen(f"{self._url}/changes") as events:
            for line in events:
                if self.ended.is_set():
                    return
                if line.startswith(b"data: "):
                    self._show(json.loads(line.removeprefix(b"data: ")))

    def _show(self, told: dict[str, object]) -> None:
        self.changes += 1
        if "cursor" in told:
            for camera in self._cameras:
                with urllib.request.urlopen(f"{self._url}/frame/{told['cursor']}/{camera}") as picture:
                    picture.read()
                self.frames += 1


class Growth(threading.Thread):
    """A step ten times a second into the store, and a reading of metrics every ten seconds: the run goes on."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings, self.ended = settings, threading.Event()

    def run(self) -> None:
        """Until `ended`."""
        folder, count = self._settings.folder, 0
        with closing(connect(folder / STORE_FILE)) as connection:
            (index,) = connection.execute("SELECT MAX(episode) + 1 FROM episodes").fetchone()
            while not self.ended.is_set():
                for step, message in an_episode(self._settings.contract, index, time.time_ns(), LIVE_NOISE):
                    with transaction(connection):
                        take_step(connection, step, message)
                    count += 1
                    if count % 100 == 0:
                        with (folder / METRICS_FILE).open("a") as file:
                            file.write(a_reading(10_000 + count // 100))
                    if self.ended.wait(1.0 / self._settings.contract.control_hz):
                        return
                index += 1


def measure(options: Options, folder: Path) -> dict[str, object]:
    """All figures."""
    fast = load_preset(Settings, "sim")
    dashboard = fast.dashboard.model_copy(update={"port": 0, "with_learner": False})
    day = fast.model_copy(update={"runs": folder, "run": "day", "dashboard": dashboard})
    if not day.folder.is_dir():
        make_day(day)
        dump_settings(day, day.folder / "settings.yaml")
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        address = stack.enter_context(training(day, folder))
        (day.folder / READY_FILE).write_text(json.dumps({"address": address}))
        child = stack.enter_context(Child("dashboard", ["dashboard", *_preset(day)], folder / "dashboard.log"))
        url = _url(day, child)
        paints = first_paints(options, url, folder)
        growth = Growth(day)
        growth.start()
        turns = take_turns(options, day, url, address, folder)
        growth.ended.set()
        growth.join()
        (day.folder / READY_FILE).unlink()
    return {
        **paints,
        **turns,
        "pages": options.pages,
        "in_a_browser": options.browser,
        "episodes": EPISODES,
        "steps": EPISODES * STEPS,
        "cores": os.cpu_count(),
        "load_before": load,
    }


@contextmanager
def training(day: Settings, folder: Path) -> Iterator[str]:
    """A learner that trains without a pause on one thread; its address."""
    trainer = day.learner.trainer.model_copy(update={"utd": ENDLESS_UTD, "threads": 1})
    encoder = day.learner.encoder.model_copy(update={"source": "random:0"})
    learner = day.learner.model_copy(update={"trainer": trainer, "encoder": encoder})
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        settings = day.model_copy(update={"runs": Path(runs), "run": "learner", "learner": learner})
        settings.folder.mkdir()
        rng = np.random.default_rng(0)
        with ExperienceStore(settings.folder / STORE_FILE, settings.contract) as store:
            for episode in range(LEARNER_DEMOS):
                steps = fake_episode(settings.contract, LEARNER_STEPS, rng, episode=episode)
                store.append([pack_step(step) for step in steps])
        dump_settings(settings, settings.folder / "settings.yaml")
        with Child("learner", ["learner", *_preset(settings), "--service.port", "0"], folder / "learner.log") as child:
            ready = settings.folder / READY_FILE
            eventually(lambda: ready.is_file() or child.status is not None, "the learner", READY_S)
            address = str(json.loads(ready.read_text())["address"])
            # A learner answers 50 such questions a second at most.
            eventually(lambda: updates(address) > 300, f"training\n{child.last_lines()}", READY_S, look_every_s=0.5)
            yield address


def updates(address: str) -> int:
    """How many the learner has made."""
    with grpc.insecure_channel(address) as channel:
        return int(pb_grpc.LearnerStub(channel).Status(pb.StatusRequest(), timeout=10).updates)


def first_paints(options: Options, url: str, folder: Path) -> dict[str, object]:
    """From asking for the page to its first figures, in a browser with nothing in its cache."""
    if found() is None:
        return {"first_paint_s": None}
    paints_s, wholes_s = [], []
    with tempfile.TemporaryDirectory(dir=folder) as profile, Chromium(Path(profile)) as browser:
        for _ in range(options.paints):
            tab = browser.open("about:blank")
            tab.call("Network.enable")
            tab.call("Network.setCacheDisabled", cacheDisabled=True)
            begun_s = time.perf_counter()
            tab.call("Page.navigate", url=url)
            eventually(lambda tab=tab: bool(tab.evaluate(WHOLE)), "the page")  # type: ignore[misc]
            wholes_s.append(time.perf_counter() - begun_s)
            eventually(lambda tab=tab: float(tab.evaluate(PAINTED)) > 0, "its paint")  # type: ignore[misc]
            paints_s.append(float(tab.evaluate(PAINTED)) / 1000)
            tab.close()
    return {
        "first_paint_s": round(statistics.median(paints_s), 3),
        "very_first_paint_s": round(paints_s[0], 3),
        "whole_page_s": round(statistics.median(wholes_s), 3),
    }


def take_turns(options: Options, day: Settings, url: str, address: str, folder: Path) -> dict[str, object]:
    """Updates a second of the learner without pages and with, in turn; what the dashboard's process takes meanwhile."""
    process = json.loads((day.folder / DASHBOARD_FILE).read_text())["process"]
    alone, beside, shares, told = [], [], [], []
    for _ in range(options.rounds):
        alone.append(_rate(address, options.seconds))
        with opened(options, day, url, folder) as pages:
            time.sleep(1.0)
            before_s, begun_s = _cpu_s(process), time.monotonic()
            seen = [page.changes for page in pages]
            beside.append(_rate(address, options.seconds))
            shares.append((_cpu_s(process) - before_s) / (time.monotonic() - begun_s))
            wall_s = time.monotonic() - begun_s
            told += [(page.changes - count) / wall_s for page, count in zip(pages, seen, strict=True)]
    losses = [1 - there / without for without, there in zip(alone, beside, strict=True)]
    return {
        "learner_core_share": round(statistics.median(shares), 4),
        "throughput_loss": round(statistics.median(losses), 4),
        "losses": [round(loss, 4) for loss in losses],
        "updates_per_s": round(statistics.median(alone), 2),
        "updates_per_s_with_pages": round(statistics.median(beside), 2),
        "changes_per_s": round(statistics.median(told), 2) if told else None,
    }


@contextmanager
def opened(options: Options, day: Settings, url: str, folder: Path) -> Iterator[list[Page]]:
    """So many pages; none to ask how often they were told something where a browser has them."""
    if options.browser:
        with tempfile.TemporaryDirectory(dir=folder) as profile, Chromium(Path(profile)) as browser:
            tabs: list[Tab] = [browser.open(url) for _ in range(options.pages)]
            for tab in tabs:
                eventually(lambda tab=tab: bool(tab.evaluate(WHOLE)), "the page")  # type: ignore[misc]
            yield []
        return
    pages = [Page(url, [camera.name for camera in day.contract.cameras]) for _ in range(options.pages)]
    for page in pages:
        page.start()
    yield pages
    for page in pages:
        page.ended.set()
    for page in pages:
        page.join()


def _rate(address: str, seconds: float) -> float:
    begun, begun_s = updates(address), time.monotonic()
    time.sleep(seconds)
    return (updates(address) - begun) / (time.monotonic() - begun_s)


def _cpu_s(process: int) -> float:
    """Processor time that a process has used, all threads together [s]."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _preset(settings: Settings) -> list[str]:
    return ["--preset", str(settings.folder / "settings.yaml")]


def _url(settings: Settings, child: Child) -> str:
    ready = settings.folder / DASHBOARD_FILE
    eventually(lambda: ready.is_file() or child.status is not None, f"the dashboard\n{child.last_lines()}", READY_S)
    return str(json.loads(ready.read_text())["url"])


def main() -> None:
    """Measure and tell."""
    options = tyro.cli(Options)
    with kept_or_temporary(options.folder) as folder:
        figures = measure(options, folder)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in {**figures, **{f"option {key}": value for key, value in asdict(options).items()}}.items():
        print(f"{name:<28} {value}")


if __name__ == "__main__":
    main()
