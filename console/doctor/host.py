"""The doctor's look at this computer: what is installed, room on the disk, clock, processor, priority."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from actor.link_settings import LinkSettings
from console.doctor.context import Context
from console.doctor.findings import Finding, Level, amber, good, red
from console.main import DISTRIBUTION
from console.settings import Settings
from learner.disk import free_bytes
from policy.key_files import is_loopback
from policy.wire import largest_step_bytes

EXTRAS = ("robot", "sim")  # of a robot host; MuJoCo is the real arm's kinematics too
SPARE_BYTES = 16 << 20  # SQLite's log, reports
TOO_LITTLE = 0.1  # with less than this share of the room needed, a run ends within minutes
CLOCK_UNSYNCHRONISED = 5  # TIME_ERROR of adjtimex(2)
SHOWN = ("torch", "lerobot", "mujoco")


def check_versions(_: Context) -> list[Finding]:
    """Every distribution that a robot host needs, within the bounds that this release asks for."""
    found = [doubt for text in requires(DISTRIBUTION) or () for doubt in _doubts(Requirement(text))]
    if found:
        return found
    shown = ", ".join(f"{name} {version(name)}" for name in SHOWN)
    python = ".".join(map(str, sys.version_info[:3]))
    return [good(f"nudge {version(DISTRIBUTION)}, Python {python}, {shown}")]


def check_disk(context: Context) -> list[Finding]:
    """Room in the run folder for what the actor keeps, and for what a learner on the same machine keeps."""
    settings = context.settings
    there = next(folder for folder in (settings.folder, *settings.folder.absolute().parents) if folder.exists())
    if not os.access(there, os.W_OK):
        return [red(f"{there} may not be written to", "a run folder of this user", "choose another folder with --runs")]
    whole_run = settings.loop.max_env_steps * largest_step_bytes(settings.contract)
    needed, what = min(settings.link.spool_max_bytes, whole_run) + SPARE_BYTES, "the spool"
    if _is_here(settings.link):
        needed, what = needed + whole_run, "spool and store"
    free = free_bytes(settings.folder)
    got = f"{_size(free)} free for {settings.folder}"
    expected = f"{_size(needed)} at most for {what} of {settings.loop.max_env_steps} steps"
    values = {"free_bytes": float(free), "needed_bytes": float(needed)}
    if free >= needed:
        return [good(got, expected, values)]
    tell = red if free < TOO_LITTLE * needed else amber
    return [tell(got, expected, "make room, or choose another folder with --runs", values)]


def check_clock(context: Context) -> list[Finding]:
    """The wall clock against the steady one since the doctor began, and whether the kernel calls it synchronised."""
    jump_s = (time.time() - context.begun_wall_s) - (time.monotonic() - context.begun_s)
    limit_s, values = context.settings.doctor.clock_jump_s, {"jump_s": round(jump_s, 6)}
    cure = "start a time service, such as systemd-timesyncd or chrony: certificates and logs count on right clocks"
    if abs(jump_s) > limit_s:
        return [amber(f"the wall clock jumped by {jump_s:+.2f} s meanwhile", f"at most {limit_s:g} s", cure, values)]
    state = _kernel_clock()
    if state == CLOCK_UNSYNCHRONISED:
        return [amber("steady, but not synchronised, says the kernel", "a synchronised clock", cure, values)]
    told = "synchronised" if state >= 0 else "whether it is synchronised cannot be read here"
    return [good(f"steady, {told}", values=values)]


def check_load(_: Context) -> list[Finding]:
    """Cores, and who else uses them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = os.getloadavg()[0]
    got, values = f"{cores} cores, load {load:.1f} over the last minute", {"cores": float(cores), "load": load}
    if cores < 2:
        return [amber(got, "at least 2 cores", "cameras and loop share one core: use another computer", values)]
    if load > cores:
        return [amber(got, f"a load below {cores}", "end what else runs here: it takes turns from the loop", values)]
    return [good(got, f"a load below {cores}", values)]


def check_priority(context: Context) -> list[Finding]:
    """Whether this process has the niceness that the actor will ask for."""
    nice, wanted = os.getpriority(os.PRIO_PROCESS, 0), wanted_niceness(context.settings)
    values = {"niceness": float(nice)}
    if nice <= wanted:
        return [good(f"niceness {nice}", values=values)]
    cure = "allow it, with `USER - nice -20` in /etc/security/limits.conf; or ask for none with --loop.niceness 0"
    return [amber(f"niceness {nice}", f"{wanted}, so that others do not make ticks late", cure, values)]


def wanted_niceness(settings: Settings) -> int:
    """What the actor asks for; a simulated world waits."""
    return settings.loop.niceness if settings.loop.pace == "realtime" else 0


def _doubts(requirement: Requirement) -> list[Finding]:
    """What is wrong with one requirement, where it applies to this machine."""
    marker = requirement.marker
    if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in ("", *EXTRAS)):
        return []
    extras = " or ".join(EXTRAS)
    try:
        got = version(requirement.name)
    except PackageNotFoundError:
        cure = f"install {DISTRIBUTION} with its extras {extras}"
        return [red(f"{requirement.name} is missing", str(requirement), cure)]
    if requirement.specifier.contains(got, prereleases=True):
        return []
    return [
        Finding(
            Level.AMBER,
            f"{requirement.name} {got}",
            f"{requirement.name}{requirement.specifier}",
            "make a fresh environment",
        )
    ]


def _is_here(link: LinkSettings) -> bool:
    return is_loopback(link.address.rpartition(":")[0])


def _kernel_clock() -> int:
    """What adjtimex(2) returns; -1 where it cannot be asked."""
    if sys.platform != "linux":
        return -1
    question = ctypes.create_string_buffer(512)  # struct timex is smaller; zeros only ask
    return int(ctypes.CDLL(None).adjtimex(question))


def _size(number: float) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.0f} MB"
