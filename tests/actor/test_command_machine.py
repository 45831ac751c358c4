"""Any order of presses, ticks, broken links, restarts and delays: nothing is done twice, late, or elsewhere.

Learner's book, actor's desk and operator are the real ones; the network between them is a list, and the clocks of both
machines have nothing to do with each other.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actor.command_desk import MOST_WAITING
from actor.learner_clock import LearnerClock
from commanded import CommandedActor
from learner.command_book import CommandBook
from learner.service_settings import ServiceSettings
from policy.commands import ActorOrder, Command, Outcome, Verb
from teleop.events import TeleopEvent
from waiting import NsClock

MAX_AGE_S = 5.0
QUEUE = 4
SESSION = "a" * 32
DELAYS = st.sampled_from([0.0, 0.1, 1.0, 3.0, 6.0])
UNDER_WAY = st.one_of(st.none(), DELAYS)  # None: it waits at the learner
VERBS = {
    TeleopEvent.PAUSE_AFAR: Verb.PAUSE,
    TeleopEvent.RESUME_AFAR: Verb.RESUME,
    TeleopEvent.SUCCESS: Verb.SUCCESS,
    TeleopEvent.FAILURE: Verb.FAILURE,
}


class CommandMachine(RuleBasedStateMachine):
    """Time passes for both machines alike, on clocks of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.learner_clock, self.actor_clock = NsClock(50_000.0), NsClock(30.0)
        self.true_s = 0.0
        self.actor = CommandedActor(LearnerClock(self.actor_clock))
        self.commands: dict[str, Command] = {}
        self.asked_s: dict[str, float] = {}  # true time, by request id
        self.arrived_s: dict[str, float] = {}
        self.done: set[str] = set()
        self.episodes = 0
        self.note_what_the_loop_does()
        self.start_learner()

    def note_what_the_loop_does(self) -> None:
        self.taken: list[ActorOrder] = []
        self.refused: set[str] = set()
        desk = self.actor.desk
        take, settle = desk.take, desk.settle

        def noted_take() -> list[ActorOrder]:
            orders = take()
            self.taken += orders
            return orders

        def noted_settle(order: ActorOrder, outcome: Outcome, reason: str) -> None:
            if outcome is not Outcome.DONE:
                self.refused.add(order.request_id)
            settle(order, outcome, reason)

        desk.take, desk.settle = noted_take, noted_settle  # type: ignore[method-assign]

    def start_learner(self) -> None:
        service = ServiceSettings(command_max_age_s=MAX_AGE_S, command_queue=QUEUE)
        self.book = CommandBook(service, None, self.learner_clock)
        self.known: set[str] = set()
        self.connect()

    def connect(self) -> None:
        self.actor.desk.connected()
        self.mailbox, self.reader = self.book.open("bench", SESSION)
        self.report(0.0, 0.0)  # an actor reports before it watches

    # People.

    @rule(verb=st.sampled_from(sorted(VERBS.values())), named=st.booleans(), under_way_s=UNDER_WAY)
    def press(self, verb: Verb, named: bool, under_way_s: float | None) -> None:
        request_id = f"{len(self.commands):032x}"
        episode = self.actor.desk.board.state.episode if named and verb.judges else None
        self.commands[request_id] = Command(verb, request_id, "bench", episode)
        self.ask_and_deliver(request_id, under_way_s)

    @precondition(lambda self: self.commands)
    @rule(data=st.data(), under_way_s=UNDER_WAY)
    def press_again(self, data: st.DataObject, under_way_s: float | None) -> None:
        self.ask_and_deliver(data.draw(st.sampled_from(sorted(self.commands))), under_way_s)

    def ask_and_deliver(self, request_id: str, under_way_s: float | None) -> None:
        self.ask(request_id)
        if under_way_s is not None:
            self.deliver(under_way_s)
            self.tick()

    def ask(self, request_id: str) -> None:
        if request_id not in self.known:
            self.asked_s[request_id] = self.true_s
            self.known.add(request_id)
        self.book.ask(self.commands[request_id])

    # The network.

    @rule(under_way_s=DELAYS)
    def deliver(self, under_way_s: float) -> None:
        order = self.sent()
        if order is not None:
            self.time_passes(under_way_s)
            self.arrived_s.setdefault(order.request_id, self.true_s - self.asked_s[order.request_id])
            self.actor.desk.receive(order)

    def sent(self) -> ActorOrder | None:
        """What the learner sends next."""
        ticket = self.mailbox.take(self.reader, 0.0)
        if ticket is None:
            return None
        return ActorOrder(ticket.command.verb, ticket.command.request_id, ticket.command.episode, ticket.expires_ns)

    @rule(there_s=DELAYS, back_s=DELAYS)
    def report(self, there_s: float, back_s: float) -> None:
        asked_ns, answers = self.actor_clock(), self.actor.desk.answers()
        self.time_passes(there_s)
        learner_ns = self.learner_clock()
        for order, answer in answers:
            self.book.answered("bench", SESSION, order.request_id, answer)
        self.time_passes(back_s)
        self.actor.desk.clock.heard(learner_ns, asked_ns)
        self.actor.desk.delivered(len(answers))

    @rule(trouble=st.sampled_from(["break", "loss", "restart", "moved back", "moved on"]))
    def trouble(self, trouble: str) -> None:
        if trouble == "loss":
            self.sent()
        self.mailbox.close(self.reader)
        if trouble in ("break", "loss"):
            self.connect()
            return
        self.learner_clock.pass_s({"restart": 0.0, "moved back": -1000.0, "moved on": 9000.0}[trouble])
        self.start_learner()

    @rule(seconds=DELAYS)
    def time_passes(self, seconds: float) -> None:
        self.true_s += seconds
        self.learner_clock.pass_s(seconds)
        self.actor_clock.pass_s(seconds)

    # The control loop.

    @rule()
    def tick(self) -> None:
        running = self.actor.desk.board.state.running
        self.taken.clear()
        self.actor.pressed.clear()
        if running is None:
            self.actor.wait()
        else:
            self.actor.tick()
        heeded = [order for order in self.taken if order.request_id not in self.refused]
        # Whether a pause has ended is seen after the press: pressed again in the same tick, it has not.
        pressed = [order for order in self.taken if order in heeded or order.verb is Verb.RESUME]
        assert [VERBS[event] for event in self.actor.pressed] == [order.verb for order in pressed]
        for order in heeded:
            self.check(order, running)

    def check(self, order: ActorOrder, running: int | None) -> None:
        assert order.request_id not in self.done, "done twice"
        self.done.add(order.request_id)
        age_s = self.true_s - self.asked_s[order.request_id]
        if order.verb is Verb.PAUSE:  # as good as done when it arrives
            age_s = self.arrived_s[order.request_id]
        assert age_s <= MAX_AGE_S + 1e-6, "done late"  # sums of tenths are not exact
        if order.verb.judges:
            assert running is not None
            assert order.episode in (None, running), "done in another episode"

    @rule()
    def next_episode(self) -> None:
        if self.actor.desk.board.state.running is not None:
            self.actor.end(self.episodes - 1)
            self.tick()
        self.actor.episode(self.episodes)
        self.episodes += 1

    @invariant()
    def nothing_waits_beyond_its_bounds(self) -> None:
        assert len(self.mailbox._waiting) <= QUEUE
        assert len(self.actor.desk._waiting) <= MOST_WAITING


CommandMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestCommandMachine = CommandMachine.TestCase
