"""What people tell the actor from elsewhere: from the link's threads to the control loop, and what became of it back.

Neither waits for the other. What must not wait is done at once: the emergency stop, and a stop in order. The rest waits
for a tick, and is dropped if it has grown too old by then.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from actor.learner_clock import LearnerClock
from actor.state_board import StateBoard
from policy.commands import ActorOrder, Answer, Outcome, Verb
from robot.safety.emergency import EmergencyStop

MOST_WAITING = 16
REMEMBERED = 256  # commands that are known again
BY = "a command from elsewhere"  # who pressed, for people


@dataclass(eq=False, slots=True)
class _Heard:
    """A command that waits for a tick. Whoever claims it first settles it: the loop, or the link once it is too old.

    accepted: it is answered already, and grows too old no more
    """

    order: ActorOrder
    accepted: bool = False
    _once: threading.Lock = field(default_factory=threading.Lock)

    def claim(self) -> bool:
        """Whether it is the caller's. Nobody waits for the lock, which is never given back."""
        return self._once.acquire(blocking=False)


class CommandDesk:
    """Stands between a link and a control loop.

    stop: what ends the loop in order
    tell: gets a line for the person at the arm about each command that came, in a thread of the link
    """

    def __init__(
        self,
        stop: threading.Event,
        emergency: EmergencyStop,
        tell: Callable[[str], None],
        clock: LearnerClock | None = None,
    ) -> None:
        self.board, self.clock, self.emergency = StateBoard(), clock or LearnerClock(), emergency
        self.tell = tell
        self._stop = stop
        self._lock = threading.Lock()  # of the link's threads; the loop never takes it
        self._seen: OrderedDict[str, Answer | None] = OrderedDict()  # by request id, and what became of it
        self._unsettled: list[_Heard] = []
        self._undelivered: list[tuple[ActorOrder, Answer]] = []
        # Appending and popping are atomic: the loop needs no lock.
        self._waiting: deque[_Heard] = deque()
        self._settled: deque[tuple[ActorOrder, Answer]] = deque()

    # What the link's threads do.

    def connected(self) -> None:
        """Another connection, perhaps to a learner with another clock: what came over the last one counts no more."""
        with self._lock:
            self._drop(self._unsettled, "the link broke before a tick; nothing was done: send it again")
            self.clock.forget()

    def receive(self, order: ActorOrder) -> None:
        """A command has come: do it, or let it wait for a tick. One that came before is not done again."""
        with self._lock:
            if order.request_id in self._seen:
                self._answer_again(order)
                return
            self._seen[order.request_id] = None
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            if self.clock.is_past(order.expires_ns):
                why = "it was too long under way; nothing was done: send it again"
                self.settle(order, Outcome.TOO_LATE, why)
            elif order.verb is Verb.EMERGENCY_STOP:
                self.emergency.press(BY)
                self.settle(order, Outcome.DONE, "pressed; only a person at the arm lets it move again")
            elif order.verb is Verb.STOP:
                self._stop.set()
                self.settle(order, Outcome.DONE, "the episode ends in order, the arm parks, and the actor leaves")
            elif order.verb is Verb.RESUME and self.emergency.is_pressed:
                why = f"the emergency stop is pressed, by {self.emergency.pressed_by}; a person at the arm ends it"
                self.settle(order, Outcome.REFUSED, why)
            else:
                self._let_wait(order)

    def answers(self) -> list[tuple[ActorOrder, Answer]]:
        """What became of commands, as far as the learner does not know it; oldest first. Drops what is too old."""
        with self._lock:
            self._drop([heard for heard in self._unsettled if self._is_late(heard)], self._why_late())
            new = [self._settled.popleft() for _ in range(len(self._settled))]
            for order, answer in new:
                if order.request_id in self._seen:
                    self._seen[order.request_id] = answer
            self._undelivered += new
            undelivered = list(self._undelivered)
        for order, answer in new:  # without the lock: an emergency stop does not wait for a terminal
            self.tell(f"{order.verb.words}, told from elsewhere: {answer.outcome.words}; {answer.reason}")
        return undelivered

    def delivered(self, count: int) -> None:
        """The learner knows the first ones of `answers`."""
        with self._lock:
            del self._undelivered[:count]

    def wait_delivered(self, timeout_s: float) -> bool:
        """Before the link is closed: wait until the learner knows all that was settled; False after `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while self._has_undelivered():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.02)
        return True

    # What the loop's thread does.

    def take(self) -> list[ActorOrder]:
        """Commands to heed at this tick, oldest first; the caller settles each that is not accepted."""
        taken: list[ActorOrder] = []
        for _ in range(len(self._waiting)):
            heard = self._waiting.popleft()
            if not self._is_late(heard) and heard.claim():
                taken.append(heard.order)
        return taken

    # In any thread.

    def settle(self, order: ActorOrder, outcome: Outcome, reason: str) -> None:
        """Say what became of a command."""
        self._settled.append((order, Answer(outcome, reason)))

    def _has_undelivered(self) -> bool:
        with self._lock:
            return bool(self._settled or self._undelivered)

    def _is_late(self, heard: _Heard) -> bool:
        return not heard.accepted and self.clock.is_past(heard.order.expires_ns)

    # With the lock held.

    def _answer_again(self, order: ActorOrder) -> None:
        """A learner that was started anew does not know what the one before was told."""
        answer = self._seen[order.request_id]
        if answer is not None:
            self._undelivered.append((order, answer))

    def _let_wait(self, order: ActorOrder) -> None:
        if len(self._waiting) >= MOST_WAITING:
            why = f"{len(self._waiting)} commands wait for the control loop, the most there may be"
            self.settle(order, Outcome.REFUSED, why)
            return
        # A pause is as good as done: the loop may still be on a motion that it finishes first, and then it holds still.
        heard = _Heard(order, accepted=order.verb is Verb.PAUSE)
        if heard.accepted:
            self.settle(order, Outcome.DONE, "the episode ends in order, and the arm holds still")
        else:
            self._unsettled.append(heard)
        self._waiting.append(heard)

    def _drop(self, dropped: list[_Heard], why: str) -> None:
        for heard in dropped:
            if heard.claim():
                self.settle(heard.order, Outcome.TOO_LATE, why)
        gone = set(map(id, dropped))
        self._unsettled = [heard for heard in self._unsettled if id(heard) not in gone]

    def _why_late(self) -> str:
        state = self.board.state
        if state.fault:
            return f"the arm has a fault, and heeds nothing until it is sound: {state.fault}"
        if state.running is None:
            return "the actor was on its way between two episodes; nothing was done: send it again"
        return "the control loop did not come to it in time; nothing was done: send it again"
