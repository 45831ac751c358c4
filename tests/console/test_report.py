"""The report of synthetic runs: figures by hand, a page that needs no network, and runs that stopped early."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from console.coach.advice import Advice, Coaching, Histogram, NotJudged, Severity, Source
from console.report.data import LateTicks
from console.report.page import (
    Deviation,
    EpisodeSummary,
    Evaluation,
    Grid,
    MetricsRecord,
    ReportError,
    ReportInputs,
    TimingRow,
    Trial,
    duration,
    percent,
    read_metrics,
    training_curve,
    write_report,
)
from learner.health import CHECKS
from learner.store import EpisodeRecord

GRID = Grid(rows=2, columns=2, x_low_m=0.20, x_high_m=0.30, y_low_m=-0.08, y_high_m=0.08)


def episode(
    index: int, kind: str, steps: int, human_steps: int, success: bool, complete: bool = True
) -> EpisodeSummary:
    return EpisodeSummary.model_validate(
        {
            "session": "s",
            "index": index,
            "kind": kind,
            "steps": steps,
            "human_steps": human_steps,
            "episode_return": float(success),
            "complete": complete,
            "first_wall_ns": index * 1_000,
            "last_wall_ns": index * 1_000 + 999,
        }
    )


def trial(row: int, column: int, success: bool, steps: int) -> Trial:
    x_m, y_m = GRID.centre_m(row, column)
    return Trial(
        row=row,
        column=column,
        cube_x_m=x_m,
        cube_y_m=y_m,
        cube_yaw_rad=0.0,
        success=success,
        steps=steps,
        robot_time_s=steps / 10,
    )


# 2 demonstrations (20 + 22 steps), then online: autonomous success, helped success, failure, and one cut off.
EPISODES = (
    episode(0, "demo", 20, 0, True),
    episode(1, "demo", 22, 0, True),
    episode(2, "online", 18, 0, True),
    episode(3, "online", 40, 10, True),
    episode(4, "online", 80, 2, False),
    episode(5, "online", 7, 0, False, complete=False),
)
EVALUATION = Evaluation(
    trials=(
        trial(0, 0, True, 15),
        trial(0, 0, True, 17),
        trial(0, 1, True, 19),
        trial(0, 1, False, 80),
        trial(1, 0, True, 16),
    ),
    grid=GRID,
    policy_version=7,
    deterministic=True,
    label="simulator",
)
METRICS = tuple(
    MetricsRecord(
        updates=updates,
        env_steps=100 + updates // 4,
        wall_s=updates / 50,
        metrics={"critic_loss": 1 / updates, "q_mean": updates / 500, "entropy": -1.0},
    )
    for updates in range(10, 401, 10)
)


def inputs(**changes: Any) -> ReportInputs:
    return ReportInputs.model_validate(
        {
            "run_name": "test",
            "task": "lift",
            "success_rule": "lifted by 5 cm",
            "preset": "fast",
            "seed": 3,
            "contract_hash": "ab" * 32,
            "control_hz": 10.0,
            "wall_s": 125.0,
            "machine": "2 cores",
        }
        | changes
    )


def complete_inputs(**changes: Any) -> ReportInputs:
    everything: dict[str, Any] = {
        "episodes": EPISODES,
        "metrics": METRICS,
        "evaluation": EVALUATION,
        "deviations": (Deviation(name="n_step", paper="1", here="3"),),
        "timing": (TimingRow(name="select action", p50_ms=6.0, p99_ms=12.5, p99_9_ms=14.0, max_ms=14.5, count=187),),
        "learner_figures": {"updates per second": 41.0},
        "q_bound": 1.0,
        "video": "final.mp4",
    }
    return inputs(**(everything | changes))


class Page(HTMLParser):
    """What the tests look at: the words, every address, and whether elements are closed in order."""

    VOID = frozenset({"meta", "link", "img", "br", "hr", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words = ""
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def page(run_folder: Path) -> Page:
    return Page((run_folder / "report.html").read_text())


class TestFigures:
    def test_they_are_what_arithmetic_says(self, tmp_path: Path) -> None:
        (tmp_path / "final.mp4").write_bytes(b"video")
        report = write_report(tmp_path, complete_inputs())
        assert report.autonomous_success == pytest.approx(4 / 5)
        assert report.trials == 5
        # Wilson at 4/5, z² = 3.841459: (.8 + .3841459 ± 1.959964·sqrt(.8·.2/5 + 3.841459/100)) / 1.7682918
        assert (report.wilson_low, report.wilson_high) == pytest.approx((0.375535, 0.963776), abs=1e-5)
        assert report.env_steps == 20 + 22 + 18 + 40 + 80 + 7
        assert report.robot_time_s == pytest.approx(18.7)
        assert report.demo_steps == 42
        assert report.human_steps == 12  # interventions only
        # complete online episodes: (0 + 10 + 2) human steps of 18 + 40 + 80
        assert report.intervention_rate_last_50 == pytest.approx(12 / 138)
        assert report.training_success_last_50 == pytest.approx(1 / 3)
        assert report.cycle_steps == 16.5  # median of 15, 16, 17, 19
        assert report.cycle_s == pytest.approx(1.65)
        assert report.demo_cycle_steps == 21.0
        assert report.updates == 400
        # first record: 10 updates at 102 steps, last: 400 at 200
        assert report.effective_utd == pytest.approx(390 / 98)
        assert report.missing == ()

    def test_cells_hold_rate_and_count(self, tmp_path: Path) -> None:
        report = write_report(tmp_path, complete_inputs())
        assert {cell: (result.rate, result.n) for cell, result in report.success_by_cell.items()} == {
            "0,0": (1.0, 2),
            "0,1": (0.5, 2),
            "1,0": (1.0, 1),
        }

    def test_the_json_has_every_promised_key(self, tmp_path: Path) -> None:
        report = write_report(tmp_path, complete_inputs())
        written = json.loads((tmp_path / "report.json").read_text())
        promised = (
            "autonomous_success trials wilson_low wilson_high success_by_cell env_steps wall_s robot_time_s "
            "intervention_rate_last_50 updates effective_utd contract_hash seed preset deviations machine"
        )
        assert set(promised.split()) <= set(written)
        assert written == report.model_dump(mode="json")

    def test_only_the_last_fifty_online_episodes_count_as_recent(self, tmp_path: Path) -> None:
        early = [episode(i, "online", 10, 10, False) for i in range(30)]
        late = [episode(i, "online", 10, 0, True) for i in range(30, 80)]
        report = write_report(tmp_path, inputs(episodes=(*early, *late)))
        assert report.intervention_rate_last_50 == 0.0
        assert report.training_success_last_50 == 1.0

    def test_the_learners_own_effective_utd_has_precedence(self, tmp_path: Path) -> None:
        last = MetricsRecord(updates=500, env_steps=300, wall_s=9, metrics={"effective_utd": 3.5})
        assert write_report(tmp_path, inputs(metrics=(*METRICS, last))).effective_utd == 3.5


class TestTrainingCurve:
    def test_it_counts_all_steps_and_rates_complete_online_episodes(self) -> None:
        curve = training_curve(EPISODES)
        assert curve.env_steps.tolist() == [60.0, 100.0, 180.0]
        assert curve.alone.tolist() == pytest.approx([1, 1 / 2, 1 / 3])
        assert curve.helped.tolist() == pytest.approx([1, 1, 2 / 3])
        assert curve.human_share.tolist() == pytest.approx([0, 10 / 58, 12 / 138])
        assert curve.demo_spans == ((0, 20), (20, 42))
        assert curve.total_steps == 187

    def test_episodes_are_ordered_by_the_clock(self) -> None:
        assert training_curve(EPISODES[::-1]).env_steps.tolist() == [60.0, 100.0, 180.0]


class TestPage:
    def test_it_needs_no_network(self, tmp_path: Path) -> None:
        (tmp_path / "final.mp4").write_bytes(b"video")
        write_report(tmp_path, complete_inputs())
        assert page(tmp_path).addresses == ["data:video/mp4;base64,dmlkZW8="]
        html = (tmp_path / "report.html").read_text()
        assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<link", html)

    def test_it_is_well_formed_and_says_the_result(self, tmp_path: Path) -> None:
        write_report(tmp_path, complete_inputs())
        shown = page(tmp_path)
        assert shown.open == []
        for words in (
            "80 %",
            "4 of 5 trials",
            "37.6 % to 96.4 %",
            "n_step",
            "ab" * 32,
            "select action",
            "lifted by 5 cm",
        ):
            assert words in shown.words
        assert not re.search(r"\bnan\b|None", (tmp_path / "report.html").read_text())

    def test_a_large_video_is_linked_not_embedded(self, tmp_path: Path) -> None:
        (tmp_path / "final.mp4").write_bytes(bytes(8_000_000))
        write_report(tmp_path, complete_inputs())
        assert page(tmp_path).addresses == ["final.mp4"]

    def test_names_from_outside_are_escaped(self, tmp_path: Path) -> None:
        odd = {"<script>alert(1)</script>": 1.0}
        metrics = tuple(MetricsRecord(updates=i, env_steps=i, wall_s=i, metrics=odd) for i in range(3))
        write_report(tmp_path, inputs(run_name="<b>x</b>", metrics=metrics))
        html = (tmp_path / "report.html").read_text()
        assert "<script" not in html
        assert "<b>x" not in html

    def test_metrics_that_are_not_numbers_do_not_break_it(self, tmp_path: Path) -> None:
        metrics = tuple(
            MetricsRecord(updates=i, env_steps=i, wall_s=i, metrics={"critic_loss": float("nan"), "q_mean": 1e9 * i})
            for i in range(5)
        )
        write_report(tmp_path, inputs(metrics=metrics))
        assert page(tmp_path).tags.count("svg") == 2

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0.0, "0 s"), (1.75, "1.8 s"), (59.0, "59 s"), (571.4, "9 min 31 s"), (4320.0, "1 h 12 min")],
    )
    def test_times_read_as_people_say_them(self, seconds: float, words: str) -> None:
        assert duration(seconds) == words

    def test_shares_keep_a_decimal_only_where_it_says_something(self) -> None:
        assert [percent(value) for value in (0.95, 0.888249, 1.0, None)] == ["95 %", "88.8 %", "100 %", "–"]


class TestHealth:
    def flagged(self, *found: bool) -> tuple[MetricsRecord, ...]:
        values = [{"q_mean": 5.0, "health/q_above_bound": float(each), "health/utd_starved": 0.0} for each in found]
        return tuple(
            MetricsRecord(updates=100 * (i + 1), env_steps=i, wall_s=i, metrics=each) for i, each in enumerate(values)
        )

    def test_a_finding_stands_there_with_its_updates_and_what_helps(self, tmp_path: Path) -> None:
        report = write_report(tmp_path, inputs(metrics=self.flagged(False, True, True, False)))
        (finding,) = report.health
        assert (finding.name, finding.first_updates, finding.last_updates) == ("q_above_bound", 200, 300)
        assert (finding.readings, finding.still_there) == (2, False)
        words = " ".join(page(tmp_path).words.split())
        assert "Q above what the reward allows: from update 200 to 300, in 2 readings; over since." in words
        assert f"What helps: {CHECKS['q_above_bound'].cure}" in words
        assert "health/" not in words  # a flag is no curve

    def test_one_at_the_end_is_still_there(self, tmp_path: Path) -> None:
        write_report(tmp_path, inputs(metrics=self.flagged(False, True)))
        assert "at update 200; still so at the end" in page(tmp_path).words

    def test_nothing_found_is_said_and_nothing_checked_is_not(self, tmp_path: Path) -> None:
        assert write_report(tmp_path, inputs(metrics=self.flagged(False, False))).health == ()
        assert "No finding" in page(tmp_path).words
        write_report(tmp_path, inputs(metrics=METRICS))
        assert "Health" not in page(tmp_path).words


class TestRunsThatStoppedEarly:
    def test_nothing_at_all_still_gives_a_page_that_says_so(self, tmp_path: Path) -> None:
        report = write_report(tmp_path, inputs())
        assert report.autonomous_success is None
        assert report.intervention_rate_last_50 is None
        assert report.updates == 0
        assert len(report.missing) == 6
        shown = page(tmp_path)
        assert "No result" in shown.words
        assert all(words in shown.words for words in report.missing)

    def test_without_an_evaluation_training_is_shown_and_named_as_such(self, tmp_path: Path) -> None:
        report = write_report(tmp_path, complete_inputs(evaluation=None))
        assert report.trials == 0
        words = page(tmp_path).words
        assert "of the last 3 training episodes succeeded without help. This is no evaluation" in words
        assert "How it learned" in words
        assert "Where it succeeds" not in words

    def test_demonstrations_only(self, tmp_path: Path) -> None:
        report = write_report(tmp_path, inputs(episodes=EPISODES[:2]))
        assert report.env_steps == 42
        assert "No complete online episode: there is no learning curve yet." in report.missing

    def test_an_evaluation_of_nothing_but_failures(self, tmp_path: Path) -> None:
        failed = EVALUATION.model_copy(update={"trials": (trial(0, 0, False, 80),)})
        report = write_report(tmp_path, inputs(evaluation=failed))
        assert (report.autonomous_success, report.wilson_low, report.cycle_steps) == (0.0, 0.0, None)

    def test_a_video_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        assert "No video: final.mp4 is not in the run folder." in write_report(tmp_path, complete_inputs()).missing

    def test_a_missing_run_folder_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ReportError, match="no folder"):
            write_report(tmp_path / "nowhere", inputs())


class TestFiles:
    def test_an_evaluation_comes_back_as_it_was(self, tmp_path: Path) -> None:
        assert Evaluation.load(tmp_path) is None
        assert EVALUATION.save(tmp_path).name == "evaluation.json"
        assert Evaluation.load(tmp_path) == EVALUATION

    def test_a_foreign_evaluation_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "evaluation.json").write_text('{"trials": []}')
        with pytest.raises(ReportError, match="not an evaluation"):
            Evaluation.load(tmp_path)

    def test_a_trial_beside_the_grid_is_refused(self) -> None:
        with pytest.raises(ValidationError, match="the grid has 2 rows and 2 columns"):
            Evaluation(
                trials=(trial(0, 0, True, 9).model_copy(update={"row": 2}),),
                grid=GRID,
                policy_version=1,
                deterministic=True,
                label="operator",
            )

    def test_metrics_are_read_without_a_last_line_that_was_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        assert read_metrics(path) == ()
        path.write_text("".join(record.model_dump_json() + "\n" for record in METRICS) + '{"updates": 5')
        assert read_metrics(path) == METRICS

    def test_readings_that_were_undone_or_done_again_are_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        # Killed after 30 and resumed at 20, then rolled back from 40 to 10.
        updates = (10, 20, 30, 30, 40, 20, 30)
        records = [MetricsRecord(updates=each, env_steps=i, wall_s=i, metrics={}) for i, each in enumerate(updates)]
        path.write_text("".join(record.model_dump_json() + "\n" for record in records))
        assert [record.env_steps for record in read_metrics(path)] == [0, 5, 6]

    def test_a_broken_line_in_the_middle_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "metrics.jsonl"
        path.write_text(METRICS[0].model_dump_json() + '\n{"updates": -1}\n')
        with pytest.raises(ReportError, match="line 2"):
            read_metrics(path)

    def test_episodes_come_from_the_records_of_the_store(self) -> None:
        record = EpisodeRecord(
            session="s",
            index=4,
            kind="online",
            steps=30,
            human_steps=0,
            episode_return=1.0,
            terminated=True,
            truncated=False,
            rejected=False,
            first_wall_ns=1,
            last_wall_ns=2,
            sim_only=(0.1, 0.2),
        )
        assert EpisodeSummary.model_validate(record).autonomous_success

    def test_cells_count_from_the_base_outwards_and_from_the_right(self) -> None:
        # rows of 5 cm from x = 20 cm, columns of 8 cm from y = -8 cm
        assert GRID.centre_m(0, 0) == pytest.approx((0.225, -0.04))
        assert GRID.centre_m(1, 1) == pytest.approx((0.275, 0.04))


class TestTheCoach:
    ADVICE = Advice(
        rule="explore_first",
        severity=Severity.IMPORTANT,
        title="You help early",
        seen="in 9 of 10 episodes <before> step 20",
        evidence=Histogram(title="First takeover", x_name="step", edges=(0, 5), counts=(9,), limit=20),
        why="It never tries.",
        sources=(Source(text="HIL-SERL", url="https://arxiv.org/abs/2410.21845"), Source(text="Docs", url="docs/x.md")),
        do="Wait.",
    )
    LACKS = NotJudged(rule="clipped_actions", lacks="no step says what was clipped")

    def page(self, folder: Path, *advice: Advice) -> str:
        coaching = Coaching(run="test", advice=advice, not_judged=(self.LACKS,), content=())
        write_report(folder, complete_inputs(), coaching)
        return (folder / "report.html").read_text()

    def test_its_advice_stands_there_with_evidence_source_and_what_to_do(self, tmp_path: Path) -> None:
        html = self.page(tmp_path, self.ADVICE)
        assert "In 9 of 10 episodes &lt;before&gt; step 20." in html
        assert "First takeover [step]" in html
        assert '<a href="https://arxiv.org/abs/2410.21845">HIL-SERL</a>' in html
        assert "<code>docs/x.md</code>" in html
        assert "<code>clipped_actions</code> (no step says what was clipped)" in html
        assert json.loads((tmp_path / "report.json").read_text())["advice"] == ["explore_first"]

    def test_that_it_has_nothing_to_say_is_said(self, tmp_path: Path) -> None:
        assert "Nothing: what it can judge is as it should be." in self.page(tmp_path)


def test_takeovers_are_drawn_by_their_length(tmp_path: Path) -> None:
    write_report(tmp_path, complete_inputs(takeover_steps=(3, 4, 12)))
    html = (tmp_path / "report.html").read_text()
    assert "3 takeovers in training, of 4 steps in the median" in html
    assert 'aria-label="Length of takeovers: 3 in all"' in html


def test_cycle_times_have_quartiles_and_late_ticks_are_told(tmp_path: Path) -> None:
    late = EVALUATION.model_copy(update={"late": LateTicks(ticks=147, count=3, worst_ms=181.0)})
    report = write_report(tmp_path, complete_inputs(evaluation=late))
    # Successful trials took 1.5, 1.6, 1.7 and 1.9 s: quartiles at places 0.75 and 2.25 of 0..3.
    assert (report.cycle_low_s, report.cycle_high_s) == pytest.approx((1.575, 1.75))
    html = (tmp_path / "report.html").read_text()
    assert "middle half 1.6 to 1.8 s" in html
    assert "3 of 147 ticks began late, the worst by 181 ms" in html
