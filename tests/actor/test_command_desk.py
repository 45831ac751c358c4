"""A command at the actor: at once or at a tick, in its episode or not at all, once or never; without any network."""

from __future__ import annotations

import pytest

from actor.command_desk import MOST_WAITING
from actor.learner_clock import LearnerClock
from commanded import CommandedActor
from policy.commands import ActorOrder, Outcome, Verb
from teleop.events import TeleopEvent
from teleop.takeover import Verdict
from waiting import NsClock

AGE_S = 5.0


class Bench:
    """An actor whose learner's clock says what ours says, and commands to it."""

    def __init__(self) -> None:
        self.clock = NsClock()
        self.actor = CommandedActor(LearnerClock(self.clock))
        self.connect()
        self._sent = 0

    def connect(self) -> None:
        self.actor.desk.connected()
        self.actor.desk.clock.heard(self.clock(), self.clock())

    def tell(self, verb: Verb, episode: int | None = None, request_id: str = "") -> None:
        self._sent += 1
        expires_ns = self.clock() + round(AGE_S * 1e9)
        self.actor.desk.receive(ActorOrder(verb, request_id or f"{self._sent:032x}", episode, expires_ns))

    def answers(self) -> list[tuple[Verb, Outcome, str]]:
        found = self.actor.desk.answers()
        self.actor.desk.delivered(len(found))
        return [(order.verb, answer.outcome, answer.reason) for order, answer in found]

    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome, _ in self.answers()]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("verb", "verdict"),
    [(Verb.SUCCESS, Verdict.SUCCESS), (Verb.FAILURE, Verdict.FAILURE), (Verb.RERECORD, Verdict.RERECORD)],
)
def test_a_verdict_ends_the_episode_that_it_means_at_the_next_tick(bench: Bench, verb: Verb, verdict: Verdict) -> None:
    bench.actor.episode(3)
    assert bench.actor.tick().verdict is None
    bench.tell(verb, 3)
    assert bench.answers() == []  # it waits for a tick
    assert bench.actor.tick().verdict is verdict
    assert bench.actor.tick().verdict is None
    assert bench.answers() == [(verb, Outcome.DONE, "episode 3 ends with step 2")]


def test_a_verdict_never_meets_another_episode(bench: Bench) -> None:
    bench.actor.episode(3)
    bench.tell(Verb.SUCCESS, 3)
    bench.actor.end(3)
    bench.actor.wait()
    bench.actor.episode(4)
    assert bench.actor.tick().verdict is None
    bench.tell(Verb.FAILURE, 3)
    assert bench.actor.tick().verdict is None
    assert bench.answers() == [
        (Verb.SUCCESS, Outcome.REFUSED, "episode 3 is over, and none runs"),
        (Verb.FAILURE, Outcome.REFUSED, "it means episode 3, but 4 runs"),
    ]
    assert bench.actor.pressed == []


def test_one_that_names_no_episode_means_the_one_that_runs(bench: Bench) -> None:
    bench.tell(Verb.SUCCESS)
    bench.actor.wait()
    bench.actor.episode(0)
    bench.tell(Verb.SUCCESS)
    assert bench.actor.tick().verdict is Verdict.SUCCESS
    assert bench.outcomes() == [Outcome.REFUSED, Outcome.DONE]


def test_an_episode_is_judged_once(bench: Bench) -> None:
    bench.actor.episode(0)
    bench.tell(Verb.SUCCESS)
    bench.tell(Verb.FAILURE)
    assert bench.actor.tick().verdict is Verdict.SUCCESS
    assert [reason for _, _, reason in bench.answers()] == [
        "episode 0 was judged already",
        "episode 0 ends with step 1",
    ]


def test_the_word_of_the_operator_at_the_arm_comes_first(bench: Bench) -> None:
    bench.actor.episode(0)
    bench.actor.latch.press(TeleopEvent.FAILURE, "a key")
    bench.tell(Verb.SUCCESS)
    assert bench.actor.tick().verdict is Verdict.FAILURE
    (answer,) = bench.answers()
    assert answer[1:] == (Outcome.REFUSED, "the operator at the arm said failure in the same moment")


def test_a_pause_is_accepted_at_once_and_lasts_until_it_is_told_to_go_on(bench: Bench) -> None:
    bench.actor.episode(0)
    bench.tell(Verb.PAUSE)
    assert bench.outcomes() == [Outcome.DONE]
    bench.actor.tick()
    assert bench.actor.operator.paused
    bench.actor.end(0)
    assert "paused from elsewhere" in bench.actor.wait()
    bench.tell(Verb.PAUSE)  # no toggle
    assert bench.actor.wait()
    bench.tell(Verb.RESUME)
    assert bench.actor.wait() == ""
    assert [each[1:] for each in bench.answers()][-1] == (Outcome.DONE, "the arm goes on")
    bench.tell(Verb.RESUME)
    bench.actor.wait()
    assert bench.answers() == [(Verb.RESUME, Outcome.DONE, "there was no pause")]


