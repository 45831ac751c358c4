"""Replay: what was experienced as encoded, memory-mapped arrays, drawn as n-step transitions.

One slot per observation: an episode of n steps fills n + 1, the final observation explicitly. The next observation is a
reference (`next`), -1 until it is there: the last step of an open or broken episode is not drawn. Nothing is ever
overwritten: the files grow by doubling, so demos need no pinning, and a slot's number is for ever. Replay is only a
cache of the experience store, rebuilt from it when it is missing or when its key differs.

One thread owns it; the tensors of a batch are reused by the next `sample`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from learner.columns import MappedColumns, ReplayError, RowList, row_bytes
from learner.disk import room_needed
from policy.experience import Source, StepId

FORMAT_VERSION = 1
_META = "replay.json"
_TO_DEMO = (Source.DEMO, Source.HUMAN)
_TO_ONLINE = (Source.POLICY, Source.HUMAN)


@dataclass(frozen=True, slots=True)
class ReplayLayout:
    """Shapes of what is stored: maps (cameras, views, channels, h, w), and the lengths of the vectors."""

    maps: tuple[int, int, int, int, int]
    proprioception: int
    action: int


@dataclass(frozen=True, slots=True)
class EncodedObservation:
    """maps: float16 (cameras, views, channels, h, w); proprioception: float32 (P,), normalised."""

    maps: NDArray[np.float16]
    proprioception: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EncodedStep:
    """A `policy.experience.Step` whose frames are encoded. cursor: its place in the store's order of arrival."""

    cursor: int
    id: StepId
    observation: EncodedObservation
    action: NDArray[np.float32]
    source: Source
    reward: float
    terminated: bool
    final: EncodedObservation | None


