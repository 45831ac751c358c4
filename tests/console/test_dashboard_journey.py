"""A run through the eyes of its operator: real processes, and one page in the browser that nobody loads anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from chromium import Chromium, found
from console.stopping import Child
from dashboard_page import DashboardPage
from operated_run import DEMONSTRATIONS, OperatedRun, kill
from reward_classifier.labels import EpisodeKey, Label, LabelBook
from waiting import eventually

pytestmark = pytest.mark.skipif(found() is None, reason="needs a browser: apt install chromium")

START_S = 120.0  # a process imports torch meanwhile, on a busy machine too
MARK = "window.loadedOnce"
SAYS_YES = "window.confirm = (question) => { sessionStorage.asked = question; return true; }"
SUCCESS = "tr:has(td.good) a"  # the newest one in the list


class Journey:
    """The run, its processes, and the operator's page."""

    def __init__(self, run: OperatedRun, browser: Chromium) -> None:
        self.run, self.browser = run, browser
        self.learner = run.start_with_settings("learner")
        self.actor: Child | None = None
        ready = run.folder / "dashboard.json"
        eventually(lambda: ready.is_file() or self.learner.status is not None, "the dashboard", START_S)
        assert self.learner.status is None, self.learner.last_lines()
        self.page = DashboardPage(browser, run.url)
        self.page.tab.evaluate(f"{MARK} = true")


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    folder: Path = tmp_path_factory.mktemp("journey")
    with OperatedRun(folder) as run, Chromium(folder / "browser") as browser:
        yield Journey(run, browser)


def silent_s(page: DashboardPage) -> int:
    """Since the last step came, as the page says; 0 where it says no such thing."""
    said = re.search(r"the last one came (\d+) s ago", page.text())
    return 0 if said is None else int(said[1])


# In this order: each goes on from what the one before has left.


def test_a_run_that_begins_is_seen_moving(journey: Journey) -> None:
    page = journey.page
    page.shows("no step yet", "the actor has sent nothing", "Demonstrations so far: 0")
    journey.actor = journey.run.start_with_settings("actor")
    page.drives("you, demonstrating", START_S)
    eventually(lambda: page.picture("wrist") != "", "a picture")
    first = page.picture("wrist")
    eventually(lambda: page.picture("wrist") not in ("", first), "another picture")

    page.drives("policy", START_S)  # it has learned for the first time
    page.drives("you")  # and does not know how to do it
    page.drives("policy")
    page.shows("training", "Success [% of the last 20 episodes]")
    curve, episodes = page.drawing("curve"), page.number("episodes")
    assert episodes > DEMONSTRATIONS
    eventually(lambda: page.number("episodes") > episodes, "another episode")
    eventually(lambda: page.drawing("curve") != curve, "a curve that goes on")
    page.shows("Critic loss")


def test_pause_makes_the_steps_stand_still_and_the_page_says_so(journey: Journey) -> None:
    page = journey.page
    page.press("pause")
    page.shows("pause: actor 'actor': done; the episode ends in order, and the arm holds still")
    page.shows("actor: paused: by the operator")
    page.drives("no steps")  # for 3 s now
    steps = page.number("steps")
    assert steps == journey.run.steps()
    eventually(lambda: silent_s(page) >= 4, "another second without a step")
    assert page.number("steps") == steps == journey.run.steps()


def test_resume_lets_them_go_on(journey: Journey) -> None:
    page = journey.page
    steps = page.number("steps")
    page.press("resume")
    page.shows("resume: actor 'actor': done; the arm goes on")
    page.drives("policy")
    eventually(lambda: page.number("steps") > steps, "another step")
    assert "paused" not in page.text().replace("pause: ", "")


def test_a_killed_learner_is_said_and_one_started_anew_brings_the_page_back(journey: Journey) -> None:
    page, run = journey.page, journey.run
    kill(journey.learner)
    page.shows("No connection to the dashboard: what is shown is old.")
    steps, episodes = page.number("steps"), page.number("episodes")
    assert steps > 0  # what is known stays there to be read

    journey.learner = run.start_with_settings("learner")
    eventually(lambda: "No connection" not in page.text(), "the page is back", START_S)
    page.shows("training", within_s=START_S)
    eventually(lambda: page.number("steps") > steps, "it goes on", START_S)
    assert page.number("episodes") >= episodes
    page.shows("Success [% of the last 20 episodes]", f"{DEMONSTRATIONS} demonstrations")
    assert journey.actor is not None
    assert journey.actor.status is None  # it never noticed more than that its learner was away
    assert page.tab.evaluate(MARK)  # nobody has loaded the page anew