def test_a_pause_outlasts_a_motion_that_the_loop_must_finish_first_and_going_on_does_not(bench: Bench) -> None:
    bench.tell(Verb.PAUSE)
    bench.tell(Verb.RESUME)
    bench.clock.pass_s(AGE_S + 1)
    assert bench.actor.wait()  # the loop is back from it
    assert [each[:2] for each in bench.answers()] == [
        (Verb.PAUSE, Outcome.DONE),
        (Verb.RESUME, Outcome.TOO_LATE),
    ]


def test_nobody_elsewhere_ends_a_pause_that_was_pressed_at_the_arm(bench: Bench) -> None:
    bench.actor.latch.press(TeleopEvent.PAUSE, "a key")
    assert bench.actor.wait() == "paused: `pause` goes on"
    bench.tell(Verb.RESUME)
    assert bench.actor.wait()
    (answer,) = bench.answers()
    assert answer[1] is Outcome.REFUSED
    assert "pressed at the arm" in answer[2]


def test_an_emergency_stop_waits_for_no_tick_and_ends_at_the_arm_alone(bench: Bench) -> None:
    bench.tell(Verb.EMERGENCY_STOP)
    assert bench.actor.emergency.pressed_by == "a command from elsewhere"
    bench.tell(Verb.RESUME)
    bench.tell(Verb.PAUSE)
    bench.actor.wait()
    assert bench.actor.emergency.is_pressed
    assert bench.outcomes() == [Outcome.DONE, Outcome.REFUSED, Outcome.DONE]
    bench.actor.latch.press(TeleopEvent.PAUSE, "a key")
    assert not bench.actor.emergency.is_pressed


def test_a_stop_waits_for_no_tick_either(bench: Bench) -> None:
    bench.tell(Verb.STOP)
    assert bench.actor.stop.is_set()
    assert bench.outcomes() == [Outcome.DONE]


@pytest.mark.parametrize("verb", [verb for verb in Verb if not verb.for_learner])
def test_what_is_too_old_when_it_comes_is_not_done(bench: Bench, verb: Verb) -> None:
    bench.actor.episode(0)
    late = ActorOrder(verb, "f" * 32, None, bench.clock() - 1)
    bench.actor.desk.receive(late)
    bench.actor.tick()
    assert (bench.actor.pressed, bench.actor.stop.is_set(), bench.actor.emergency.is_pressed) == ([], False, False)
    assert bench.outcomes() == [Outcome.TOO_LATE]


def test_what_grows_too_old_before_a_tick_is_told_while_the_loop_is_busy(bench: Bench) -> None:
    bench.actor.episode(0)
    bench.tell(Verb.SUCCESS, 0)
    bench.clock.pass_s(AGE_S + 0.1)
    assert bench.outcomes() == [Outcome.TOO_LATE]
    assert bench.actor.tick().verdict is None
    assert bench.answers() == []


def test_how_late_it_is_is_never_taken_for_less_than_it_is() -> None:
    ours = NsClock(10.0)
    clock = LearnerClock(ours)
    assert clock.is_past(1 << 60)  # the learner has said nothing yet
    asked_ns = ours()
    ours.pass_s(3.0)  # question and answer took 3 s; the learner may have said it at any time of these
    clock.heard(500_000_000_000, asked_ns)
    assert not clock.is_past(503_000_000_000)
    ours.pass_s(1.0)
    assert clock.is_past(503_000_000_000)
    assert not clock.is_past(504_000_000_000)


def test_the_same_command_is_done_once_and_answered_again(bench: Bench) -> None:
    bench.actor.episode(0)
    bench.tell(Verb.SUCCESS, 0, request_id="e" * 32)
    bench.actor.tick()
    assert bench.outcomes() == [Outcome.DONE]
    bench.actor.episode(1)
    bench.connect()  # to a learner that was started anew
    bench.tell(Verb.SUCCESS, 0, request_id="e" * 32)
    assert bench.actor.tick().verdict is None
    assert bench.outcomes() == [Outcome.DONE]
    assert bench.actor.pressed == [TeleopEvent.SUCCESS]


def test_what_came_over_a_connection_that_broke_is_not_done_later(bench: Bench) -> None:
    bench.actor.episode(0)
    bench.tell(Verb.SUCCESS, 0)
    bench.connect()
    assert bench.actor.tick().verdict is None
    assert bench.outcomes() == [Outcome.TOO_LATE]


def test_more_than_may_wait_is_refused(bench: Bench) -> None:
    for _ in range(MOST_WAITING + 1):
        bench.tell(Verb.RESUME)
    assert bench.outcomes() == [Outcome.REFUSED]
    bench.actor.wait()
    assert bench.outcomes() == [Outcome.DONE] * MOST_WAITING


def test_each_command_is_told_to_the_person_at_the_arm(bench: Bench) -> None:
    bench.tell(Verb.EMERGENCY_STOP)
    bench.answers()
    assert bench.actor.told == [
        "emergency stop, told from elsewhere: done; pressed; only a person at the arm lets it move again"
    ]
