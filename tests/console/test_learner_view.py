"""What the learner's terminal says of a run: the figures of the dashboard, and what stands in this process alone."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console, ConsoleDimensions

from console.run_folder import METRICS_FILE
from console.terminal import learner_view
from console.terminal.learner_view import LearnerView, shown
from learner.health import FLAG
from nudge.v1 import learner_pb2 as pb
from shown_run import finished_run, reading
from waiting import eventually

METRICS = {
    "q_mean": 1.4,
    "entropy": -1.25,
    "temperature": 0.01,
    "effective_utd": 1.9,
    "demo_transitions": 8.0,
    "online_transitions": 12.0,
    f"{FLAG}q_above_bound": 1.0,
}
BUSY = pb.StatusReply(
    phase="training",
    updates=1234,
    updates_per_s=19.8,
    policy_version=9,
    steps_behind=14,
    last_step_age_s=0.2,
    metrics=METRICS,
    actors=[
        pb.ActorStatus(actor_id="left", connected=True, state=pb.ActorState(paused="by the operator")),
        pb.ActorStatus(actor_id="right", connected=False),
    ],
)


@pytest.fixture
def view(tmp_path: Path) -> LearnerView:
    settings = finished_run(tmp_path)
    with (settings.folder / METRICS_FILE).open("a") as file:
        file.write(reading(1200, 100, **METRICS))
    return LearnerView(settings, lambda: BUSY, None)


def test_a_terminal_of_any_width_shows_who_drives_the_figures_and_what_is_wrong(view: LearnerView) -> None:
    for columns in (60, 140):
        lines = [line.plain for line in view.lines(ConsoleDimensions(columns, 50))]
        assert lines[0] == " policy  training · episode 4, step 3, looks like success 0.75"
        text = "\n".join(lines)
        # Three online episodes of four steps each: one failed, in one the operator made two steps, one went alone.
        for label, value in (
            ("succeeds alone", "33 %"),
            ("you drive", "17 %"),  # 2 of 12 steps
            ("updates / s", "19.8"),
            ("updates / step", "1.9"),
            ("Q", "1.4"),
            ("entropy", "−1.25"),
            ("learns from", "8"),
            ("episodes", "5"),
            ("steps", "20"),
            ("actors", "1"),
        ):
            assert re.search(rf"(^|  ){re.escape(label)} +{re.escape(value)} ", text, re.MULTILINE), (label, text)
        assert "transitions of people, 12 online" in text
        assert "left, right is away, last step" in text
        assert "14 steps behind" in text
        assert "no dashboard" in text
        assert "left: paused: by the operator" in lines
        assert any(line.startswith("Q above what the reward allows: ") for line in lines)
    view.close()


def test_what_is_wrong_is_red_and_the_policy_blue(view: LearnerView) -> None:
    by_text = {line.plain: line for line in view.lines(ConsoleDimensions(60, 50))}
    head = next(line for text, line in by_text.items() if text.startswith(" policy "))
    assert str(head.spans[0].style) == "bold white on blue"
    alarm = next(line for text, line in by_text.items() if text.startswith("Q above"))
    assert alarm.style == "bold red"
    view.close()


def test_a_file_gets_a_line_now_and_then_and_only_if_it_says_something_else(
    view: LearnerView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learner_view, "LINE_EVERY_S", 0.02)
    output = io.StringIO()
    with shown(view, Console(file=output, width=80)):
        eventually(lambda: "\n" in output.getvalue(), "a line")
        time.sleep(0.2)
    view.close()
    (line,) = output.getvalue().splitlines()
    assert re.match(r"\d\d:\d\d:\d\d  training; in control: policy, episode 4, step 3; succeeds alone 33 %;", line)


def test_a_quiet_console_shows_nothing(view: LearnerView) -> None:
    output = io.StringIO()
    with shown(view, Console(file=output, quiet=True, force_terminal=True)):
        pass
    assert output.getvalue() == ""
    view.close()
