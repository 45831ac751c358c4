"""`nudge workspace`: the box of the tool that the demonstrations of a run ask for, beside the configured one.

The tool may go anywhere in the box while it explores. One that is far larger than what the task needs costs episodes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from rich.console import Console
from rich.table import Table

from console.errors import ConsoleError
from console.presets.load import load_preset, parse_options, take_preset
from console.settings import DEFAULT_PRESET, Settings
from console.store.main import LookOptions
from learner.store_reader import StoreReader
from policy.experience import Source
from robot.settings import ControllerSettings, Triple

Vector = NDArray[np.float64]
TOOL = ("tool.x", "tool.y", "tool.z")


class WorkspaceOptions(LookOptions):
    """Whose demonstrations, and how much room around them. `--preset` names the settings to compare with."""

    margin_m: float = Field(default=0.03, ge=0, description="Room around the demonstrations, on every side [m].")


@dataclass(frozen=True, slots=True)
class Box:
    """Two opposite corners in the base frame [m]."""

    low_m: Triple
    high_m: Triple

    @property
    def volume_l(self) -> float:
        """Litres."""
        return float(np.prod(np.subtract(self.high_m, self.low_m))) * 1e3


@dataclass(frozen=True, slots=True)
class Workspace:
    """What `nudge workspace` tells.

    visited: around all positions of the tool in demonstrations
    used: share of the configured box's edges along x, y and z that the demonstrations span
    """

    store: str
    demo_episodes: int
    demo_steps: int
    margin_m: float
    visited: Box
    configured: Box
    suggested: Box
    used: Triple

    def as_json(self) -> dict[str, Any]:
        """The same as a tree of plain values."""
        return asdict(self)


def main(argv: list[str]) -> int:
    """Print the box and the lines that set it."""
    preset, rest = take_preset(argv, DEFAULT_PRESET)
    options = parse_options(WorkspaceOptions, rest, "nudge workspace", flags=True)
    settings = load_preset(Settings, preset)
    with StoreReader(options.path, settings.contract) as store:
        found = read_workspace(store, settings.arm.controller, options.margin_m)
    if options.as_json:
        print(json.dumps(found.as_json()))
        return 0
    Console().print(_table(found))
    print(_advice(found))
    return 0


def read_workspace(store: StoreReader, controller: ControllerSettings, margin_m: float) -> Workspace:
    """The boxes of a store's demonstrations. Raises `ConsoleError` where it has none, or no tool positions."""
    episodes, tool_m = _demonstrated(store)
    low, high = tool_m.min(axis=0), tool_m.max(axis=0)
    floor_m = controller.box_low_m[2]  # the table: no margin leads into it
    wide_low = np.array([*(low[:2] - margin_m), max(low[2] - margin_m, floor_m)])
    edges = np.subtract(controller.box_high_m, controller.box_low_m)
    return Workspace(
        store=str(store.path),
        demo_episodes=episodes,
        demo_steps=len(tool_m),
        margin_m=margin_m,
        visited=Box(_triple(low), _triple(high)),
        configured=Box(controller.box_low_m, controller.box_high_m),
        # Whole millimetres, outwards; 1e-6 keeps what float32 added to one from costing the next.
        suggested=Box(
            _triple(np.floor(wide_low * 1e3 + 1e-3) / 1e3), _triple(np.ceil((high + margin_m) * 1e3 - 1e-3) / 1e3)
        ),
        used=_triple((high - low) / edges),
    )


def _demonstrated(store: StoreReader) -> tuple[int, Vector]:
    """How many episodes have demonstrated steps, and the tool's positions in them (N, 3) [m]."""
    names = [dimension.name for dimension in store.contract.proprioception]
    missing = [name for name in TOOL if name not in names]
    if missing:
        raise ConsoleError(
            f"{store.path}: its contract has no proprioception {', '.join(missing)}, expected the tool's position; "
            f"only an arm's demonstrations have a workspace"
        )
    with store.snapshot() as connection:
        rows = connection.execute(
            "SELECT proprioception, final_proprioception FROM steps WHERE source = ?", (int(Source.DEMO),)
        ).fetchall()
        (episodes,) = connection.execute(
            "SELECT COUNT(DISTINCT episode_id) FROM steps WHERE source = ?", (int(Source.DEMO),)
        ).fetchone()
    if not rows:
        raise ConsoleError(
            f"{store.path}: got no demonstrated step, expected at least one; record demonstrations first, or name "
            f"another run with --run or a store with --file"
        )
    values = np.frombuffer(b"".join(part for row in rows for part in row if part is not None), "<f4")
    tool_m = values.reshape(-1, len(names))[:, [names.index(name) for name in TOOL]]
    return episodes, tool_m.astype(np.float64)


def _table(found: Workspace) -> Table:
    table = Table("[m]", "visited", "suggested", "configured", "of it used", box=None, pad_edge=False)
    for axis, name in enumerate("xyz"):
        boxes = (found.visited, found.suggested, found.configured)
        spans = [f"{box.low_m[axis]:.3f} .. {box.high_m[axis]:.3f}" for box in boxes]
        table.add_row(name, *spans, f"{found.used[axis]:.0%}")
    return table


def _advice(found: Workspace) -> str:
    low, high = (" ".join(f"{value:g}" for value in of) for of in (found.suggested.low_m, found.suggested.high_m))
    return (
        f"\n{found.demo_episodes} demonstrations, {found.demo_steps} positions, {found.margin_m:g} m around them: "
        f"{found.suggested.volume_l:.1f} litres instead of {found.configured.volume_l:.1f}\n\n"
        f"As options:\n  --arm.controller.box-low-m {low} --arm.controller.box-high-m {high}\n\n"
        f"In a preset:\n  arm:\n    controller:\n"
        f"      box_low_m: {_yaml(found.suggested.low_m)}\n      box_high_m: {_yaml(found.suggested.high_m)}"
    )


def _yaml(corner: Triple) -> str:
    return "[" + ", ".join(f"{value:g}" for value in corner) + "]"


def _triple(values: Vector) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z
