"""`nudge doctor`: before the first run, and in under a minute, whether this station will work.

A check is a function from the context to findings; it is one more line in `CHECKS`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import torch
from rich.console import Console

from console.doctor.arm import check_home, check_joints, check_open, check_start, check_steps
from console.doctor.bus import check_calibration, check_health, check_leader, check_port, check_pose, check_servos
from console.doctor.cameras import check_devices, check_drift, check_flow, check_light
from console.doctor.context import Check, Context, Kind
from console.doctor.findings import Finding, Level, of_error, skipped
from console.doctor.host import check_clock, check_disk, check_load, check_priority, check_versions, wanted_niceness
from console.doctor.learner import check_learner
from console.doctor.loop import check_clips, check_observations, check_rate
from console.doctor.report import Diagnosis, print_diagnosis, save
from console.presets.load import load_settings
from console.priority import niceness
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from policy.errors import NudgeError
from robot.safety.emergency import EmergencyStop

SHORT = {"--json": ("--doctor.as-json", "True"), "--no-motion": ("--doctor.motion", "False")}
STOPPED = 130  # exit status after Ctrl+C
REAL: tuple[Kind, ...] = ("so101",)
SOUND_ARM = ("host.disk", "bus.port", "bus.servos", "bus.health", "bus.calibration", "bus.pose")

CHECKS = (
    Check("host.load", "processor", check_load),
    Check("host.versions", "software", check_versions),
    Check("host.disk", "disk", check_disk),
    Check("host.priority", "priority", check_priority),
    Check("learner.reach", "learner", check_learner),
    Check("bus.port", "serial port", check_port, kinds=REAL),
    Check("bus.servos", "servos", check_servos, needs=("bus.port",), kinds=REAL),
    Check("bus.health", "heat and voltage", check_health, needs=("bus.servos",), kinds=REAL),
    Check("bus.calibration", "calibration", check_calibration, needs=("bus.servos",), kinds=REAL),
    Check("bus.pose", "pose", check_pose, needs=("bus.servos", "bus.calibration"), kinds=REAL),
    Check("bus.leader", "leader arm", check_leader, kinds=REAL),
    Check("cameras.devices", "cameras", check_devices, kinds=REAL),
    Check("cameras.flow", "camera rate", check_flow, kinds=REAL),
    Check("arm.open", "stiffen and rise", check_open, needs=SOUND_ARM, moves=True),
    Check("arm.joints", "joints, one by one", check_joints, needs=("arm.open",), moves=True),
    Check("arm.start", "start pose", check_start, needs=("arm.joints", "cameras.devices", "cameras.flow"), moves=True),
    Check("arm.steps", "smallest step", check_steps, needs=("arm.start",), moves=True),
    Check("cameras.light", "light", check_light),
    Check("loop.rate", "control loop", check_rate, needs=("arm.start",), moves=True),
    Check("loop.clips", "start region", check_clips, needs=("arm.start",), moves=True),
    Check("loop.observations", "observations", check_observations, needs=("arm.start",), moves=True),
    Check("cameras.drift", "camera drift", check_drift),
    Check("arm.home", "park and let go", check_home, always=True),
    Check("host.clock", "clock", check_clock),
)


def main(argv: list[str]) -> int:
    """Look at everything; 0 when nothing is red, 1 when something is, 130 after Ctrl+C."""
    spelled_out = [part for argument in argv for part in SHORT.get(argument, (argument,))]
    settings = load_settings(Settings, spelled_out, DEFAULT_PRESET, "nudge doctor [--json] [--no-motion]")
    console, emergency = Console(stderr=settings.doctor.as_json), EmergencyStop()
    stop = stop_event(on_second=lambda: emergency.press("a second Ctrl+C"))
    torch.set_num_threads(1)  # as the actor does
    with niceness(wanted_niceness(settings)), console.status("looking") as status:
        found = examine(settings, stop, emergency, lambda check: status.update(f"{check.title} ({check.name})"))
    if settings.doctor.as_json:
        print(json.dumps(found.as_json()))
    else:
        print_diagnosis(found, console)
    console.print(f"the same as a page, to attach to a question: {save(found)}", soft_wrap=True, highlight=False)
    return STOPPED if stop.is_set() else int(found.verdict is Level.RED)


def examine(
    settings: Settings,
    stop: threading.Event,
    emergency: EmergencyStop,
    on_check: Callable[[Check], None] = lambda _: None,
) -> Diagnosis:
    """Run all checks that apply to this kind of arm; whatever happens, the arm is parked and let go.

    stop: ends it early, in order; on_check: told what begins
    """
    with ExitStack() as stack:
        context = Context(settings, stop, emergency, stack)
        causes: dict[str, str] = {}  # check without success -> the check whose failure it comes from
        findings: list[Finding] = []
        checks = [check for check in CHECKS if settings.arm.kind in check.kinds]
        for check in checks:
            on_check(check)
            cause = next((causes[need] for need in check.needs if need in causes), check.name)
            found = _findings(check, context, cause)
            findings += [replace(finding, check=check.name) for finding in found]
            if {finding.level for finding in found} & {Level.RED, Level.SKIPPED}:
                causes[check.name] = cause
        seconds = time.monotonic() - context.begun_s
    titles = {check.name: check.title for check in checks}
    return Diagnosis(settings, tuple(findings), titles, seconds, context.tables, context.sheet)


def _findings(check: Check, context: Context, cause: str) -> list[Finding]:
    """What a check finds, or why it does not look. cause: the check whose failure keeps it from looking, or itself."""
    if context.halted and not check.always:
        return [skipped("somebody said stop")]
    if check.moves and not context.settings.doctor.motion:
        return [skipped("it would move the arm, and that was not asked for")]
    if cause != check.name:
        return [skipped(f"needs {cause}, which failed")]
    try:
        return check.run(context)
    except NudgeError as error:
        return [of_error(error)]