def test_an_episode_is_opened_replayed_and_labelled(journey: Journey) -> None:
    page, run = journey.page, journey.run
    page.turn_to("/episodes")
    page.shows("episodes, the newest first", "demonstration", "success")
    page.tab.click(SUCCESS)
    page.shows("step 0 of")
    page.tab.tap(" ")
    page.shows("after the last step")
    said = re.search(r"Episode (\w+)/(\d+): \w+, (\d+) steps, success", page.text())
    assert said is not None, page.text()
    episode = next(each for each in run.episodes() if (each.session[:8], each.index) == (said[1], int(said[2])))
    assert episode.steps == int(said[3])

    page.shows("judged by: simulator")
    label_last_frame(page, f"{said[1]}/{said[2]}", episode.steps)
    with closing(LabelBook(run.folder / "experience.labels.sqlite")) as book:
        assert book.labels() == {EpisodeKey(episode.session, episode.index): {episode.steps: Label.POSITIVE}}


def label_last_frame(page: DashboardPage, episode: str, frame: int) -> None:
    """By keys, on the page that the link of an episode opens."""
    page.tab.click("a[href^='/label/']")
    page.shows(f"Episode {episode}", "frame 0 of")
    page.arrived()
    page.tab.evaluate("window.prompt = () => 'anna'")
    page.tab.click("#author")
    page.shows("anna")
    page.tab.front()
    page.tab.tap("End")
    page.shows(f"frame {frame} of {frame}")
    page.tab.tap("p")
    page.shows(f"frame {frame}: positive – version 1, on the disk", "positive by anna")
    page.tab.click("#back")
    page.shows("label its frames")


def test_stop_ends_it_in_order_and_every_step_is_in_the_store(journey: Journey) -> None:
    page, run, actor = journey.page, journey.run, journey.actor
    assert actor is not None
    page.turn_to("/")
    page.press("stop")
    page.shows("stop: actor 'actor': done; the episode ends in order, the arm parks, and the actor leaves")
    eventually(lambda: actor.status is not None, "the actor has left", START_S)
    assert actor.status == 0, actor.last_lines()
    journey.learner.__exit__()
    assert journey.learner.status == 0, journey.learner.last_lines()

    # While it was recorded the learner has died once, and once it was paused.
    told, stored = run.told_episodes(), run.episodes()
    assert [index for _, index in told] == [each.index for each in stored] == list(range(len(stored)))
    assert all(each.complete for each in stored)
    assert told[-1][0] == run.steps() == sum(each.steps for each in stored)


def test_the_run_goes_back_to_an_earlier_checkpoint_and_on_from_there(journey: Journey) -> None:
    page, run = journey.page, journey.run
    looked_at = run.start("dashboard", "--run", run.settings.run, "--runs", str(run.settings.runs))
    page.shows("No learner runs", within_s=START_S)  # by itself: it is at the same address
    before, (_, target, *later) = page.number("steps"), run.checkpoints()
    assert later
    page.turn_to("/checkpoints")
    page.tab.evaluate(SAYS_YES)
    page.tab.click(f'[data-post="/rollback/{target}"]')
    eventually(lambda: run.checkpoints() == [0, target], "the rollback")
    page.shows(f"back at update {target}; the checkpoints of {', '.join(map(str, later))} are now in")
    assert f"Go back to update {target}?" in page.tab.evaluate("sessionStorage.asked")
    assert str(later[-1]) not in page.tab.evaluate("document.querySelector('table').innerText")
    looked_at.__exit__()

    learner, actor = run.start_with_settings("learner"), run.start_with_settings("actor")
    eventually(lambda: len(run.checkpoints()) > 2 or learner.status is not None, "another checkpoint", START_S)
    assert run.checkpoints()[:3] == [0, target, target + run.settings.learner.trainer.checkpoint_every_updates]
    page.turn_to("/")
    page.shows("training")
    eventually(lambda: page.number("steps") > before, "more steps")
    actor.__exit__()
    learner.__exit__()
    assert (actor.status, learner.status) == (0, 0), actor.last_lines() + learner.last_lines()
