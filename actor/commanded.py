"""The operator of whom people elsewhere press the keys, too: commands become the same events as presses, at a tick."""

from __future__ import annotations

from actor.command_desk import BY, CommandDesk
from policy.commands import ActorOrder, Outcome, Verb
from teleop.events import EventLatch, TeleopEvent
from teleop.takeover import VERDICTS, Decision, Operator, OperatorView, Verdict

_EVENTS = {
    Verb.PAUSE: TeleopEvent.PAUSE_AFAR,
    Verb.RESUME: TeleopEvent.RESUME_AFAR,
    Verb.SUCCESS: TeleopEvent.SUCCESS,
    Verb.FAILURE: TeleopEvent.FAILURE,
    Verb.RERECORD: TeleopEvent.RERECORD,
}


class CommandedOperator:
    """An `Operator` like the one that it is made of, who heeds that latch.

    A command is pressed right before the operator looks at what was pressed, and whether it was heeded is seen right
    after: no other episode can begin in between.
    """

    def __init__(self, operator: Operator, latch: EventLatch, desk: CommandDesk) -> None:
        self._operator, self._latch, self._desk = operator, latch, desk
        self._judged = False  # this episode, from elsewhere

    @property
    def paused(self) -> bool:
        """As the operator says."""
        return self._operator.paused

    def begin_episode(self, *, demonstrating: bool) -> None:
        """As the operator does."""
        self._judged = False
        self._operator.begin_episode(demonstrating=demonstrating)

    def awaits(self, view: OperatorView, /, *, demonstrating: bool) -> str:
        """As the operator says, who may be told to go on."""
        paused, heeded = self.paused, self._press()
        wish = self._operator.awaits(view, demonstrating=demonstrating)
        for order in heeded:
            self._answer(order, None, was_paused=paused)
        self._desk.board.waited(paused=self.paused)
        return wish

    def poll(self, view: OperatorView) -> Decision:
        """As the operator decides, with the keys that were pressed elsewhere."""
        paused, heeded = self.paused, self._press()
        self._desk.board.ticked(paused=paused)
        decision = self._operator.poll(view)
        for order in heeded:
            self._answer(order, decision.verdict, was_paused=paused)
        return decision

    def _press(self) -> list[ActorOrder]:
        """Press what was told, except what means another episode."""
        heeded: list[ActorOrder] = []
        for order in self._desk.take():
            refused = self._why_not(order) if order.verb.judges else ""
            if refused:
                self._desk.settle(order, Outcome.REFUSED, refused)
                continue
            self._judged |= order.verb.judges
            self._latch.press(_EVENTS[order.verb], BY)
            heeded.append(order)
        return heeded

    def _why_not(self, order: ActorOrder) -> str:
        """Why an episode is not to be judged; empty when it is."""
        running = self._desk.board.state.running
        if running is None:
            return "no episode runs" if order.episode is None else f"episode {order.episode} is over, and none runs"
        if order.episode not in (None, running):
            return f"it means episode {order.episode}, but {running} runs"
        return f"episode {running} was judged already" if self._judged else ""

    def _answer(self, order: ActorOrder, verdict: Verdict | None, *, was_paused: bool) -> None:
        """Say what became of what was pressed."""
        if order.verb is Verb.RESUME:
            self._answer_resume(order, was_paused=was_paused)
        elif order.verb.judges:
            state, meant = self._desk.board.state, VERDICTS[_EVENTS[order.verb]]
            if verdict is meant:
                reason = f"episode {state.running} ends with step {state.steps}"
                self._desk.settle(order, Outcome.DONE, reason)
            else:
                said = "nothing" if verdict is None else verdict.value
                self._desk.settle(order, Outcome.REFUSED, f"the operator at the arm said {said} in the same moment")

    def _answer_resume(self, order: ActorOrder, *, was_paused: bool) -> None:
        if self.paused:
            why = "the pause was pressed at the arm, or again in the same moment; `pause` pressed there ends it"
            self._desk.settle(order, Outcome.REFUSED, why)
        else:
            self._desk.settle(order, Outcome.DONE, "the arm goes on" if was_paused else "there was no pause")
