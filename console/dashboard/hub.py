"""One look for all: the run is read once for however many pages are open, and not at all while none is."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from console.dashboard.parts import Parts
from console.dashboard.run_state import RunState, RunWatch

BEAT_S = 2.0  # a page hears something at least so often, and knows that the dashboard lives


@dataclass(frozen=True, slots=True)
class Shown:
    """What pages show. number: grows with every change; since: number at which each part changed last"""

    number: int
    state: RunState
    parts: dict[str, Markup]
    since: dict[str, int]

    @property
    def cursor(self) -> int:
        """Of the newest step; 0 before the first."""
        return 0 if self.state.newest is None else self.state.newest.cursor

    def after(self, number: int) -> dict[str, str]:
        """The parts that changed after that."""
        return {name: html for name, html in self.parts.items() if self.since[name] > number}


class Hub:
    """Looks while somebody follows. For one event loop; what takes time runs in a thread beside it.

    boot: tells the changes of this process from those of one before; ending: set it, and nobody follows any longer
    """

    def __init__(self, watch: RunWatch, parts: Parts, refresh_s: float) -> None:
        self.boot = secrets.token_hex(4)
        self._watch, self._parts, self._refresh_s = watch, parts, refresh_s
        self._shown: Shown | None = None
        self._looked_s = float("-inf")
        self._looking = asyncio.Lock()
        self.ending = False

    async def look(self) -> Shown:
        """What is to be shown now; read anew unless somebody has just done so."""
        async with self._looking:
            if self._shown is None or time.monotonic() - self._looked_s >= 0.9 * self._refresh_s:
                self._shown = await asyncio.to_thread(self._read, self._shown)
                self._looked_s = time.monotonic()
            return self._shown

    async def changes(self, mark: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """What a page has to change, as (mark, told), from the mark on at which it was made."""
        boot, _, number = mark.partition(":")
        seen = int(number) if boot == self.boot and number.isdecimal() else 0
        cursor, told_s = 0, 0.0
        while not self.ending:
            shown = await self.look()
            told: dict[str, Any] = {}
            if parts := shown.after(seen):
                told["parts"] = parts
            if shown.cursor != cursor:
                told["cursor"] = cursor = shown.cursor
            seen = shown.number
            if told or time.monotonic() - told_s >= BEAT_S:
                told_s = time.monotonic()
                yield self.mark(shown), told
            await asyncio.sleep(self._refresh_s)

    def mark(self, shown: Shown) -> str:
        """Where a page is that shows this."""
        return f"{self.boot}:{shown.number}"

    def _read(self, before: Shown | None) -> Shown:
        state = self._watch.look()
        parts = self._parts.render(state)
        number = 1 if before is None else before.number + 1
        since = {
            name: number if before is None or before.parts[name] != html else before.since[name]
            for name, html in parts.items()
        }
        changed = before is None or number in since.values()
        return Shown(number if changed else number - 1, state, parts, since)
