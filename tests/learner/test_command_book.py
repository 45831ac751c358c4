"""To whom a command goes, and when it goes to nobody any more; by a clock that the test turns."""

from __future__ import annotations

import pytest

from learner.command_book import CommandBook
from learner.mailbox import ANSWER_S, Mailbox, Reader, Ticket
from learner.service_settings import ServiceSettings
from nudge.v1 import learner_pb2 as pb
from policy.commands import Answer, Command, InvalidCommand, Outcome, Verb, pack_command, unpack_command
from waiting import NsClock

A, B = "a" * 32, "b" * 32
MAX_AGE_S = 5.0


class Desk:
    """A book, and actors that watch it."""

    def __init__(self) -> None:
        self.clock = NsClock()
        self.trainer = Mailbox("the trainer", clock=self.clock)
        settings = ServiceSettings(command_max_age_s=MAX_AGE_S, command_queue=3, lease_s=60)
        self.book = CommandBook(settings, self.trainer, self.clock)
        self._asked = 0

    def watch(self, actor_id: str, session: str = A) -> tuple[Mailbox, Reader]:
        self.book.report(actor_id, session, pb.ActorState(control=pb.CONTROL_NOBODY))
        return self.book.open(actor_id, session)

    def ask(self, verb: Verb = Verb.PAUSE, actor_id: str = "", request_id: str = "", **more: int) -> Ticket:
        self._asked += 1
        return self.book.ask(Command(verb, request_id or f"{self._asked:032x}", actor_id, **more))

    def answer(self, ticket: Ticket) -> Answer | None:
        return self.book.wait(ticket, 0.0)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def taken(watched: tuple[Mailbox, Reader]) -> list[Verb]:
    mailbox, reader = watched
    verbs: list[Verb] = []
    while (ticket := mailbox.take(reader, 0.0)) is not None:
        verbs.append(ticket.command.verb)
    return verbs


def outcome(answer: Answer | None) -> Outcome | None:
    return None if answer is None else answer.outcome


def test_the_only_actor_gets_what_names_nobody_in_order_and_once(desk: Desk) -> None:
    watched = desk.watch("bench")
    for verb in (Verb.PAUSE, Verb.RESUME, Verb.STOP):
        desk.ask(verb)
    assert taken(watched) == [Verb.PAUSE, Verb.RESUME, Verb.STOP]
    assert taken(watched) == []


def test_without_an_actor_it_is_said_at_once(desk: Desk) -> None:
    answer = desk.answer(desk.ask())
    assert answer == Answer(Outcome.NO_ACTOR, "no actor is connected that takes commands")
    desk.watch("bench")
    answer = desk.answer(desk.ask(actor_id="other"))
    assert answer is not None
    assert (answer.outcome, answer.actor_id) == (Outcome.NO_ACTOR, "")
    assert "actor 'other' is not connected, or takes no commands; connected: bench" in answer.reason


def test_of_several_actors_one_must_be_named(desk: Desk) -> None:
    one, two = desk.watch("one", A), desk.watch("two", B)
    answer = desk.answer(desk.ask())
    assert answer == Answer(Outcome.REFUSED, "say which actor; connected: one, two")
    desk.ask(actor_id="two")
    assert (taken(one), taken(two)) == ([], [Verb.PAUSE])


def test_what_nobody_takes_in_time_is_dropped_and_never_handed_out(desk: Desk) -> None:
    watched = desk.watch("bench")
    ticket = desk.ask()
    desk.clock.pass_s(MAX_AGE_S)
    assert desk.answer(ticket) is None
    desk.clock.pass_s(0.001)
    assert outcome(desk.answer(ticket)) is Outcome.TOO_LATE
    assert taken(watched) == []


def test_a_command_is_as_old_as_the_clock_that_it_was_asked_by(desk: Desk) -> None:
    watched = desk.watch("bench")
    asked_ns = desk.clock()
    desk.clock.pass_s(MAX_AGE_S + 0.1)
    assert outcome(desk.answer(desk.ask(asked_ns=asked_ns))) is Outcome.TOO_LATE
    assert taken(watched) == []


def test_an_actor_whose_link_broke_a_moment_ago_gets_it_when_it_is_back(desk: Desk) -> None:
    mailbox, reader = desk.watch("bench")
    mailbox.close(reader)
    desk.clock.pass_s(MAX_AGE_S - 1)
    ticket = desk.ask()
    assert desk.answer(ticket) is None
    assert taken(desk.book.open("bench", A)) == [Verb.PAUSE]
    assert taken((mailbox, reader)) == []


def test_one_that_left_long_ago_is_not_connected(desk: Desk) -> None:
    mailbox, reader = desk.watch("bench")
    mailbox.close(reader)
    desk.clock.pass_s(MAX_AGE_S + 1)
    assert outcome(desk.answer(desk.ask(actor_id="bench"))) is Outcome.NO_ACTOR


def test_a_connection_that_a_newer_one_has_replaced_swallows_nothing(desk: Desk) -> None:
    dead = desk.watch("bench")
    alive = desk.book.open("bench", A)
    desk.ask()
    assert taken(dead) == []
    assert not dead[0].is_current(dead[1])
    assert taken(alive) == [Verb.PAUSE]


