"""The doctor's look through the cameras: which are there, how fast, what they show, and whether that has changed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from console.doctor.context import Context
from console.doctor.findings import Finding, amber, good, of_error, red, skipped
from console.run_folder import REFERENCE_FOLDER
from policy.errors import NudgeError
from policy.preprocess import preprocess_frame
from robot.cameras import CameraSet
from robot.cameras.comparison import FEWEST_FRAMES
from robot.cameras.contact_sheet import contact_sheet, share_clipped
from robot.cameras.drift import Severity, drift
from robot.cameras.reference import REFERENCE_FILE, Reference

Frame = NDArray[np.uint8]

LOOK_S = 0.005
DIM, GLARING = 25, 230  # means of a picture between which something can be seen
MOST_CLIPPED = 0.25  # share of values too dark or too bright to tell anything
SHARE_OF_FPS = 0.8  # of what a camera is asked for


@dataclass(slots=True)
class _Flow:
    """What was seen of one camera: how many new pictures, and the greatest age."""

    pictures: int = 0
    oldest_s: float = 0.0
    last: Frame | None = field(default=None, repr=False)


def check_devices(context: Context) -> list[Finding]:
    """Each camera opens, and shows pictures of the contract's native size. Leaves those that do."""
    settings, found = context.settings.arm.so101.cameras, []
    devices = {device.name: device for device in settings.devices}
    for camera in context.settings.contract.cameras:
        size = f"{camera.native_width_px}x{camera.native_height_px}"
        if camera.name not in devices:
            cure = "give it in arm.so101.cameras.devices"
            found.append(red(f"{camera.name}: no device", "one for each camera of the contract", cure))
            continue
        own = settings.model_copy(update={"devices": (devices[camera.name],)})
        try:
            opened = context.stack.enter_context(CameraSet(own, (camera,)))
        except NudgeError as error:
            found.append(of_error(error))
            continue
        context.cameras[camera.name] = opened
        doubts = [amber(f"{camera.name}: {size}, not locked", "locked controls", text) for text in opened.findings]
        found += doubts or [good(f"{camera.name}: {devices[camera.name].kind}, {size}", "the contract's native size")]
    return found


def check_flow(context: Context) -> list[Finding]:
    """How many new pictures come each second, and how old the newest gets."""
    if not context.cameras:
        return [skipped("no camera is open")]
    settings, found = context.settings, []
    watched_s = settings.doctor.camera_s
    devices = {device.name: device for device in settings.arm.so101.cameras.devices}
    for name, flow in _watch(context.cameras, watched_s).items():
        hz, wished = flow.pictures / watched_s, getattr(devices[name], "fps", None)
        values = {f"{name}_hz": round(hz, 1), f"{name}_oldest_s": round(flow.oldest_s, 3)}
        got = f"{name}: {hz:.0f} pictures a second, the newest at most {1000 * flow.oldest_s:.0f} ms old"
        least, stale_s = settings.contract.control_hz, settings.arm.safety.stale_frame_s
        expected = f"at least {least:g} a second, below {1000 * stale_s:g} ms"
        if not flow.pictures:
            cure = "it is frozen: take its cable out and in; see what else has it open"
            found.append(red(f"{name}: nothing new for {flow.oldest_s:.1f} s", expected, cure, values))
        elif flow.oldest_s > stale_s:
            cure = "give it a USB port of its own, shorten its exposure, and see how busy this computer is"
            found.append(red(got, expected, cure, values))
        elif hz < least or (wished and hz < SHARE_OF_FPS * wished):
            cure = "more light or a shorter exposure; a USB port of its own"
            rate = f"at least {max(least, SHARE_OF_FPS * (wished or 0)):g} a second"
            found.append(amber(got, rate, cure, values))
        else:
            found.append(good(got, expected, values))
    return found


def check_light(context: Context) -> list[Finding]:
    """Nothing is too dark or too bright, in what the policy sees; and the contact sheet for a person."""
    frames = _newest(context)
    cameras = [camera for camera in context.settings.contract.cameras if camera.name in frames]
    if not cameras:
        return [skipped("no camera shows anything")]
    context.sheet = contact_sheet(frames, cameras)
    found = []
    for camera in cameras:
        seen = preprocess_frame(frames[camera.name], camera)
        (dark, bright), mean, name = share_clipped(seen), float(seen.mean()), camera.name
        values = {f"{name}_mean": round(mean, 1), f"{name}_dark": round(dark, 3), f"{name}_bright": round(bright, 3)}
        got = f"{name}: mean {mean:.0f}, {dark:.0%} too dark, {bright:.0%} too bright"
        expected = f"mean {DIM}..{GLARING}, at most {MOST_CLIPPED:.0%} of either"
        if seen.std() < 1:
            cure = "take the cap off, switch the lamp on, see what hides it"
            found.append(red(f"{name}: one colour everywhere, mean {mean:.0f}", "a picture", cure, values))
        elif not DIM <= mean <= GLARING or max(dark, bright) > MOST_CLIPPED:
            cure = "change lamp or exposure until the contact sheet shows table and gripper"
            found.append(amber(got, expected, cure, values))
        else:
            found.append(good(got, expected, values))
    return found


def check_drift(context: Context) -> list[Finding]:
    """The cameras still see what they saw in the demonstrations, where this run has any."""
    folder = context.settings.folder / REFERENCE_FOLDER
    if not (folder / REFERENCE_FILE).is_file():
        return [skipped("this run has no demonstrations yet to compare with")]
    reference = Reference.load(folder, context.settings.contract)
    frames = {name: np.stack(seen) for name, seen in context.frames.items()}  # (N, size_px, size_px, 3)
    fewest = min((len(seen) for seen in frames.values()), default=0)
    if fewest < FEWEST_FRAMES:
        return [skipped(f"{fewest} frames of a moving arm, {FEWEST_FRAMES} are needed: raise doctor.loop_s")]
    found = []
    for it in drift(reference, frames, context.settings.arm.drift):
        tell = red if it.severity is Severity.SEVERE else amber
        found.append(tell(f"{it.camera}: {it.what} {it.measured:.2f} {it.unit}", f"{it.limit:.2f} {it.unit}", it.cure))
    return found or [good("what they saw in the demonstrations")]


def _watch(cameras: dict[str, CameraSet], seconds: float) -> dict[str, _Flow]:
    flows = {name: _Flow(last=camera.latest()[name].pixels) for name, camera in cameras.items()}
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        for name, flow in flows.items():
            frame = cameras[name].latest()[name]
            flow.pictures += frame.pixels is not flow.last
            flow.last, flow.oldest_s = frame.pixels, max(flow.oldest_s, frame.age_s)
        time.sleep(LOOK_S)
    return flows


def _newest(context: Context) -> dict[str, Frame]:
    """Native frames, of a simulated arm as well."""
    if context.settings.arm.kind == "sim":
        return context.station.env.arm.read().frames if context.station is not None else {}
    return {name: camera.latest()[name].pixels for name, camera in context.cameras.items()}
