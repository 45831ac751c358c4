"""Takes the pictures of the documents anew, from a run that has learned for a while and was evaluated:

    nudge demo --run lift-cube --loop.max-env-steps 1500 --learner.trainer.checkpoint-every-updates 1000
    nudge eval --run lift-cube --evaluation.checkpoint all
    python tests/support/pictures.py --run lift-cube [--only run labels ...]

The run goes on in a copy, so that it is seen moving; the run itself stays as it is.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from camera import PHONE_PX, Camera
from chromium import Chromium
from console.run_folder import CLASSIFIER_DATA_FOLDER, CLASSIFIER_FOLDER, DASHBOARD_FILE, READY_FILE, SETTINGS_FILE
from console.stopping import Child
from dashboard_page import DashboardPage
from learner.checkpoint_folder import CHECKPOINTS, list_checkpoints, updates_of
from links import free_port
from waiting import eventually

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
READY_S = 300.0
Group = Literal["run", "checkpoints", "advice", "login", "labels", "live", "report"]
ENDLESS = ("--loop.max-env-steps", "1000000", "--dashboard.port", "0")
SUCCESS = "tr:has(td.good) a"


@dataclass(frozen=True)
class Options:
    """What is taken, and from which run."""

    run: str = "lift-cube"
    """Its name stands on the pages."""
    runs: Path = Path("runs")
    """Folder of all runs."""
    out: Path = IMAGES
    """Where the pictures go."""
    only: tuple[Group, ...] = ("run", "checkpoints", "advice", "login", "labels", "live", "report")
    """Which of them."""


class Studio:
    """The copy of the run, a browser, a camera."""

    def __init__(self, options: Options, runs: Path, browser: Chromium) -> None:
        self.options, self.runs, self.browser = options, runs, browser
        self.folder = runs / options.run
        self.camera = Camera(options.out)

    def nudge(self, verb: str, *arguments: str) -> Child:
        """A process of Nudge."""
        return Child(verb, [verb, *arguments], self.runs / f"{verb}.log")

    @contextmanager
    def dashboard(self, *arguments: str) -> Iterator[DashboardPage]:
        """Of the run that stands still, in a tab."""
        which = ("--run", self.options.run, "--runs", str(self.runs), "--dashboard.port", "0")
        with self.nudge("dashboard", *which, *arguments) as child:
            yield DashboardPage(self.browser, self.address(DASHBOARD_FILE, child, "url"))

    @contextmanager
    def tool(self, *arguments: str) -> Iterator[DashboardPage]:
        """A page of `nudge classifier`, in a tab."""
        port = free_port()
        with self.nudge("classifier", *arguments, "--port", str(port)) as child:
            self.ready(lambda: "open http" in child.last_lines(), child)
            yield DashboardPage(self.browser, f"http://127.0.0.1:{port}")

    def address(self, name: str, child: Child, key: str) -> str:
        """What a process says of where it is, once it is there."""
        self.ready((self.folder / name).is_file, child)
        return str(json.loads((self.folder / name).read_text())[key])

    @staticmethod
    def ready(holds: Callable[[], bool], child: Child) -> None:
        """Wait for a process."""
        eventually(lambda: holds() or child.status is not None, child.name, READY_S)
        assert child.status is None, child.last_lines()


def take_run(studio: Studio) -> None:
    """The pages of a run that trains."""
    preset = ("--preset", str(studio.folder / SETTINGS_FILE), "--runs", str(studio.runs), *ENDLESS)
    with studio.nudge("learner", *preset, "--service.port", "0") as learner:
        address = studio.address(READY_FILE, learner, "address")
        with studio.nudge("actor", *preset, "--link.address", address) as actor:
            page = DashboardPage(studio.browser, studio.address(DASHBOARD_FILE, learner, "url"))
            studio.ready(lambda: page.number("updates / s") > 0 and "training" in page.text(), actor)

            def driven(who: str) -> Callable[[], bool]:
                return lambda: who == page.tab.evaluate("document.querySelector('.band b').innerText")

            take = studio.camera.take
            take(page.tab, "dashboard", at=driven("policy"))
            take(page.tab, "dashboard-phone", width=PHONE_PX, height=1130, at=driven("you"))
            for path in ("/episodes", "/demonstrations", "/settings"):
                page.turn_to(path)
                take(page.tab, f"dashboard{path.replace('/', '-')}", height=620)
            page.turn_to("/episodes")
            page.tab.click(SUCCESS)
            page.shows("step 0 of")
            for _ in range(8):
                page.tab.tap("ArrowRight")
            page.shows("step 8 of")
            take(page.tab, "dashboard-episode")


def take_checkpoints(studio: Studio) -> None:
    """The checkpoints of a run that stands still, to which it may go back."""
    with studio.dashboard() as page:
        page.turn_to("/checkpoints")
        studio.camera.take(page.tab, "dashboard-checkpoints", height=520)


def take_advice(studio: Studio) -> None:
    """What the coach says where more demonstrations are asked for than there are."""
    with studio.dashboard("--coach.desk.demos", "30") as page:
        page.shows("Advice", within_s=READY_S)
        studio.camera.take(page.tab, "dashboard-advice", of="[data-part=advice]")


def take_login(studio: Studio) -> None:
    """What a phone is asked first."""
    token = studio.runs / "token"
    token.write_text("token-" * 8)
    token.chmod(0o600)
    with studio.dashboard("--dashboard.token-file", str(token)) as page:
        studio.camera.take(page.tab, "dashboard-login", width=PHONE_PX, height=420)


def take_labels(studio: Studio) -> None:
    """The page of labels, with a classifier's opinion and an interval that is marked."""
    store = studio.folder / CLASSIFIER_DATA_FOLDER / "experience.sqlite"
    classifier = ("--classifier", str(studio.folder / CLASSIFIER_FOLDER))
    with studio.tool("label", "--page", "--store", str(store), "--author", "anna", *classifier) as page:
        page.tab.front()
        page.shows("frame 0 of")
        eventually(lambda: "has looked at" not in page.text() and "reads the episodes" not in page.text(), "all", 300)
        for key in ("PageDown", "h", "ArrowRight"):
            page.tab.tap(key)
        for _ in range(4):
            page.tab.tap("ArrowRight", shift=True)
        page.shows("you are anna")
        studio.camera.take(page.tab, "label-page", width=1280, height=820)


