"""What the dashboard reads of a run, and what it makes of it; without a browser."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from console.dashboard.access import Access, load_access
from console.dashboard.evaluating import Evaluating
from console.dashboard.figures import thinned, training_by_cell
from console.dashboard.hub import Hub
from console.dashboard.metrics_tail import MetricsTail
from console.dashboard.parts import Parts
from console.dashboard.reading import actors, alerts, band, key_numbers, phase
from console.dashboard.run_state import RunState, RunWatch
from console.dashboard.server import DashboardServer
from console.dashboard.settings import DashboardSettings
from console.errors import ConsoleError
from console.report.data import Grid
from console.report.figures import TrainingCurve
from console.report.page import training_curve
from console.run_folder import METRICS_FILE, READY_FILE
from console.terminal.key_numbers import ago, size
from learner.clipping import ClipShares
from nudge.v1 import learner_pb2 as pb
from policy.errors import SecurityError
from policy.experience import Source
from shown_run import CONTRACT, append, episode, finished_run, reading, settings_of
from waiting import eventually


class TestMetrics:
    def test_each_look_reads_what_is_new_and_waits_for_the_end_of_a_line(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        tail = MetricsTail(path)
        tail.look()
        assert (tail.readings, tail.updates) == (0, 0)
        whole, half = reading(200, q_mean=1.0), reading(400, q_mean=3.0)
        path.write_text(whole + half[:20])
        tail.look()
        assert (tail.readings, tail.updates, tail.last) == (1, 200, {"q_mean": 1.0})
        path.write_text(whole + half)
        tail.look()
        assert (tail.readings, tail.updates, tail.curve("q_mean", 10).means.tolist()) == (2, 400, [1.0, 3.0])

    def test_readings_that_were_undone_are_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(reading(updates, q_mean=updates) for updates in (200, 400, 600, 400, 500)))
        tail = MetricsTail(path)
        tail.look()
        assert tail.curve("q_mean", 10).updates.tolist() == [200, 400, 500]
        assert tail.readings == 5

    def test_a_metric_that_came_later_begins_later(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        path.write_text(reading(200, q_mean=1.0) + reading(400, entropy=-1.0) + reading(600, entropy=-2.0))
        tail = MetricsTail(path)
        tail.look()
        assert tail.curve("entropy", 10).updates.tolist() == [400, 600]
        assert tail.curve("q_mean", 10).updates.tolist() == [200]
        assert tail.curve("none", 10).updates.tolist() == []

    def test_a_thinned_curve_keeps_means_and_extremes(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(reading(100 * i, q_mean=value) for i, value in enumerate([1.0, 2.0, 9.0, 4.0], 1)))
        tail = MetricsTail(path)
        tail.look()
        curve = tail.curve("q_mean", 2)
        # two points of two readings each: (1 + 2) / 2 and (9 + 4) / 2 at (100 + 200) / 2 and (300 + 400) / 2
        assert curve.updates.tolist() == [150, 350]
        assert (curve.means.tolist(), curve.lows.tolist(), curve.highs.tolist()) == ([1.5, 6.5], [1, 4], [2, 9])

    def test_a_line_that_is_no_reading_is_told_and_passed_over(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        path.write_text("noise\n" + reading(200, q_mean=1.0))
        tail = MetricsTail(path)
        tail.look()
        assert "got the line b'noise', expected a reading" in tail.problem
        assert tail.updates == 200


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> RunState:
    watch = RunWatch(finished_run(tmp_path_factory.mktemp("runs")))
    state = watch.look()
    watch.close()
    return state


def with_newest(state: RunState, source: Source, age_s: float | None) -> RunState:
    assert state.newest is not None
    return replace(state, newest=replace(state.newest, source=source), step_age_s=age_s)


class TestWhoIsInControl:
    @pytest.mark.parametrize(
        ("source", "words", "css"),
        [
            (Source.POLICY, "policy", "policy"),
            (Source.HUMAN, "you", "human"),
            (Source.DEMO, "you, demonstrating", "demo"),
            (Source.HOLD, "nobody", "nobody"),
        ],
    )
    def test_follows_from_the_newest_step(self, state: RunState, source: Source, words: str, css: str) -> None:
        shown = band(with_newest(state, source, 0.2))
        assert (shown.words, shown.css, shown.detail) == (words, css, "episode 4, step 3")

    def test_nobody_can_say_when_steps_have_stopped_to_come(self, state: RunState) -> None:
        shown = band(with_newest(state, Source.POLICY, 300.0))
        assert (shown.words, shown.css) == ("no steps", "silent")
        assert "5 min ago" in shown.detail

    def test_before_the_first_step_there_is_none(self, tmp_path: Path) -> None:
        settings = settings_of(tmp_path)
        settings.folder.mkdir()
        state = RunWatch(settings).look()
        assert band(state).words == "no step yet"
        assert alerts(state)[0].title == "Nothing is recorded yet"


class TestKeyNumbers:
    def test_success_and_the_operators_share_are_those_of_the_report(self, state: RunState) -> None:
        shown = {each.label: each for each in key_numbers(state, training_curve(state.summaries()))}
        # alone: 1 of 3 online episodes; the operator drove 2 of 3 * 4 steps
        assert shown["succeeds alone"].value == "33 %"
        assert shown["you drive"].value == "17 %"
        assert (shown["episodes"].value, shown["episodes"].detail) == ("5", "2 of them demonstrations")
        assert (shown["steps"].value, shown["steps"].detail) == ("20", "2.0 s of robot time")
        assert (shown["Q"].value, shown["Q"].detail, shown["Q"].mood) == ("5", "at most 10 is possible", "")

    @pytest.mark.parametrize(("joints", "mood"), [(0.01, ""), (0.2, "warn")])
    def test_how_often_the_guard_clips_is_told(self, state: RunState, joints: float, mood: str) -> None:
        there = replace(state, clipped=ClipShares(tool=0.25, joints=joints))
        (one,) = [each for each in key_numbers(there, training_curve([])) if each.label == "clipped"]
        assert (one.value, one.mood) == (f"{joints:.0%}".replace("%", " %"), mood)
        assert "the tool confined at 25 %" in one.detail

    def test_what_the_health_checks_found_is_coloured_and_told_with_numbers_and_cure(self, state: RunState) -> None:
        ill = replace(state, metrics=MetricsTail(Path("none")))
        ill.metrics.last = {"q_mean": 12.0, "health/q_above_bound": 1.0}
        (q,) = [each for each in key_numbers(ill, training_curve([])) if each.label == "Q"]
        assert q.mood == "bad"
        (found,) = [each for each in alerts(ill) if each.title.startswith("Q above")]
        assert "q_mean 12, expected at most 10" in found.detail
        assert "the critics overestimate" in found.detail

    def test_the_lease_is_told_who_holds_it_and_for_how_long_it_is_kept(self, state: RunState) -> None:
        def shown(*told: pb.ActorStatus) -> tuple[str, str, str, str]:
            there = replace(state, learner=pb.StatusReply(actors=told))
            (one,) = [each for each in key_numbers(there, training_curve([])) if each.label.startswith("actor")]
            return one.label, one.value, one.detail, one.mood

        lease_s = state.settings.service.lease_s
        desk, away = pb.ActorStatus(actor_id="desk", connected=True), pb.ActorStatus(actor_id="away", age_s=lease_s - 7)
        assert shown() == ("actor", "none", "nobody holds a lease", "")
        assert shown(desk, away) == ("actor", "desk", "holds its lease", "")
        two = pb.ActorStatus(actor_id="other", connected=True)
        assert shown(desk, two) == ("actors", "2", "hold their leases: desk, other", "")
        assert shown(away) == ("actor", "away", "away keeps its lease for 7 s more", "warn")
        gone = pb.ActorStatus(actor_id="desk", age_s=lease_s + 1)
        assert shown(gone)[2] == "desk may have lost its lease"

    def test_sizes_and_times_are_as_people_say_them(self) -> None:
        assert [size(count) for count in (0, 999, 1234, 1_234_567, 25 * 10**9)] == [
            "0 B",
            "999 B",
            "1.2 kB",
            "1.2 MB",
            "25.0 GB",
        ]
        assert [ago(seconds) for seconds in (12, 119, 300, 3 * 3600, 3 * 86_400)] == [
            "12 s",
            "119 s",
            "5 min",
            "3 h",
            "3 d",
        ]


class TestTheLearner:
    def test_without_one_the_page_says_so_and_shows_the_folder(self, state: RunState) -> None:
        assert phase(state) == ("no learner runs", "")
        assert [each.title for each in alerts(state)] == ["No learner runs"]

    def test_one_that_is_gone_without_a_word_does_not_answer(self, tmp_path: Path) -> None:
        settings = finished_run(tmp_path)
        (settings.folder / READY_FILE).write_text('{"address": "127.0.0.1:9"}')  # nobody listens there
        watch = RunWatch(settings)
        state = watch.look()
        watch.close()
        assert phase(state) == ("learner does not answer", "bad")
        assert "127.0.0.1:9 does not answer: unavailable" in alerts(state)[0].detail


class TestTheMapOfTraining:
    GRID = Grid(rows=2, columns=2, x_low_m=0.1, x_high_m=0.3, y_low_m=-0.1, y_high_m=0.1)

    def test_counts_what_succeeded_alone_where_the_cube_lay(self, tmp_path: Path) -> None:
        settings = settings_of(tmp_path)
        settings.folder.mkdir()
        policy, human = Source.POLICY, Source.HUMAN
        for steps in (
            episode(0, [policy, policy], cube=(0.15, -0.05)),
            episode(1, [policy, human], cube=(0.15, -0.05)),  # a success with help
            episode(2, [policy, policy], cube=(0.25, 0.05)),
            episode(3, [policy, policy], cube=(0.35, 0.05)),  # beyond the grid
        ):
            append(settings, steps)
        watch = RunWatch(settings)
        cells = training_by_cell(watch.look().episodes.values(), self.GRID, CONTRACT)
        watch.close()
        assert cells is not None
        assert {cell: (each.successes, each.n) for cell, each in cells.items()} == {(0, 0): (1, 2), (1, 1): (1, 1)}

    def test_there_is_none_where_the_contract_does_not_tell_the_cube(self) -> None:
        assert training_by_cell([], self.GRID, CONTRACT.model_copy(update={"sim_only": ()})) is None


def test_a_long_curve_is_thinned_to_what_a_screen_shows_and_keeps_its_ends() -> None:
    steps = np.arange(2000).astype(np.float64)
    curve = TrainingCurve(steps, steps, steps, steps, (), 2000, 20)
    short = thinned(curve, 240)
    assert len(short.env_steps) == 240
    assert short.env_steps[:21].tolist() == [*range(21)]
    assert short.env_steps[-1] == 1999
    assert thinned(short, 240) is short


class TestParts:
    def test_are_made_anew_only_when_what_they_show_has_changed(self, tmp_path: Path) -> None:
        settings = finished_run(tmp_path)
        watch, parts = RunWatch(settings), Parts()
        before = parts.render(watch.look())
        again = parts.render(watch.look())
        assert all(again[name] is before[name] for name in ("curve", "maps", "panels"))
        append(settings, episode(5, [Source.POLICY] * 3))
        with (settings.folder / METRICS_FILE).open("a") as file:
            file.write(reading(1200, q_mean=7.0))
        after = parts.render(watch.look())
        watch.close()
        assert all(after[name] != before[name] for name in ("curve", "maps", "panels", "numbers"))

    def test_words_of_a_file_are_shown_as_words(self, tmp_path: Path) -> None:
        settings = finished_run(tmp_path)
        (settings.folder / METRICS_FILE).write_text("<script>\n")
        watch = RunWatch(settings)
        shown = Parts().render(watch.look())["alerts"]
        watch.close()
        assert "&lt;script&gt;" in shown
        assert "<script>" not in shown


@dataclass(frozen=True)
class Said:
    title: str
    seen: str = "12 of 20"
    do: str = "press it"


class Told:
    """Takes commands as an actor's client would, and keeps them."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def send(self, word: str) -> str:
        if word == "stop":
            raise ConsoleError("no actor is connected")
        self.words.append(word)
        return f"{word}: done"


