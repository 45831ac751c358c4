"""`nudge replay`: which episode, what a policy would have done, the table, the figure, the page."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from chromium import Chromium, found
from console.errors import ConsoleError
from console.evaluation.main import load_policy
from console.main import main
from console.presets.load import load_preset
from console.replay.figure import LEFT, RIGHT, ReplayFigure
from console.replay.numbers import numbers
from console.replay.page import ReplayPage
from console.replay.reel import Reel, table
from console.settings import Settings
from console.stopping import Child
from demos.experience_file import new_experience
from policies import ENCODER, write_policy
from policy.experience import Source, Step
from policy.fakes import fake_contract, fake_episode
from waiting import eventually

CONTRACT = fake_contract(cameras=2, proprioception=3, size_px=32)
A, B = "a" * 32, "b" * 32


def episode(session: str, index: int, *sources: Source) -> list[Step]:
    rng = np.random.default_rng([int(session[0], 16), index])
    made = fake_episode(CONTRACT, len(sources), rng, session=session, episode=index)
    return [replace(step, source=source) for step, source in zip(made, sources, strict=True)]


EPISODES = [
    episode(A, 0, *4 * [Source.DEMO]),
    episode(A, 1, Source.POLICY, Source.POLICY, Source.HOLD, Source.HUMAN, Source.POLICY),
    episode(B, 1, *3 * [Source.POLICY]),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "lift"
    with new_experience(folder / "experience.sqlite", CONTRACT) as new:
        for steps in EPISODES:
            new.append(steps, CONTRACT)
    write_policy(folder / "policy.safetensors", CONTRACT)
    return folder


@pytest.fixture(scope="module")
def reel(run: Path) -> Reel:
    settings = load_preset(Settings, "fast")
    encoder = settings.learner.encoder.model_copy(update={"source": ENCODER})
    learner = settings.learner.model_copy(update={"encoder": encoder})
    settings = settings.model_copy(update={"contract": CONTRACT, "learner": learner})
    policy, _ = load_policy(run / "policy.safetensors", settings)
    return Reel(run / "experience.sqlite", policy, "lift")


class TestTheReel:
    @pytest.mark.parametrize(
        ("session", "index", "expected"), [("", None, (B, 1)), ("a", None, (A, 1)), ("a", 0, (A, 0)), ("b", 1, (B, 1))]
    )
    def test_finds_the_episode_that_is_meant_else_the_last(
        self, reel: Reel, session: str, index: int | None, expected: tuple[str, int]
    ) -> None:
        found = reel.outcomes[reel.place_of(session, index)]
        assert (found.session, found.episode) == expected

    @pytest.mark.parametrize(("session", "index"), [("", 1), ("c", None), ("a", 5)])
    def test_says_which_there_are_where_it_is_not_clear(self, reel: Reel, session: str, index: int | None) -> None:
        with pytest.raises(ConsoleError, match="sessions: aaaaaaaa, bbbbbbbb"):
            reel.place_of(session, index)

    def test_asks_the_policy_at_each_step_for_what_it_would_do_without_chance(self, reel: Reel) -> None:
        replayed, again = reel.look(1), reel.look(1)
        assert replayed.proposed is not None
        assert replayed.proposed.shape == (5, 4)
        np.testing.assert_array_equal(replayed.proposed, again.proposed)
        third = EPISODES[1][3].observation
        assert reel._policy is not None
        np.testing.assert_array_equal(
            replayed.proposed[3], reel._policy.select_action(third, 0.0, torch.Generator().manual_seed(1))
        )
        np.testing.assert_array_equal(replayed.actions, [step.action for step in EPISODES[1]])


class TestTheTable:
    def test_shows_each_step_beside_what_the_policy_would_do(
        self, run: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        chosen = ["--session", "a", "--episode", "1", "--learner.encoder.source", ENCODER]
        assert main(["replay", "lift", "--runs", str(run.parent), "--no-page", *chosen]) == 0
        first, head, *rows = capsys.readouterr().out.splitlines()
        assert first.startswith("episode aaaaaaaa/1: 5 steps, success, 1 by the operator; ~ is what lift/policy")
        assert head.split() == ["step", "who", "x", "y", "z", "gripper", "~x", "~y", "~z", "~gripper", "reward"]
        assert [row.split()[1] for row in rows] == ["policy", "policy", "nobody", "operator", "policy"]
        assert [f"{value:+.3f}" for value in EPISODES[1][2].action] == rows[2].split()[2:6]
        assert rows[4].split()[-2:] == ["1", "terminated"]

    def test_nobodys_policy_leaves_those_columns_out(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["replay", str(run), "--no-page", "--policy", "none"]) == 0
        assert "~" not in capsys.readouterr().out

    def test_a_run_without_a_policy_is_refused_where_it_was_named(
        self, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["replay", str(run), "--no-page", "--policy", str(tmp_path)]) == 1
        assert "expected a run that has trained, or a snapshot" in capsys.readouterr().err

    def test_an_option_that_does_not_exist_is_refused(self, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            main(["replay", str(run), "--no-pgae"])
        assert "--no-page" in capsys.readouterr().err


class TestTheFigure:
    def test_a_click_finds_the_step_that_is_drawn_there(self, reel: Reel) -> None:
        figure = ReplayFigure(reel.look(1))
        for place in range(5):
            x_px = float(figure.cursor(place).split("M")[1].split()[0])
            to_edge_px = 0.45 * (figure.size[0] - LEFT - RIGHT) / 5
            assert [figure.place_at(x_px + away) for away in (-to_edge_px, 0, to_edge_px)] == 3 * [place]
        assert (figure.place_at(0), figure.place_at(1e5)) == (0, 4)
        assert figure.cursor(5).startswith(f'<path d="M{figure.size[0] - 12:.1f}')  # after the last step
        assert figure.place_at(LEFT) == 0

    def test_shows_who_was_in_control_rewards_and_each_axis(self, reel: Reel) -> None:
        drawn = ReplayFigure(reel.look(1)).drawing()
        assert drawn.count("<polyline") == 2 * 4
        for phrase in (">policy<", ">operator<", ">nobody<", ">reward 1<", "1 = 0.02 m", ">gripper<"):
            assert phrase in drawn

    def test_numbers_tell_units_and_the_end(self, reel: Reel) -> None:
        replayed = reel.look(2)
        shown = numbers(replayed, 2, "<lift>")
        assert f"{20 * replayed.actions[2, 0]:+.1f} mm" in shown
        assert f"{0.4 * replayed.actions[2, 3]:+.3f} rad" in shown
        assert "terminated, success" in shown
        assert "&lt;lift&gt;" in shown
        assert "after the last step" in numbers(replayed, 3, "lift")


class TestThePage:
    def test_keys_and_clicks_lead_through_steps_and_episodes(self, reel: Reel) -> None:
        from nicegui import ui
        from nicegui.testing import user_simulation

        pages: list[ReplayPage] = []

        held = dict.fromkeys(("altKey", "ctrlKey", "metaKey", "shiftKey", "repeat"), False)

        async def visit() -> None:
            async with user_simulation(root=lambda: pages.append(ReplayPage(reel, 1))) as user:
                await user.open("/")
                await user.should_see("step 0 of 5", retries=50)

                def press(key: str) -> None:
                    event = {"action": "keydown", "key": key, "code": key, "location": 0}
                    user.find(kind=ui.keyboard).trigger("key", event | held)

                for key, text in (
                    ("ArrowRight", "step 1 of 5"),
                    ("End", "after the last step"),
                    ("Home", "step 0 of 5"),
                ):
                    press(key)
                    await user.should_see(text)
                press("PageDown")
                await user.should_see("step 0 of 3", retries=50)
                pages[0]._chooser.set_value(0)
                await user.should_see("step 0 of 4", retries=50)
                pages[0]._toggle()  # plays to the end, and stops there
                await user.should_see("after the last step", retries=50)

        asyncio.run(visit())
        assert not pages[0]._playing


@pytest.mark.slow
@pytest.mark.skipif(found() is None, reason="needs chromium")
class TestInABrowser:
    def test_keys_play_and_step_and_pictures_follow(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PYTEST_CURRENT_TEST")  # the child is no test, as which NiceGUI would start otherwise
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = ["--session", "a", "--episode", "1", "--learner.encoder.source", ENCODER, "--port", str(port)]
        with Child("replay", ["replay", str(run), *options], tmp_path / "log") as child, Chromium(tmp_path) as browser:
            eventually(lambda: "open http" in child.last_lines(), child.last_lines(), 60)
            tab = browser.open(f"http://127.0.0.1:{port}")

            def shows(text: str) -> bool:
                return text in str(tab.evaluate("document.body.innerText"))

            def picture() -> str:
                return str(tab.evaluate("document.querySelector('img').src"))

            eventually(lambda: shows("step 0 of 5"), "the first step", 60)
            eventually(lambda: picture().startswith("data:image/png"), "a picture")
            first = picture()
            tab.front()
            tab.tap("ArrowRight")
            eventually(lambda: shows("step 1 of 5"), "a step on")
            eventually(lambda: picture() != first, "another picture")
            tab.tap(" ")
            eventually(lambda: shows("after the last step"), "the end")
            assert tab.evaluate("document.querySelectorAll('polyline').length") == 2 * 4


def test_the_table_of_an_episode_without_policy_has_a_line_for_each_step(run: Path) -> None:
    assert len(table(Reel(run / "experience.sqlite").look(0))) == 1 + 4
