"""How punctual the control loop is while a learner trains beside it; LeRobot's own loop on the same virtual arm.

    python bench/control_loop.py [--json] [--hz 10] [--seconds 20] [--lerobot-seconds 20] [--folder PATH]

See bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

from bench import control_lerobot, control_nudge  # noqa: E402 - the path comes first
from bench.turns import BenchError  # noqa: E402
from console.report.main import machine  # noqa: E402

EPISODE_S = 8.0
PROCESSORS, STEAL = Path("/proc/stat"), 8  # "cpu", then what the time of all processors went to: proc_stat(5)
ROWS = {"late": "late", "period error": "period_error", "observation to action": "observation_to_action"}


def measure(hz: float, seconds: float, lerobot_seconds: float, folder: Path) -> dict[str, Any]:
    """Both sides one after the other, on one station, while one learner trains. lerobot_seconds: 0 leaves it out"""
    figures: dict[str, Any] = {"hz": hz, "machine": machine(), "load_before": os.getloadavg()[0]}
    with ExitStack() as stack:
        station_folder = folder / "station"
        cameras = stack.enter_context(control_nudge.station(station_folder))
        settings = control_nudge.make_settings(folder, station_folder, cameras, hz, EPISODE_S)
        address = stack.enter_context(control_nudge.training(settings))
        stolen = stolen_s()
        figures |= ours(control_nudge.drive(settings, address, seconds))
        figures |= {"load": os.getloadavg()[0], "stolen_s": stolen_s() - stolen}
        if lerobot_seconds:
            stolen = stolen_s()
            drive = control_lerobot.drive(station_folder, cameras, hz, lerobot_seconds, EPISODE_S)
            figures |= theirs(drive, 1 / hz)
            figures |= {"lerobot_load": os.getloadavg()[0], "lerobot_stolen_s": stolen_s() - stolen}
    return figures


def stolen_s() -> float:
    """For how long the host of this virtual machine has given its processors to others [s]; 0 where nobody tells."""
    if not PROCESSORS.is_file():
        return 0.0
    return int(PROCESSORS.read_text().split()[STEAL]) / os.sysconf("SC_CLK_TCK")


def ours(timing: dict[str, Any]) -> dict[str, Any]:
    """The figures of `timing.json`."""
    rows = {row["name"]: row for row in timing["durations"]}
    found = {ROWS[name]: {key: rows[name][key] for key in ("p50_ms", "p99_ms", "p99_9_ms", "max_ms")} for name in ROWS}
    return {
        **{f"{percent}_late_ms": found["late"][f"{percent}_ms"] for percent in ("p50", "p99", "p99_9", "max")},
        "overruns": timing["overruns"],
        "ticks": rows["late"]["count"],
        "observation_to_action_ms": _bare(found["observation_to_action"]),
        "period_error_ms": _bare(found["period_error"]),
        "parts_ms": {name: {key: row[f"{key}_ms"] for key in ("p50", "p99", "p99_9")} for name, row in rows.items()},
    }


def theirs(drive: Any, period_s: float) -> dict[str, Any]:
    """LeRobot's figures under the same names."""
    found = control_lerobot.rhythm(drive.entries, period_s)
    if not found.observation_to_action.count:
        raise BenchError(f"LeRobot: its loop ended before it had made two ticks: {drive.ended_by}")
    late = found.late.summary()
    return {
        **{f"lerobot_{percent}_late_ms": late[f"{percent}_ms"] for percent in ("p50", "p99", "p99_9", "max")},
        "lerobot_overruns": found.overruns,
        "lerobot_ticks": late["count"],
        "lerobot_observation_to_action_ms": _bare(found.observation_to_action.summary()),
        "lerobot_period_error_ms": _bare(found.period_error.summary()),
        "lerobot_ended_by": drive.ended_by,
    }


def _bare(row: dict[str, float | int]) -> dict[str, float | int]:
    return {key: row[f"{key}_ms"] for key in ("p50", "p99", "p99_9", "max")}


def table(figures: dict[str, Any]) -> str:
    """Both sides as lines of text."""
    lines = [f"{'':32}{'median':>9}{'99 %':>9}{'99.9 %':>9}{'worst':>9}  [ms]"]
    for prefix, side in (("", "nudge"), ("lerobot_", "LeRobot")):
        if f"{prefix}ticks" not in figures:
            continue
        keys = ("p50", "p99", "p99_9", "max")
        rows = {
            "late": {key: figures[f"{prefix}{key}_late_ms"] for key in keys},
            "period error": figures[f"{prefix}period_error_ms"],
            "observation to action": figures[f"{prefix}observation_to_action_ms"],
        }
        lines += [f"{side:8}{name:24}" + "".join(f"{row[key]:9.2f}" for key in keys) for name, row in rows.items()]
        lines += [f"{side:8}{figures[f'{prefix}ticks']} ticks, {figures[f'{prefix}overruns']} overruns"]
        if figures[f"{prefix}stolen_s"]:
            lines += [f"{side:8}the host of this machine took {figures[f'{prefix}stolen_s']:.1f} s meanwhile"]
    if figures.get("lerobot_ended_by"):
        lines += [f"LeRobot's loop ended before its time: {figures['lerobot_ended_by']}"]
    return "\n".join(lines)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--hz", type=float, default=10.0, help="control rate [Hz]")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each side, without resets [s]")
    parser.add_argument("--lerobot-seconds", type=float, default=None, help="time for LeRobot if another [s]; 0: none")
    parser.add_argument("--folder", type=Path, default=None, help="where to work; empty, or new")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nudge-control-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            theirs_s = options.seconds if options.lerobot_seconds is None else options.lerobot_seconds
            figures = measure(options.hz, options.seconds, theirs_s, folder.absolute())
        except BenchError as error:
            sys.exit(f"bench/control_loop.py: {error}")
    print(table(figures))
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