class TestActors:
    def test_what_holds_an_actor_up_is_told_and_nothing_of_one_that_goes_on(self, tmp_path: Path) -> None:
        watch = RunWatch(finished_run(tmp_path))
        held = pb.ActorState(paused="by the operator", awaited="press <pause>")
        statuses = [
            pb.ActorStatus(actor_id="desk-1", connected=True, state=held),
            pb.ActorStatus(actor_id="desk-2", connected=True, state=pb.ActorState(control=pb.CONTROL_POLICY)),
            pb.ActorStatus(actor_id="desk-3", connected=False, state=pb.ActorState(emergency="a key")),
        ]
        state = replace(watch.look(), learner=pb.StatusReply(phase="training", actors=statuses))
        assert actors(state) == [
            "desk-1: paused: by the operator",
            "desk-1: waits for the operator: press <pause>",
            "desk-3: emergency stop, pressed by a key",
            "desk-3: its link is broken",
        ]
        parts = Parts()
        assert "press &lt;pause&gt;" in parts.render(state)["actors"]
        buttons = parts.render(state)["buttons"]
        for word in ("pause", "reset", "success", "failure", "checkpoint", "stop"):
            assert f'data-post="/command/{word}"' in buttons
        assert not parts.render(watch.look())["buttons"].strip()  # nobody is there to be told
        assert actors(watch.look()) == []
        watch.close()


