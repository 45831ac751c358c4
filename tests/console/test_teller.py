"""What the actor's terminal says of episodes, and who is in control."""

from __future__ import annotations

import io

from rich.console import Console

from actor.episode import EpisodeOutcome
from console.terminal.teller import Teller
from policy.experience import Judgement, Reason
from reward_classifier.judge import Opinion
from robot.errors import BusLost
from teleop.takeover import Control, Verdict
from waiting import eventually


def told(*, person: bool, terminal: bool = False) -> tuple[Teller, io.StringIO]:
    output = io.StringIO()
    return Teller(Console(file=output, width=200, force_terminal=terminal), person=person), output


def outcome(**changes: object) -> EpisodeOutcome:
    made = {"episode": 3, "demonstration": False, "success": True, "steps": 40, "human_steps": 0, "env_steps": 120}
    return EpisodeOutcome(**(made | changes))  # type: ignore[arg-type]  # the names are those of the fields


def test_an_episode_is_one_line_with_who_helped_and_what_cut_it() -> None:
    teller, output = told(person=False)
    teller.episode_ended(outcome(human_steps=7))
    teller.episode_ended(outcome(success=False, cut="paused by the operator"))
    teller.episode_ended(outcome(demonstration=True, rejected="step 12: the actions moved z by +0.040 m"))
    teller.episode_ended(outcome(success=False, cut="to be recorded again", rejected="to be recorded again"))
    assert [line.strip() for line in output.getvalue().splitlines()] == [
        "120  episode 3: success in 40 steps, 7 by the operator",
        "120  episode 3: no success in 40 steps, cut: paused by the operator",
        "120  demonstration 3: success in 40 steps, refused: step 12: the actions moved z by +0.040 m",
        "120  episode 3: no success in 40 steps, cut: to be recorded again",
    ]


def test_what_the_classifier_thinks_is_part_of_the_line_and_a_difference_a_line_of_its_own() -> None:
    sure = Opinion(Judgement(0.971, Reason.SUCCESS), "3 of the last 3 frames look like success")
    doubtful = Opinion(Judgement(0.12, Reason.UNLIKELY), "probability 0.12 below 0.80")
    low = Opinion(Judgement(0.99, Reason.GATE), "tool.z 0.061, expected at least 0.083 m")
    teller, output = told(person=False)
    teller.episode_ended(outcome(opinion=sure))
    teller.episode_ended(outcome(success=False, opinion=doubtful))
    teller.episode_ended(outcome(success=False, opinion=low))
    teller.episode_ended(outcome(opinion=doubtful, verdict=Verdict.SUCCESS))
    teller.episode_ended(outcome(success=False, opinion=sure, verdict=Verdict.FAILURE))
    teller.episode_ended(outcome(opinion=sure, verdict=Verdict.SUCCESS))
    assert [line.strip() for line in output.getvalue().splitlines()] == [
        "120  episode 3: success by the classifier, p 0.97, in 40 steps",
        "120  episode 3: no success, p 0.12, in 40 steps",
        "120  episode 3: no success, p 0.99 (tool.z 0.061, expected at least 0.083 m), in 40 steps",
        "120  episode 3: success by your key, p 0.12, in 40 steps",
        "your key and the classifier disagree: it would not pay: probability 0.12 below 0.80",
        "120  episode 3: no success by your key, p 0.97, in 40 steps",
        "your key and the classifier disagree: it would pay: 3 of the last 3 frames look like success",
        "120  episode 3: success by your key, p 0.97, in 40 steps",
    ]


def test_a_fault_is_told_with_what_went_wrong_besides() -> None:
    teller, output = told(person=False)
    fault = BusLost("bus: unplugged")
    fault.add_note("and when it should hold: it is not there")
    teller.arm_faulty(fault)
    assert output.getvalue() == "bus: unplugged\n  and when it should hold: it is not there\n"


def test_a_person_reads_in_the_last_line_who_drives() -> None:
    teller, output = told(person=True, terminal=True)
    with teller:
        for control, words in (
            (Control.POLICY, "the policy drives"),
            (Control.ALIGNING, "nobody drives"),
            (Control.HUMAN, "you drive"),
            (Control.RELEASING, "returns to the arm's pose"),
        ):
            teller.control_changed(control)
            eventually(lambda words=words: words in output.getvalue(), words)  # type: ignore[misc]
        teller.operator_awaited("demonstration: take over begins it")
        eventually(lambda: "waiting for you" in output.getvalue())


def test_on_a_quiet_console_faults_are_told_and_what_waits_for_the_operator_and_nothing_else() -> None:
    output = io.StringIO()
    teller = Teller(Console(file=output, width=200, quiet=True, force_terminal=True, color_system=None), person=True)
    with teller:
        teller.control_changed(Control.HUMAN)
        teller.episode_ended(outcome())
        teller.operator_awaited("press [space] to begin")
        teller.arm_faulty(BusLost("bus: unplugged"))
    assert output.getvalue().splitlines() == ["waiting for you: press [space] to begin", "bus: unplugged"]


def test_reasons_are_told_as_they_are_whatever_stands_in_them() -> None:
    teller, output = told(person=False)
    teller.episode_ended(outcome(success=False, cut="stopped [/by] hand", rejected="dimension [x]"))
    assert output.getvalue().strip().endswith("cut: stopped [/by] hand, refused: dimension [x]")


def test_a_log_file_gets_a_line_instead_and_a_program_none() -> None:
    teller, output = told(person=True)
    with teller:
        teller.control_changed(Control.HUMAN)
    assert output.getvalue() == "  control: human\n"
    teller, output = told(person=False)
    with teller:
        teller.control_changed(Control.HUMAN)
    assert output.getvalue() == ""
