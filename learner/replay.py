"""Replay: what was experienced in memory-mapped arrays, drawn as n-step transitions.

One slot per observation: an episode of n steps fills n + 1, the final observation explicitly. The next observation is a
reference (`next`), -1 until it is there: the last step of an open or broken episode is not drawn. Nothing is ever
overwritten: the files only grow, so demos need no pinning, and a slot's number is for ever. An episode that is
rejected at its end is drawn no more. Replay is only a cache of the experience store, rebuilt from it when it is missing
or when its key differs.

A step can be drawn once the first view of its frames is in. The other views come later, in the order of the steps: how
far they have come is one number.

One thread owns it; the tensors of a batch are reused by the next `sample`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.batch import Batch, BatchBuffer
from learner.columns import MappedColumns, ReplayError, RowList
from learner.device_rows import DeviceMemory, DeviceRows
from learner.n_step import follow
from learner.replay_layout import EncodedObservation, EncodedStep, LaterViews, ReplayLayout
from learner.replay_meta import ReplayMeta, delete_replay, read_meta, write_meta
from policy.experience import Source, rests

__all__ = [
    "Batch",
    "EncodedObservation",
    "EncodedStep",
    "LaterViews",
    "Replay",
    "ReplayError",
    "ReplayLayout",
    "delete_replay",
]

_TO_DEMO = (Source.DEMO, Source.HUMAN)
_TO_ONLINE = (Source.POLICY, Source.HUMAN, Source.HOLD)
_NOBODYS = 0  # in the place of a source: no `Source` has it


class Replay:
    """See the module.

    key: all that shapes what is kept; files made under another key are deleted and made again
    memory: where maps are kept a second time for drawing; None draws from the memory map
    cursor: the last step of the store that is in; steps: how many are
    views_cursor: the last step that has all views, as have all before it
    """

    def __init__(
        self,
        folder: Path,
        layout: ReplayLayout,
        key: Mapping[str, str],
        initial_slots: int = 4096,
        memory: DeviceMemory | None = None,
    ) -> None:
        self.folder = folder
        self.layout = layout
        self.key = dict(key)
        self.cursor = 0
        self.steps = 0
        self.views_cursor = 0
        self._used = 0
        self._whole = 0  # slots, from the first on, that have all views
        self._linked = 0
        self._sessions: dict[str, int] = {}
        self._open: dict[tuple[int, int], int] = {}  # (session, episode) -> slot of the newest step
        self._demo, self._online = RowList(), RowList()
        self._buffers: dict[int, BatchBuffer] = {}
        self._copy: DeviceRows | None = None
        if memory is not None and layout.views.on_device:
            self._copy = DeviceRows(memory, layout.views.dtype, layout.views.shape)
        folder.mkdir(parents=True, exist_ok=True)
        meta = read_meta(folder, layout, self.key)
        capacity = max(initial_slots, 2) if meta is None else meta.capacity
        self._columns = MappedColumns(folder, layout.columns, capacity)
        if meta is not None:
            self._restore(meta)

    def __len__(self) -> int:
        """Transitions that can be drawn."""
        return self._linked

    @property
    def demo_transitions(self) -> int:
        """Transitions of demonstrations and interventions."""
        return len(self._demo)

    @property
    def online_transitions(self) -> int:
        """Transitions of the policy and interventions."""
        return len(self._online)

    @property
    def views_missing(self) -> int:
        """Observations of which the first view is in, and not the others."""
        return self._used - self._whole

    @property
    def views_ready(self) -> float:
        """The part of all observations that has all views; 1 while there is none."""
        return self._whole / self._used if self._used else 1.0

    def holds_exactly(self, sessions: Sequence[str], ids: NDArray[np.int64]) -> bool:
        """True when these are the steps that are in, in this order, and their episodes end where these do.

        sessions, ids: what the store has up to `cursor`, as `ids_up_to` tells it
        """
        arrays, names = self._columns.arrays, ("session", "episode", "step", "terminated")
        slots = np.flatnonzero(arrays["step"][: self._used] >= 0)  # without the final observations
        ours = np.stack([arrays[name][slots] for name in names], axis=1)  # (steps, 4)
        return list(self._sessions) == list(sessions) and np.array_equal(ours, ids)

    def add(self, step: EncodedStep) -> None:
        """Insert the next step of the store. Steps of several episodes may interleave.

        Raise `DiskFull` when replay must grow and there is no room; the step may be added again. Raise `ReplayError`
        when the device has none.
        """
        if step.cursor <= self.cursor:
            raise ReplayError(
                f"{step.id}: got cursor {step.cursor} after {self.cursor}; add steps in the store's order"
            )
        if self._copy is not None:
            self._copy.require_room(self._used + (1 if step.final is None else 2))
        if self._used + 2 > self._columns.capacity:
            self._columns.grow()
        session = self._sessions.setdefault(step.id.session, len(self._sessions))
        chain = session, step.id.episode
        previous = self._open.pop(chain, None)
        if previous is not None and self._columns.arrays["step"][previous] + 1 != step.id.step:
            previous = None  # a gap: the step before it keeps no successor, and is never drawn
        slot = self._write(step, session, previous)
        if previous is not None:
            self._link(previous, slot)
        if step.final is not None:
            self._link(slot, self._write_observation(step.final, session, step.id.episode, -1))
        else:
            self._open[chain] = slot
        if step.rejected:
            self._reject(session, step.id.episode)
        self.cursor = step.cursor
        self.steps += 1
        if self._whole == slot and step.observation.images.shape == self.layout.views.shape:
            self._whole, self.views_cursor = self._used, step.cursor

    def add_views(self, later: LaterViews) -> None:
        """Complete the next step that has its first view only."""
        slots = range(self._whole, min(self._whole + len(later.images), self._used))
        places = [(self._sessions.get(later.id.session), later.id.episode, step) for step in (later.id.step, -1)]
        if [self._place(slot) for slot in slots] != places[: len(later.images)]:
            raise ReplayError(
                f"{later.id}: got its views, expected those of the next step; add them in the store's order"
            )
        kept = self._columns.arrays[self.layout.views.name]
        for slot, images in zip(slots, later.images, strict=True):
            kept[slot][:, -images.shape[1] :] = images
            if self._copy is not None:
                self._copy.put(slot, kept[slot])
        self._whole += len(slots)
        self.views_cursor = later.cursor

    def sample(
        self, batch_size: int, demo_fraction: float, n_step: int, discount: float, rng: np.random.Generator
    ) -> Batch:
        """Draw transitions with replacement; all from demos while there is nothing else, and the other way round."""
        demo = self._demo_rows(batch_size, demo_fraction)
        slots = np.concatenate([self._demo.draw(demo, rng), self._online.draw(batch_size - demo, rng)])  # (B,)
        returns = follow(self._columns.arrays, slots, n_step, discount)
        views, buffer = self.layout.views, self._buffer(batch_size)
        bits = rng.integers(2**32, size=(2, views.shape[0], batch_size), dtype=np.uint32)
        kept = self._kept()
        views.draw(kept, slots, self._whole, bits[0], buffer.maps)
        views.draw(kept, returns.last, self._whole, bits[1], buffer.next_maps)
        self._gather("proprioception", slots, buffer.numbers["proprioception"])
        self._gather("proprioception", returns.last, buffer.numbers["next_proprioception"])
        self._gather("action", slots, buffer.numbers["action"])
        buffer.numbers["reward"][:] = returns.reward
        buffer.numbers["discount"][:] = returns.discount
        buffer.numbers["gripper_changes"][:] = returns.gripper_changes
        return buffer.batch(demo)

    def save(self) -> None:
        """Make all that is in durable, so that the next start goes on from here."""
        self._columns.flush()
        meta = ReplayMeta(
            capacity=self._columns.capacity,
            used=self._used,
            steps=self.steps,
            cursor=self.cursor,
            whole=self._whole,
            views_cursor=self.views_cursor,
            sessions=tuple(self._sessions),
        )
        write_meta(self.folder, self.layout, self.key, meta)

    def _demo_rows(self, batch_size: int, demo_fraction: float) -> int:
        if len(self._demo) + len(self._online) == 0:
            raise ReplayError("replay: nothing to draw from yet; wait for the first complete transition")
        if len(self._online) == 0:
            return batch_size
        return 0 if len(self._demo) == 0 else round(batch_size * demo_fraction)

    def _kept(self) -> Tensor:
        """What the views are drawn from: (capacity, *shape)."""
        return torch.from_numpy(self._columns.arrays[self.layout.views.name]) if self._copy is None else self._copy.rows

    def _gather(self, name: str, slots: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        np.take(self._columns.arrays[name], slots, axis=0, out=out, mode="clip")  # "clip" copies without a buffer

    def _buffer(self, batch_size: int) -> BatchBuffer:
        if batch_size not in self._buffers:
            device = torch.device("cpu") if self._copy is None else self._copy.rows.device
            shapes = self.layout.views.map_shape, self.layout.proprioception, self.layout.action
            self._buffers[batch_size] = BatchBuffer(batch_size, *shapes, device)
        return self._buffers[batch_size]

    def _write(self, step: EncodedStep, session: int, previous: int | None) -> int:
        slot = self._write_observation(step.observation, session, step.id.episode, step.id.step)
        arrays = self._columns.arrays
        arrays["action"][slot] = step.action
        arrays["reward"][slot] = step.reward
        idle = step.after_end or rests(step.source, step.action, step.reward)
        arrays["source"][slot] = _NOBODYS if idle else step.source
        arrays["terminated"][slot] = step.terminated
        # A gripper change is a command to the other side than the last one commanded in this episode.
        side, before = int(np.rint(step.action[-1])), 0 if previous is None else int(arrays["gripper_side"][previous])
        arrays["gripper_change"][slot] = side not in (0, before)
        arrays["gripper_side"][slot] = side or before
        return slot

    def _write_observation(self, observation: EncodedObservation, session: int, episode: int, step: int) -> int:
        images, views = observation.images, self.layout.views
        if images.shape not in (views.shape, views.first_shape) or images.dtype != views.dtype:
            held = f"{np.dtype(views.dtype)} {views.shape}"
            raise ReplayError(f"{views.name}: got {images.dtype} {images.shape}, this replay holds {held}")
        slot, arrays = self._used, self._columns.arrays
        kept = arrays[views.name][slot]
        kept[:, : images.shape[1]] = images
        if self._copy is not None:
            self._copy.put(slot, kept)
        arrays["proprioception"][slot] = observation.proprioception
        arrays["next"][slot] = -1
        arrays["session"][slot], arrays["episode"][slot], arrays["step"][slot] = session, episode, step
        self._used += 1
        return slot

    def _place(self, slot: int) -> tuple[int, int, int]:
        session, episode, step = (int(self._columns.arrays[name][slot]) for name in ("session", "episode", "step"))
        return session, episode, step

    def _link(self, slot: int, successor: int) -> None:
        """From now on the transition slot -> successor can be drawn."""
        self._columns.arrays["next"][slot] = successor
        self._register(np.array([slot]))

    def _register(self, slots: NDArray[np.int64]) -> None:
        """Let transitions be drawn, by where they came from, in this order."""
        sources = self._columns.arrays["source"][slots]
        self._demo.extend(slots[np.isin(sources, _TO_DEMO)])
        self._online.extend(slots[np.isin(sources, _TO_ONLINE)])
        self._linked += int(np.count_nonzero(sources != _NOBODYS))

    def _reject(self, session: int, episode: int) -> None:
        """Draw none of an episode's transitions any more."""
        arrays = self._columns.arrays
        mine = (arrays["session"][: self._used] == session) & (arrays["episode"][: self._used] == episode)
        slots = np.flatnonzero(mine)
        self._linked -= int(np.count_nonzero((arrays["next"][slots] >= 0) & (arrays["source"][slots] != _NOBODYS)))
        arrays["source"][slots] = _NOBODYS
        self._demo.drop(slots)
        self._online.drop(slots)

    def _restore(self, meta: ReplayMeta) -> None:
        self._used, self.steps, self.cursor = meta.used, meta.steps, meta.cursor
        self._whole, self.views_cursor = meta.whole, meta.views_cursor
        self._sessions = {name: index for index, name in enumerate(meta.sessions)}
        arrays = self._columns.arrays
        following = arrays["next"][: self._used]
        following[following >= self._used] = -1  # linked after the last save: the successor comes again
        linked = np.flatnonzero(following >= 0)
        self._register(linked[np.argsort(following[linked])])  # in the order of linking, so that draws repeat
        for slot in np.flatnonzero((following < 0) & (arrays["step"][: self._used] >= 0)):
            self._open[int(arrays["session"][slot]), int(arrays["episode"][slot])] = int(slot)
        if self._copy is not None:
            self._copy.fill(arrays[self.layout.views.name][: self._used])
