"""`nudge rehearse`: ten seconds in which the operator tries each axis, the gripper and the takeover; nothing is stored.

`nudge actor` does the same before the first episode of a run, where a person teaches.
"""

from __future__ import annotations

import threading

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from actor.clock import Deadlines
from actor.recovery import wait_until_sound
from console.arm import opened_arm
from console.errors import ConsoleError
from console.operator import opened_operator
from console.presets.load import load_settings
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from console.terminal.last_lines import line_ended
from policy.contract import Contract
from robot.env import ArmEnv
from robot.errors import ArmFault
from robot.safety.emergency import EmergencyStop
from teleop.rehearsal import ItemState, Rehearsal
from teleop.takeover import Control, Operator, OperatorView, Verdict

_STYLES = {ItemState.TODO: "dim", ItemState.DONE: "green", ItemState.CONTRADICTS: "bold red"}


def main(argv: list[str]) -> int:
    """Rehearse with the device of the settings; returns the exit status: 1 where something was not seen to work."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge rehearse")
    if settings.teleop.device == "scripted":
        raise ConsoleError(
            "teleop.device: got scripted, expected what you hold in your hand: --teleop.device leader, gamepad or "
            "keyboard"
        )
    console, emergency = Console(), EmergencyStop()
    stop = stop_event(on_second=lambda: emergency.press("a second Ctrl+C"))
    with (
        opened_operator(settings, settings.seed, emergency, console) as operator,
        opened_arm(settings, settings.seed, emergency) as env,
    ):
        done = rehearse(env, operator, settings.contract, console, stop)
        console.print("rehearsed" if done else "the rehearsal was not finished", highlight=False)
        return 0 if done else 1


def rehearse(env: ArmEnv, operator: Operator, contract: Contract, console: Console, stop: threading.Event) -> bool:
    """Let the operator try everything until all is done; true then, or when `success` is pressed before.

    The arm goes on a fault as in training: it reacts, and the rehearsal goes on once it is sound.
    """
    console.print(
        "rehearsal: take over, and move each axis both ways, as far as the width of the cube; then release. `success` "
        "goes on without it",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    rehearsal = Rehearsal(contract)
    with line_ended(console), Live(console=console, refresh_per_second=4) as live:
        while not stop.is_set():
            try:
                verdict = _until_done(env, operator, contract, rehearsal, live, stop)
            except ArmFault as fault:
                wait_until_sound(env, fault, lambda it: console.print(str(it), style="red", markup=False), stop)
                continue
            return rehearsal.done or verdict is Verdict.SUCCESS
    return False


def _until_done(
    env: ArmEnv, operator: Operator, contract: Contract, rehearsal: Rehearsal, live: Live, stop: threading.Event
) -> Verdict | None:
    """Drive by hand until all is done or the operator ends it; nobody drives while the hand is off."""
    seen, info = env.reset()
    operator.begin_episode(demonstrating=False)
    deadlines = Deadlines(contract.control_hz)
    deadlines.start()
    while not (rehearsal.done or stop.is_set()):
        decision = operator.poll(OperatorView(seen["proprioception"], info["sim_only"]))
        if decision.verdict is not None:
            return decision.verdict
        still = np.zeros(len(contract.action), np.float32)
        env.act(still if decision.action is None else decision.action)
        deadlines.wait()
        before = seen["proprioception"]
        seen, _, _, _, info = env.observe()
        rehearsal.see(decision.control, info["executed"], before, seen["proprioception"])
        live.update(_shown(rehearsal, decision.control, decision.lost))
    return None


def _shown(rehearsal: Rehearsal, control: Control, lost: str) -> Group:
    """The items, and who is in control."""
    lines = [Text(item.line, _STYLES[item.state]) for item in rehearsal.items]
    return Group(*lines, Text(lost or f"in control: {'you' if control is Control.HUMAN else 'nobody'}", "bold"))