def take_live(studio: Studio) -> None:
    """The live classifier, once its curve is full and the machine keeps up."""
    with studio.tool("live", str(studio.folder / CLASSIFIER_FOLDER)) as page:
        page.tab.front()
        studio.camera.stand(page.tab, 1280, 700)
        full = "document.querySelectorAll('.card.wide circle').length > 1"
        kept = ("10.0 of 10", "9.9 of 10")

        def good() -> bool:
            text = page.text()
            return bool(page.tab.evaluate(full)) and any(each in text for each in kept)

        studio.camera.take(page.tab, "classifier-live", width=1280, height=700, at=good)


def take_report(studio: Studio) -> None:
    """The report of the run, and its newest checkpoint beside the first that was evaluated."""
    report = studio.options.runs / studio.options.run / "report.html"
    page = DashboardPage(studio.browser, report.resolve().as_uri())
    studio.camera.take(page.tab, "report", height=1000)
    evaluated = [
        updates_of(each)
        for each in list_checkpoints(studio.folder / CHECKPOINTS)
        if (each / "evaluation.json").is_file()
    ]
    first, second = (f"{studio.options.run}@{updates}" for updates in (evaluated[0], evaluated[-1]))
    with studio.nudge("compare", first, second, "--runs", str(studio.runs)) as child:
        eventually(lambda: child.status is not None, "the comparison", READY_S)
        assert child.status == 0, child.last_lines()
    page = DashboardPage(studio.browser, (studio.runs / f"compare-{first}-{second}.html").absolute().as_uri())
    studio.camera.take(page.tab, "compare", height=900)


GROUPS: dict[Group, Callable[[Studio], None]] = {
    "run": take_run,
    "checkpoints": take_checkpoints,
    "advice": take_advice,
    "login": take_login,
    "labels": take_labels,
    "live": take_live,
    "report": take_report,
}


def main() -> None:
    """Take them."""
    options = tyro.cli(Options)
    options = replace(options, runs=options.runs.absolute(), out=options.out.absolute())
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="nudge-", ignore_cleanup_errors=True))
        runs = Path("runs")
        shutil.copytree(options.runs / options.run, Path(folder) / runs / options.run)
        stack.enter_context(contextlib.chdir(folder))  # pages show paths as people have them
        browser = stack.enter_context(Chromium(runs / "browser"))
        studio = Studio(options, runs, browser)
        for group in options.only:
            GROUPS[group](studio)


if __name__ == "__main__":
    main()