class TestWhatOthersGive:
    def test_advice_appears_when_the_coach_is_done_and_again_after_an_episode(self, tmp_path: Path) -> None:
        settings = finished_run(tmp_path)

        def coach(state: RunState) -> list[Said]:
            if len(state.episodes) > 5:
                raise ConsoleError("too <many>")
            return [Said(f"{len(state.episodes)} episodes")]

        watch, parts = RunWatch(settings), Parts(coach)
        parts.render(watch.look())
        eventually(lambda: "5 episodes" in parts.render(watch.look())["advice"], "the advice")
        append(settings, episode(5, [Source.POLICY]))
        eventually(lambda: "too &lt;many&gt;" in parts.render(watch.look())["advice"], "what is wrong with it")
        watch.close()

    def test_commands_are_buttons_and_what_came_of_them_is_told(self, tmp_path: Path) -> None:
        watch, told = RunWatch(finished_run(tmp_path)), Told()
        server = DashboardServer(
            Hub(watch, Parts(), 0.1), watch, Access(None), told, Evaluating(lambda: watch.settings, lambda: None)
        )

        async def visit() -> None:
            transport = httpx.ASGITransport(server.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                answer = await client.post("/command/pause", headers={"Origin": "http://127.0.0.1"})
                assert (answer.status_code, answer.text, told.words) == (200, "pause: done", ["pause"])
                foreign = await client.post("/command/pause", headers={"Origin": "http://evil.example"})
                assert foreign.status_code == 403
                assert (await client.get("/command/pause")).status_code == 405
                answer = await client.post("/command/stop")
                assert (answer.status_code, answer.text) == (409, "no actor is connected")

        asyncio.run(visit())
        watch.close()
        assert told.words == ["pause"]


class TestAccess:
    def test_beyond_loopback_a_token_is_demanded_and_the_way_to_it_named(self) -> None:
        with pytest.raises(SecurityError, match="nudge keys --host"):
            load_access(DashboardSettings(host="0.0.0.0"))
        assert load_access(DashboardSettings()).fits("")

    def test_only_the_token_fits(self, tmp_path: Path) -> None:
        path = tmp_path / "token"
        path.write_text("t" * 40 + "\n")
        path.chmod(0o600)
        access = load_access(DashboardSettings(host="0.0.0.0", token_file=path))
        assert access.fits("t" * 40)
        assert not access.fits("")
        assert "ttt" not in repr(access)
