"""The doctor's judgement of the control loop: its rate, what was clipped on the way, and what the policy would see."""

from __future__ import annotations

import numpy as np

from console.doctor.context import Context
from console.doctor.drive import ARRIVED_M, drive
from console.doctor.findings import Finding, amber, good, red, skipped
from policy.preprocess import normalise
from robot.arm import JOINT_NAMES

BLIND = 10.0  # a normalised value beyond it says that units or ranges are wrong
MANY = 5.0  # times late_share
NOT_DRIVEN = "the control loop has not come to its end"


def check_rate(context: Context) -> list[Finding]:
    """Run the loop, and judge its timing. Leaves what was measured for the next checks."""
    made = context.drive = drive(context)
    ticks, settings = len(made.act_s), context.settings
    parts = {"act": made.act_s, "observe": made.observe_s, "infer": made.infer_s}
    values = {
        f"{name}_p{at}_ms": round(1000 * float(np.percentile(took_s, at)), 2)
        for name, took_s in parts.items()
        for at in (50, 99)
    }
    values |= {"ticks": float(ticks), "late": float(made.late)}
    parts_told = ", ".join(f"{name} {values[f'{name}_p50_ms']:.0f} ms" for name in parts)
    if context.opened().deadlines is None:
        return [good(f"{ticks} ticks of simulated time: {parts_told}", values=values)]
    share, limit = made.late / ticks, settings.doctor.late_share
    got = f"{made.late} of {ticks} ticks late at {settings.contract.control_hz:g} Hz: {parts_told}"
    expected = f"at most {limit:.0%} late"
    if share <= limit:
        return [good(got, expected, values)]
    cure = "see which part takes long: `observe` is bus and cameras, `infer` the processor; end what else runs here"
    return [(red if share > MANY * limit else amber)(got, expected, cure, values)]


def check_clips(context: Context) -> list[Finding]:
    """How often the guard clipped on the way through the start region, and whether the tool got everywhere."""
    made = context.drive
    if made is None:
        return [skipped(NOT_DRIVEN)]
    share, limit = made.clipped_ticks / len(made.act_s), context.settings.doctor.clip_share
    off_m = max((float(np.linalg.norm(asked - got)) for asked, got in made.legs_m), default=0.0)
    values = {"clipped_share": round(share, 3), "worst_corner_m": round(off_m, 4)}
    which = ", ".join(f"{name} {count}" for name, count in made.clamped.items())
    got = f"{share:.0%} of {len(made.act_s)} ticks clipped{f' ({which})' if which else ''}"
    got += f", corners reached within {1000 * off_m:.0f} mm"
    expected = f"at most {limit:.0%}, {1000 * 2 * ARRIVED_M:g} mm"
    if share <= limit and off_m <= 2 * ARRIVED_M:
        return [good(got, expected, values)]
    cure = "start region and box do not fit: see task.start_m, task.start_noise_m and arm.controller's box and leash"
    return [amber(got, expected, cure, values)]


def check_observations(context: Context) -> list[Finding]:
    """Each dimension as the networks see it: inside its range, and not the same all the time."""
    made, contract = context.drive, context.settings.contract
    if made is None:
        return [skipped(NOT_DRIVEN)]
    normal = normalise(np.stack(made.proprioception), contract.proprioception)  # (N, P)
    low, high = normal.min(axis=0), normal.max(axis=0)
    rows: list[tuple[str, ...]] = [("dimension", "least", "most", "")]
    found = []
    for index, dimension in enumerate(contract.proprioception):
        least, most = float(low[index]), float(high[index])
        largest, word = max(abs(least), abs(most)), ""
        span = f"{dimension.name}: {least:+.2f} to {most:+.2f} of its range {dimension.low:g} to {dimension.high:g}"
        if largest > BLIND:
            word, cure = "far outside", "units or ranges are wrong: compare the contract with what the arm measures"
            found.append(red(span, f"-{BLIND:g} to {BLIND:g}", cure))
        elif largest > context.settings.doctor.outside:
            word, cure = "outside", "the arm starts where the contract does not expect it: see task.start_m"
            found.append(amber(span, "-1 to 1", cure))
        if most == least and not _has_turned(context, dimension.name):
            word, cure = "constant", "its source does not change though the arm moves: see where it comes from"
            found.append(amber(f"{dimension.name}: always {most:+.2f}", "a value that changes", cure))
        rows.append((dimension.name, f"{least:+.2f}", f"{most:+.2f}", word))
    context.tables["normalised observations, -1 to 1 is the contract's range"] = rows
    spread = f"{float(low.min()):+.2f} to {float(high.max()):+.2f}"
    return found or [good(f"{len(contract.proprioception)} dimensions, {spread}", "-1 to 1, none constant")]


def _has_turned(context: Context, dimension: str) -> bool:
    """Whether this is a joint that moved when it was tried by itself: no action moves the wrist's roll."""
    name = dimension.removeprefix("joint.")
    if name == dimension or not context.joint_rad:
        return False
    tried = np.stack(context.joint_rad)[:, JOINT_NAMES.index(name)]
    return bool(np.ptp(tried) > 0)