@dataclass(frozen=True, slots=True)
class Batch:
    """n-step transitions, demo part first.

    maps, next_maps: float16 (cameras, B, channels, h, w), one view drawn for each
    proprioception, next_proprioception: float32 (B, P), normalised
    action: float32 (B, A), as executed
    reward: float32 (B,), sum over k < m of discount^k r_k, where m <= n steps of the episode were left
    discount: float32 (B,), discount^m where the value of the next observation counts, 0 after `terminated`
    gripper_changes: float32 (B,), discounted number of gripper changes in the same m steps
    demo: how many of the first rows are demonstrations or interventions
    """

    maps: Tensor
    next_maps: Tensor
    proprioception: Tensor
    next_proprioception: Tensor
    action: Tensor
    reward: Tensor
    discount: Tensor
    gripper_changes: Tensor
    demo: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; itself when it is there already."""
        if self.maps.device == device:
            return self
        return Batch(
            maps=self.maps.to(device),
            next_maps=self.next_maps.to(device),
            proprioception=self.proprioception.to(device),
            next_proprioception=self.next_proprioception.to(device),
            action=self.action.to(device),
            reward=self.reward.to(device),
            discount=self.discount.to(device),
            gripper_changes=self.gripper_changes.to(device),
            demo=self.demo,
        )


class Replay:
    """See the module.

    key: all that shapes the features; files made under another key are deleted and made again
    cursor: the last step of the store that is in; steps: how many are
    """

    def __init__(self, folder: Path, layout: ReplayLayout, key: Mapping[str, str], initial_slots: int = 4096) -> None:
        self.folder = folder
        self.layout = layout
        self.key = dict(key)
        self.cursor = 0
        self.steps = 0
        self._used = 0
        self._sessions: dict[str, int] = {}
        self._open: dict[tuple[int, int], int] = {}  # (session, episode) -> slot of the newest step
        self._demo, self._online = RowList(), RowList()
        self._buffers: dict[int, dict[str, Tensor]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        meta = self._read_meta()
        capacity = max(initial_slots, 2) if meta is None else int(meta["capacity"])
        self._columns = MappedColumns(folder, _columns(layout), capacity)
        if meta is not None:
            self._restore(meta)

    def __len__(self) -> int:
        """Transitions that can be drawn."""
        return int((self._columns.arrays["next"][: self._used] >= 0).sum())

    @property
    def demo_transitions(self) -> int:
        """Transitions of demonstrations and interventions."""
        return len(self._demo)

    @property
    def online_transitions(self) -> int:
        """Transitions of the policy and interventions."""
        return len(self._online)

    def holds_exactly(self, sessions: Sequence[str], ids: NDArray[np.int64]) -> bool:
        """True when these are the steps that are in, in this order.

        sessions, ids: what the store has up to `cursor`, as `ids_up_to` tells it
        """
        arrays = self._columns.arrays
        slots = np.flatnonzero(arrays["step"][: self._used] >= 0)  # without the final observations
        ours = np.stack([arrays[name][slots] for name in ("session", "episode", "step")], axis=1)  # (steps, 3)
        return list(self._sessions) == list(sessions) and np.array_equal(ours, ids)

    def add(self, step: EncodedStep) -> None:
        """Insert the next step of the store. Steps of several episodes may interleave.

        Raise `DiskFull` when replay must grow and there is no room; the step may be added again.
        """
        if step.cursor <= self.cursor:
            raise ReplayError(
                f"{step.id}: got cursor {step.cursor} after {self.cursor}; add steps in the store's order"
            )
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
        self.cursor = step.cursor
        self.steps += 1

    def sample(
        self, batch_size: int, demo_fraction: float, n_step: int, discount: float, rng: np.random.Generator
    ) -> Batch:
        """Draw transitions with replacement; all from demos while there is nothing else, and the other way round."""
        demo = self._demo_rows(batch_size, demo_fraction)
        slots = np.concatenate([self._demo.draw(demo, rng), self._online.draw(batch_size - demo, rng)])  # (B,)
        last, reward, bootstrap, changes = self._n_step(slots, n_step, discount)
        arrays, buffer = self._columns.arrays, self._buffer(batch_size)
        self._gather_maps(slots, rng, buffer["maps"])
        self._gather_maps(last, rng, buffer["next_maps"])
        np.take(arrays["proprioception"], slots, axis=0, out=buffer["proprioception"].numpy(), mode="clip")
        np.take(arrays["proprioception"], last, axis=0, out=buffer["next_proprioception"].numpy(), mode="clip")
        np.take(arrays["action"], slots, axis=0, out=buffer["action"].numpy(), mode="clip")
        for name, values in (("reward", reward), ("discount", bootstrap), ("gripper_changes", changes)):
            buffer[name].numpy()[:] = values
        return Batch(
            maps=buffer["maps"],
            next_maps=buffer["next_maps"],
            proprioception=buffer["proprioception"],
            next_proprioception=buffer["next_proprioception"],
            action=buffer["action"],
            reward=buffer["reward"],
            discount=buffer["discount"],
            gripper_changes=buffer["gripper_changes"],
            demo=demo,
        )

    def save(self) -> None:
        """Make all that is in durable, so that the next start goes on from here."""
        self._columns.flush()
        meta = {
            **self._identity(),
            "capacity": self._columns.capacity,
            "used": self._used,
            "steps": self.steps,
            "cursor": self.cursor,
            "sessions": list(self._sessions),
        }
        temporary = self.folder / f"{_META}.tmp"
        with room_needed(temporary, "the state of replay"):
            try:
                with temporary.open("w") as file:
                    json.dump(meta, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(self.folder / _META)
            finally:
                temporary.unlink(missing_ok=True)

    def _demo_rows(self, batch_size: int, demo_fraction: float) -> int:
        if len(self._demo) + len(self._online) == 0:
            raise ReplayError("replay: nothing to draw from yet; wait for the first complete transition")
        if len(self._online) == 0:
            return batch_size
        return 0 if len(self._demo) == 0 else round(batch_size * demo_fraction)

    def _n_step(
        self, slots: NDArray[np.int64], n_step: int, discount: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Follow each chain up to n steps: (slot to bootstrap from, return, discount^m or 0, gripper changes)."""
        arrays = self._columns.arrays
        following = arrays["next"]
        at, last = slots, following[slots].astype(np.int64)
        factor: NDArray[np.float32] = np.ones(len(slots), np.float32)
        reward: NDArray[np.float32] = arrays["reward"][at]
        changes: NDArray[np.float32] = arrays["gripper_change"][at].astype(np.float32)
        for _ in range(n_step - 1):
            goes_on = following[last] >= 0  # neither the final observation nor the newest step of an open episode
            if not goes_on.any():
                break
            at = np.where(goes_on, last, at)
            last = np.where(goes_on, following[at], last)
            factor = np.where(goes_on, factor * np.float32(discount), factor)
            gain = np.where(goes_on, factor, np.float32(0))
            reward = reward + gain * arrays["reward"][at]
            changes = changes + gain * arrays["gripper_change"][at]
        bootstrap = np.where(arrays["terminated"][at], np.float32(0), factor * np.float32(discount))
        return last, reward, bootstrap, changes

    def _gather_maps(self, slots: NDArray[np.int64], rng: np.random.Generator, out: Tensor) -> None:
        cameras, views, *_ = self.layout.maps
        view = rng.integers(views, size=(cameras, len(slots)))
        rows = (slots * cameras + np.arange(cameras)[:, None]) * views + view  # (cameras, B)
        stored = self._columns.arrays["maps"]
        flat = stored.reshape(stored.shape[0] * cameras * views, -1)  # a view: one row per slot, camera and view
        np.take(flat, rows.ravel(), axis=0, out=out.numpy().reshape(rows.size, -1), mode="clip")

    def _buffer(self, batch_size: int) -> dict[str, Tensor]:
        if batch_size not in self._buffers:
            cameras, _, channels, height, width = self.layout.maps
            halves = dict.fromkeys(("maps", "next_maps"), (cameras, batch_size, channels, height, width))
            body = (batch_size, self.layout.proprioception)
            singles: dict[str, tuple[int, ...]] = {"proprioception": body, "next_proprioception": body}
            singles |= {"action": (batch_size, self.layout.action)}
            singles |= dict.fromkeys(("reward", "discount", "gripper_changes"), (batch_size,))
            buffer = {name: torch.empty(shape, dtype=torch.float16) for name, shape in halves.items()}
            self._buffers[batch_size] = buffer | {name: torch.empty(shape) for name, shape in singles.items()}
        return self._buffers[batch_size]

    def _write(self, step: EncodedStep, session: int, previous: int | None) -> int:
        slot = self._write_observation(step.observation, session, step.id.episode, step.id.step)
        arrays = self._columns.arrays
        arrays["action"][slot] = step.action
        arrays["reward"][slot] = step.reward
        arrays["source"][slot] = step.source
        arrays["terminated"][slot] = step.terminated
        # A gripper change is a command to the other side than the last one commanded in this episode.
        side, before = int(np.rint(step.action[-1])), 0 if previous is None else int(arrays["gripper_side"][previous])
        arrays["gripper_change"][slot] = side not in (0, before)
        arrays["gripper_side"][slot] = side or before
        return slot

    def _write_observation(self, observation: EncodedObservation, session: int, episode: int, step: int) -> int:
        if observation.maps.shape != self.layout.maps:
            raise ReplayError(f"maps: got {observation.maps.shape}, this replay holds {self.layout.maps}")
        slot, arrays = self._used, self._columns.arrays
        arrays["maps"][slot] = observation.maps
        arrays["proprioception"][slot] = observation.proprioception
        arrays["next"][slot] = -1
        arrays["session"][slot], arrays["episode"][slot], arrays["step"][slot] = session, episode, step
        self._used += 1
        return slot

    def _link(self, slot: int, successor: int) -> None:
        """From now on the transition slot -> successor can be drawn."""
        self._columns.arrays["next"][slot] = successor
        self._register(slot)

    def _register(self, slot: int) -> None:
        source = Source(int(self._columns.arrays["source"][slot]))
        if source in _TO_DEMO:
            self._demo.append(slot)
        if source in _TO_ONLINE:
            self._online.append(slot)

    def _identity(self) -> dict[str, Any]:
        layout = [list(self.layout.maps), self.layout.proprioception, self.layout.action]
        return {"format_version": FORMAT_VERSION, "key": self.key, "layout": layout}

    def _read_meta(self) -> dict[str, Any] | None:
        path = self.folder / _META
        if path.is_file():
            meta: dict[str, Any] = json.loads(path.read_text())
            if all(meta.get(name) == value for name, value in self._identity().items()) and self._is_whole(meta):
                return meta
        delete_replay(self.folder)  # another encoder, reduction or contract: encode afresh
        return None

    def _is_whole(self, meta: Mapping[str, Any]) -> bool:
        """False when a file is missing or short: what is not there would be read as zeros."""
        sizes = {self.folder / f"{name}.bin": row_bytes(*column) for name, column in _columns(self.layout).items()}
        return all(path.is_file() and path.stat().st_size >= size * meta["capacity"] for path, size in sizes.items())

    def _restore(self, meta: Mapping[str, Any]) -> None:
        self._used, self.steps, self.cursor = meta["used"], meta["steps"], meta["cursor"]
        self._sessions = {name: index for index, name in enumerate(meta["sessions"])}
        arrays = self._columns.arrays
        following = arrays["next"][: self._used]
        following[following >= self._used] = -1  # linked after the last save: the successor comes again
        linked = np.flatnonzero(following >= 0)
        for slot in linked[np.argsort(following[linked])]:  # in the order of linking, so that draws repeat
            self._register(int(slot))
        for slot in np.flatnonzero((following < 0) & (arrays["step"][: self._used] >= 0)):
            self._open[int(arrays["session"][slot]), int(arrays["episode"][slot])] = int(slot)


def delete_replay(folder: Path) -> None:
    """Remove the files of a replay that is not wanted: it is only a cache, and is made again."""
    for file in (
        folder / _META,
        *folder.glob("*.bin"),
    ):  # the meta data first: without them the rest counts for nothing
        file.unlink(missing_ok=True)


def _columns(layout: ReplayLayout) -> dict[str, tuple[type[np.generic], tuple[int, ...]]]:
    return {
        "maps": (np.float16, layout.maps),
        "proprioception": (np.float32, (layout.proprioception,)),
        "action": (np.float32, (layout.action,)),
        "reward": (np.float32, ()),
        "next": (np.int32, ()),
        "session": (np.int32, ()),
        "episode": (np.int32, ()),
        "step": (np.int32, ()),  # -1: a final observation
        "source": (np.int8, ()),
        "terminated": (np.bool_, ()),
        "gripper_change": (np.bool_, ()),
        "gripper_side": (np.int8, ()),
    }
