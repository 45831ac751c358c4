"""Ten seconds before the first episode: each axis both ways, the gripper, the takeover; checked, not believed. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from teleop.agreement import WINDOW_STEPS, MeasuredAxes, pulled
from teleop.takeover import Control

TRIED = 1.0  # action units: 2 cm of the tool, 0.4 rad of the jaw; what has been commanded at least
FOLLOWED = 0.5  # action units; and how much of it must have come

_WAYS = {
    "x": ("away from the base", "towards the base"),
    "y": ("to the left", "to the right"),
    "z": ("up", "down"),
    "gripper": ("open the gripper", "close it"),
}
_CURE = "calibrate the follower anew (`nudge calibrate`), and look whether its cables go to the right motors"


class ItemState(Enum):
    """How an item of the rehearsal stands."""

    TODO = "·"
    DONE = "✓"
    CONTRADICTS = "✗"


@dataclass(frozen=True, slots=True)
class Item:
    """What is to be tried, and what came of it."""

    name: str
    state: ItemState = ItemState.TODO
    finding: str = ""  # what contradicts, and the cure

    @property
    def line(self) -> str:
        """For the terminal."""
        return f"{self.state.value} {self.name}" + (f": {self.finding}" if self.finding else "")


class Rehearsal:
    """Told each tick what was executed and what was measured; an item is done once both agree. The last try counts."""

    def __init__(self, contract: Contract) -> None:
        self._axes = MeasuredAxes(contract)
        self._units = [(dimension.scale, dimension.unit) for dimension in contract.action]
        self._moves = {
            (index, sign): Item(way)
            for index, axis in enumerate(self._axes.names)
            for way, sign in zip(_WAYS[axis], (1, -1), strict=True)
        }
        self._takeover, self._release = Item("take over"), Item("release")
        self._window: deque[tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]]
        self._window = deque(maxlen=WINDOW_STEPS)  # what was executed, and position and lead before it: (A,) each
        self._control: Control | None = None

    @property
    def items(self) -> list[Item]:
        """All that is to be tried, in the order in which it is shown."""
        return [*self._moves.values(), self._takeover, self._release]

    @property
    def done(self) -> bool:
        """Whether nothing is left to try, and nothing contradicts."""
        return all(item.state is ItemState.DONE for item in self.items)

    def lines(self) -> list[str]:
        """The items for the terminal."""
        return [item.line for item in self.items]

    def see(
        self,
        control: Control,
        action: NDArray[np.floating],
        before: NDArray[np.floating],
        after: NDArray[np.floating],
    ) -> None:
        """One tick. action: as executed (A,); before, after: proprioception (P,)."""
        self._heed_control(control)
        if control is not Control.HUMAN:
            self._window.clear()
            return
        self._window.append((action, self._axes.position(before), self._axes.lead(before)))
        self._judge(self._axes.position(after))

    def _heed_control(self, control: Control) -> None:
        was, self._control = self._control, control
        if control is Control.HUMAN and was not in (None, Control.HUMAN):
            self._takeover = Item(self._takeover.name, ItemState.DONE)
        if was is Control.HUMAN and not control.by_hand:
            self._release = Item(self._release.name, ItemState.DONE)

    def _judge(self, position: NDArray[np.floating]) -> None:
        """Of the last second, and of each shorter time up to now: which way each axis was sent, and which it went."""
        actions, began_at, lead = (np.array(column) for column in zip(*self._window, strict=True))  # (W, A) each
        commanded = np.cumsum(actions[::-1], axis=0)[::-1]  # from each step of the window to its end
        moved = position - began_at
        against = self._axes.goes_against(commanded, lead, moved)
        for (index, sign), item in self._moves.items():
            sent = pulled(sign, commanded[:, index], lead[:, index])
            owed = np.maximum(0.0, sign * lead[:, index])  # it would come of older actions alone
            if (opposed := against[:, index] & (sent > 0)).any():
                seen = moved[int(np.argmax(opposed)), index]
                self._moves[index, sign] = self._contradicting(item, index, sign, "the other way", seen, index)
            elif ((sent >= TRIED) & (sign * moved[:, index] - owed >= FOLLOWED)).any():
                self._moves[index, sign] = Item(item.name, ItemState.DONE)
            elif (other := _moved_instead(sent, commanded, lead, moved, index)) is not None:
                window, axis = other
                way, seen = f"along {self._axes.names[axis]} instead", moved[window, axis]
                self._moves[index, sign] = self._contradicting(item, index, sign, way, seen, axis)

    def _contradicting(self, item: Item, index: int, sign: int, way: str, moved: float, axis: int) -> Item:
        scale, unit = self._units[axis]
        sent = ("+" if sign > 0 else "-") + self._axes.names[index]
        finding = f"sent along {sent}, it went {way} ({moved * scale:+.3f} {unit}); {_CURE}"
        return Item(item.name, ItemState.CONTRADICTS, finding)


def _moved_instead(
    sent: NDArray[np.floating],
    commanded: NDArray[np.floating],
    lead: NDArray[np.floating],
    moved: NDArray[np.floating],
    index: int,
) -> tuple[int, int] | None:
    """The window and the axis that went far in it, though sent nowhere and owing nothing, while the sent one stood."""
    unsent = (np.abs(commanded) < FOLLOWED) & (np.abs(lead) < FOLLOWED) & (np.abs(moved) >= TRIED)  # (W, A)
    stood = (sent >= 2 * TRIED) & (np.abs(moved[:, index]) < FOLLOWED / 2)
    found = np.argwhere(unsent & stood[:, None])
    return (int(found[0][0]), int(found[0][1])) if len(found) else None