def test_what_was_meant_for_one_session_does_not_reach_the_next_of_its_name(desk: Desk) -> None:
    desk.watch("bench", A)
    ticket = desk.ask()
    assert taken(desk.watch("bench", B)) == []
    assert outcome(desk.answer(ticket)) is Outcome.REFUSED


def test_a_full_queue_refuses_and_has_room_again(desk: Desk) -> None:
    watched = desk.watch("bench")
    for _ in range(3):
        desk.ask()
    answer = desk.answer(desk.ask())
    assert answer is not None
    assert (answer.outcome, answer.reason) == (
        Outcome.REFUSED,
        "3 commands wait for actor 'bench', the most there may be",
    )
    assert len(taken(watched)) == 3
    assert desk.answer(desk.ask()) is None


def test_an_emergency_stop_waits_behind_nothing(desk: Desk) -> None:
    watched = desk.watch("bench")
    for _ in range(3):
        desk.ask()
    assert desk.answer(desk.ask(Verb.EMERGENCY_STOP)) is None
    assert taken(watched) == [Verb.EMERGENCY_STOP, Verb.PAUSE, Verb.PAUSE, Verb.PAUSE]


def test_a_retry_is_the_same_command_and_another_one_with_its_id_is_refused(desk: Desk) -> None:
    watched = desk.watch("bench")
    first = desk.ask(request_id=A)
    assert desk.ask(request_id=A, asked_ns=desk.clock()) is first
    assert taken(watched) == [Verb.PAUSE]
    desk.book.answered("bench", A, A, Answer(Outcome.DONE, "as you wish", "bench"))
    assert desk.answer(desk.ask(request_id=A)) == Answer(Outcome.DONE, "as you wish", "bench")
    assert taken(watched) == []
    with pytest.raises(InvalidCommand, match="came before with pause"):
        desk.ask(Verb.RESUME, request_id=A)


def test_who_says_nothing_of_what_it_got_is_not_waited_for_for_ever(desk: Desk) -> None:
    watched = desk.watch("bench")
    ticket = desk.ask(request_id=A)
    taken(watched)
    desk.clock.pass_s(ANSWER_S)
    assert desk.answer(ticket) is None
    desk.clock.pass_s(0.1)
    assert outcome(desk.answer(ticket)) is Outcome.UNANSWERED
    desk.book.answered("bench", A, A, Answer(Outcome.DONE, "at last", "bench"))  # who asks again hears it
    assert outcome(desk.answer(ticket)) is Outcome.DONE


def test_no_actor_answers_for_another_one(desk: Desk) -> None:
    watched = desk.watch("one", A)
    desk.watch("two", B)
    ticket = desk.ask(actor_id="one", request_id=A)
    taken(watched)
    desk.book.answered("two", B, A, Answer(Outcome.DONE, "so there", "two"))
    assert desk.answer(ticket) is None


def test_commands_for_the_trainer_go_to_it_while_it_trains(desk: Desk) -> None:
    refused = desk.answer(desk.ask(Verb.CHECKPOINT))
    assert refused is not None
    assert (refused.outcome, refused.reason) == (
        Outcome.REFUSED,
        "training has not begun, or is over; see the learner's phase",
    )
    reader = desk.trainer.open()
    desk.ask(Verb.CHECKPOINT)
    assert taken((desk.trainer, reader)) == [Verb.CHECKPOINT]


def test_what_the_actors_are_at_is_told_with_its_age_while_they_may_come_back(desk: Desk) -> None:
    mailbox, reader = desk.watch("bench")
    desk.book.report("bench", A, pb.ActorState(control=pb.CONTROL_HUMAN, episode=3, step=7))
    desk.clock.pass_s(2.0)
    (told,) = desk.book.actors()
    assert (told.actor_id, told.connected) == ("bench", True)
    assert told.age_s == pytest.approx(2.0)
    assert (told.state.control, told.state.episode, told.state.step) == (pb.CONTROL_HUMAN, 3, 7)
    mailbox.close(reader)
    desk.clock.pass_s(59.0)
    (told,) = desk.book.actors()
    assert not told.connected
    desk.clock.pass_s(2.0)
    assert desk.book.actors() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"verb": 0}, "verb: got 0"),
        ({"verb": 99}, "verb: got 99"),
        ({"request_id": "A" * 32}, "request_id: got 'AAAA"),
        ({"request_id": ""}, "request_id: got ''"),
        ({"actor_id": "two words"}, "actor_id: got 'two words'"),
        ({"verb": 8, "actor_id": "bench"}, "checkpoint is for the learner; name no actor"),
        ({"episode": 3}, "pause is not about an episode"),
        ({"asked_ns": 11}, "asked_ns: got 11, this learner's clock says 10"),
        ({"asked_ns": -1}, "asked_ns: got -1"),
    ],
)
def test_what_no_tool_of_ours_sends_is_refused_with_the_field(wrong: dict[str, int | str], said: str) -> None:
    fields: dict[str, int | str] = {"verb": 1, "request_id": A}
    message = pb.CommandRequest(**(fields | wrong))  # type: ignore[arg-type]
    with pytest.raises(InvalidCommand, match=said):
        unpack_command(message, now_ns=10)


def test_a_command_comes_over_the_wire_as_it_is() -> None:
    for episode in (None, 0, 7):
        command = Command(Verb.SUCCESS, A, "bench", episode, 5)
        assert unpack_command(pack_command(command), now_ns=10) == command
