"""The pages of the dashboard in a real browser without a screen, and the process that serves them."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from chromium import Chromium, Tab, found
from console.main import main
from console.run_folder import DASHBOARD_FILE, METRICS_FILE, READY_FILE
from console.settings import Settings
from console.stopping import Child
from learner.checkpoint_folder import CHECKPOINTS, META, checkpoint_name
from learner.store import lock_store
from policy.experience import Source
from reward_classifier.labels import EpisodeKey, Label, LabelBook
from shown_run import SESSION, append, episode, finished_run, reading
from waiting import eventually

in_a_browser = pytest.mark.skipif(found() is None, reason="needs a browser: apt install chromium")
TOKEN = "token-" * 8
GIVE = "(token) => { document.querySelector('input').value = token; document.forms[0].submit(); }"


class Desk:
    """A dashboard of a run, in a process of its own."""

    def __init__(self, settings: Settings, child: Child) -> None:
        self.settings, self.child = settings, child
        ready = settings.folder / DASHBOARD_FILE
        eventually(lambda: ready.is_file() or child.status is not None, "the dashboard")
        assert child.status is None, child.last_lines()
        self.url = str(json.loads(ready.read_text())["url"])

    def get(self, path: str, **headers: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers=headers)
        return bytes(urllib.request.urlopen(request).read())

    def refused(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        request = urllib.request.Request(self.url + path, headers=headers, method=method)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        return caught.value.code, caught.value.read().decode()


def start(settings: Settings, *options: str) -> Child:
    arguments = ["--run", settings.run, "--runs", str(settings.runs), "--dashboard.refresh-s", "0.1"]
    return Child("dashboard", ["dashboard", *arguments, "--dashboard.port", "0", *options], settings.folder / "log")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = finished_run(tmp_path_factory.mktemp("runs"))
    for updates in (1000, 2000):
        folder = settings.folder / CHECKPOINTS / checkpoint_name(updates)
        folder.mkdir(parents=True)
        (folder / META).write_text("{}")
    with start(settings) as child:
        yield Desk(settings, child)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = finished_run(tmp_path_factory.mktemp("guarded"))
    (token := settings.folder / "token").write_text(TOKEN)
    token.chmod(0o600)
    with start(settings, "--dashboard.token-file", str(token)) as child:
        yield Desk(settings, child)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(desk: Desk, browser: Chromium) -> Tab:
    return opened(browser, desk.url)


def opened(browser: Chromium, url: str) -> Tab:
    tab = browser.open(url)
    there = "location.protocol === 'http:' && document.readyState === 'complete'"  # at first it is a blank one
    eventually(lambda: bool(tab.evaluate(there)), "the page")
    return tab


def shows(tab: Tab, text: str) -> None:
    eventually(lambda: text in str(tab.evaluate("document.body.innerText")), f"{text!r} on the page")


class TestWithoutABrowser:
    def test_the_first_answer_has_all_there_is_before_any_script_runs(self, desk: Desk) -> None:
        page = desk.get("/").decode()
        for phrase in ("succeeds alone", "No learner runs", "Success [% of the last 20 episodes]", "Training by"):
            assert phrase in page

    def test_nothing_is_asked_for_anywhere_else(self, desk: Desk) -> None:
        files = ["/", "/episodes", "/episode/4", "/checkpoints", "/demonstrations", "/settings"]
        files += ["/static/dashboard.css", "/static/dashboard.js", "/static/episode.js"]
        files += ["/label/4", "/label/static/label.css", "/label/static/label.js"]
        for path in files:
            assert b"http" not in desk.get(path).replace(b"http://www.w3.org", b""), path
        headers = urllib.request.urlopen(desk.url).headers
        assert "default-src 'self'" in headers["content-security-policy"]

    def test_what_is_not_there_is_not_found(self, desk: Desk) -> None:
        for path in ("/episode/99", "/frame/99/camera0", "/frame/1/none", "/static/x", "/episodes?before=x"):
            assert desk.refused(path)[0] == 404
        assert desk.refused("/command/dance", "POST")[0] == 404
        assert desk.refused("/evaluation/dance", "POST")[0] == 404
        assert desk.refused("/label/99")[0] == 404
        status, reason = desk.refused("/evaluation/start", "POST")
        assert (status, "policy.safetensors yet" in reason) == (409, True)
        status, reason = desk.refused("/command/pause", "POST")
        assert (status, reason) == (409, f"run {desk.settings.run!r}: no learner runs, so nobody can be told anything")

    def test_another_sites_page_can_neither_ask_nor_command(self, desk: Desk) -> None:
        assert desk.refused("/", Host="evil.example")[0] == 400
        code, told = desk.refused("/rollback/1000", "POST", Origin="http://evil.example")
        assert (code, "another site" in told) == (403, True)

    def test_a_run_that_is_not_there_is_named(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["dashboard", "--runs", str(tmp_path)]) == 1
        assert "there is no such run" in capsys.readouterr().err


class TestTheToken:
    def test_without_it_there_is_no_page_no_frame_no_change(self, guarded: Desk) -> None:
        for path in ("/", "/frame/1/camera0", "/changes", "/static/dashboard.js", "/label/4", "/label/static/label.js"):
            code, told = guarded.refused(path)
            assert (code, "got no token" in told) == (403, True)
        for path in ("/rollback/1000", "/label/act", "/evaluation/start"):
            assert guarded.refused(path, "POST")[0] == 403
        assert b"succeeds alone" in guarded.get("/", Cookie=f"nudge-dashboard-{urlsplit(guarded.url).port}={TOKEN}")

    @in_a_browser
    def test_a_browser_gives_it_once(self, guarded: Desk, browser: Chromium) -> None:
        tab = opened(browser, guarded.url)
        shows(tab, "wants the token")

        tab.evaluate(f"({GIVE})('wrong')")
        shows(tab, "That is not the token")
        tab.evaluate(f"({GIVE})('{TOKEN}')")
        shows(tab, "succeeds alone")
        shows(opened(browser, guarded.url + "/episodes"), "5 episodes")


@in_a_browser
class TestInABrowser:
    def test_a_finished_run_is_shown_with_pictures_figures_and_map(self, page: Tab) -> None:
        shows(page, "33 %")
        shows(page, "17 %")
        assert page.evaluate("document.querySelectorAll('svg.wide, svg.map').length") == 2
        loaded = "[...document.images].every((each) => each.complete && each.naturalWidth === 16)"
        eventually(lambda: bool(page.evaluate(loaded)), "the frames")

    def test_a_learner_that_goes_without_a_word_and_comes_back_is_said(self, desk: Desk, page: Tab) -> None:
        ready = desk.settings.folder / READY_FILE
        ready.write_text('{"address": "127.0.0.1:9"}')
        shows(page, "The learner does not answer")
        ready.unlink()
        shows(page, "No learner runs")

    def test_a_run_that_grows_is_seen_growing(self, desk: Desk, page: Tab) -> None:
        picture = "document.querySelector('img[data-camera]').src"
        before = page.evaluate(picture)
        append(desk.settings, episode(5, [Source.POLICY] * 4))
        with (desk.settings.folder / METRICS_FILE).open("a") as file:
            file.write(reading(1200, q_mean=7.25))
        shows(page, "50 %")  # 2 of 4 online episodes succeeded alone
        shows(page, "episode 5, step 3")
        shows(page, "7.25")
        eventually(lambda: page.evaluate(picture) != before, "another picture")

    def test_an_episode_is_played_with_keys(self, desk: Desk, browser: Chromium) -> None:
        tab = opened(browser, desk.url + "/episodes")
        tab.evaluate("document.querySelector('a[href=\"/episode/4\"]').click()")
        shows(tab, "step 0 of 4")
        first = tab.evaluate("document.images[0].src")
        tab.front()
        tab.tap("ArrowRight")
        shows(tab, "step 1 of 4")
        shows(tab, "operator")
        assert tab.evaluate("document.images[0].src") != first
        tab.tap(" ")
        shows(tab, "after the last step")
        loaded = "[...document.images].every((each) => each.complete && each.naturalWidth === 16)"
        eventually(lambda: bool(tab.evaluate(loaded)), "the frames after the last step")

    def test_frames_are_labelled_from_the_list_by_whoever_says_their_name(self, desk: Desk, browser: Chromium) -> None:
        tab = opened(browser, desk.url + "/episodes")
        tab.evaluate("document.querySelector('a[href=\"/label/4\"]').click()")
        shows(tab, "frame 0 of 4")
        eventually(lambda: tab.evaluate("document.readyState") == "complete", "its script")
        tab.evaluate("window.prompt = () => 'bert'")
        tab.evaluate("document.getElementById('author').click()")
        tab.front()
        for key in ("ArrowRight", "ArrowRight", "p"):
            tab.tap(key)
        shows(tab, "frame 2: positive – version 1, on the disk")
        shows(tab, "by bert, version 1")
        loaded = "[...document.images].every((each) => each.complete && each.naturalWidth === 16)"
        eventually(lambda: bool(tab.evaluate(loaded)), "the frames")
        with closing(LabelBook(desk.settings.folder / "experience.labels.sqlite")) as book:
            assert book.labels() == {EpisodeKey(SESSION, 3): {2: Label.POSITIVE}}
        tab.evaluate("document.getElementById('back').click()")
        shows(tab, "label its frames")

    def test_the_way_back_to_a_checkpoint_is_refused_while_a_learner_runs_and_goes_without(
        self, desk: Desk, browser: Chromium
    ) -> None:
        tab = opened(browser, desk.url + "/checkpoints")
        tab.evaluate("window.confirm = () => true")
        press = "document.querySelector('[data-post=\"/rollback/1000\"]').click()"
        with lock_store(desk.settings.folder / "experience.sqlite"):
            tab.evaluate(press)
            shows(tab, "another process writes into this experience store")
        tab.evaluate(press)
        kept = desk.settings.folder / CHECKPOINTS / checkpoint_name(2000)
        eventually(lambda: not kept.exists(), "the rollback")
        eventually(lambda: "2000" not in str(tab.evaluate("document.querySelector('table').innerText")), "the list")

    def test_the_other_pages_show_what_the_run_has(self, desk: Desk, browser: Chromium) -> None:
        tab = opened(browser, desk.url + "/demonstrations")
        shows(tab, "2 demonstrations in the experience store")
        shows(opened(browser, desk.url + "/settings"), "preset_name: fast")

    def test_a_dashboard_that_ends_leaves_a_page_that_says_so(self, guarded: Desk, browser: Chromium) -> None:
        tab = opened(browser, guarded.url)
        tab.evaluate(f"document.querySelector('input') && ({GIVE})('{TOKEN}')")
        shows(tab, "succeeds alone")
        guarded.child.__exit__()
        shows(tab, "No connection to the dashboard")
        assert not (guarded.settings.folder / DASHBOARD_FILE).exists()
        assert guarded.child.status == 0
