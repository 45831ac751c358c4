"""One step of an episode in numbers, as HTML."""

from __future__ import annotations

from console.replay.figure import COLOURS, DONE, PROPOSED
from console.replay.reel import WHO, Replayed
from console.web.templates import page_template
from policy.contract import ActionDimension


def numbers(replayed: Replayed, place: int, policy_name: str) -> str:
    """HTML: who was in control, reward and end, and each axis in the policy's numbers and in its unit."""
    steps, rows = replayed.steps, [replayed.actions, *([] if replayed.proposed is None else [replayed.proposed])]
    here = steps[place] if place < len(steps) else None
    return page_template("replay.html.j2").render(
        who="" if here is None else WHO[here.source],
        colour="" if here is None else COLOURS[here.source],
        place=place,
        steps=len(steps),
        seconds=place / replayed.contract.control_hz,
        reward=0.0 if here is None else here.reward,
        ending=_ending(replayed) if here is None or here.last else "",
        axes=[]
        if here is None
        else [
            {
                "name": axis.name,
                "values": [(values[place, index], _amount(values[place, index], axis)) for values in rows],
            }
            for index, axis in enumerate(replayed.contract.action)
        ],
        policy="" if replayed.proposed is None else policy_name,
        done_colour=DONE,
        proposed_colour=PROPOSED,
    )


def _amount(value: float, axis: ActionDimension) -> str:
    return f"{1000 * value * axis.scale:+.1f} mm" if axis.unit == "m" else f"{value * axis.scale:+.3f} {axis.unit}"


def _ending(replayed: Replayed) -> str:
    last = replayed.steps[-1]
    how = "terminated" if last.terminated else "truncated"
    rejected = ", rejected: nothing is learned from it" if last.rejected else ""
    return f"{how}, {'success' if replayed.outcome.success else 'no success'}{rejected}"
