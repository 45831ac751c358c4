"""Can this machine draw without a screen? Standard library only, any Python from 3.8 on.

MuJoCo draws through EGL, on a GPU or in software (Mesa). The question is answered by opening an EGL display the way
MuJoCo does, not by looking for files: a library can be there without a driver that works.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

DEBIAN_PACKAGES = ("libegl1", "libgl1-mesa-dri", "libgles2")
INSTALL_COMMANDS = (
    ("Debian, Ubuntu", "sudo apt-get update && sudo apt-get install --yes " + " ".join(DEBIAN_PACKAGES)),
    ("Fedora", "sudo dnf install libglvnd-egl libglvnd-gles mesa-libEGL mesa-dri-drivers"),
    ("Arch", "sudo pacman -S libglvnd mesa"),
)

EGL_PLATFORM_DEVICE_EXT = 0x313F
MOST_DEVICES = 16


class RenderingMissing(Exception):
    """No way to draw without a screen; the message says why, and what to install."""


def ensure_rendering() -> None:
    """Return once frames can be drawn without a screen; install what is missing where that is allowed.

    Raises `RenderingMissing` otherwise.
    """
    if sys.platform != "linux":
        return  # macOS draws through its own framework
    why = _problem()
    if why is None:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"setup: {why}; installing {' '.join(DEBIAN_PACKAGES)} with apt-get", flush=True)
        _apt_get("update", "--quiet=2")
        _apt_get("install", "--quiet=2", "--yes", "--no-install-recommends", *DEBIAN_PACKAGES)
        why = _problem()
        if why is None:
            return
    commands = "\n".join(f"  {system:<16}{command}" for system, command in INSTALL_COMMANDS)
    raise RenderingMissing(
        f"MuJoCo cannot draw on this machine: {why}.\nInstall the libraries for drawing without a screen, "
        f"then run make again:\n{commands}"
    )


def open_a_display() -> str | None:
    """Open an EGL display on each device in turn, as MuJoCo does; None once one works, else the reason."""
    try:
        egl = ctypes.CDLL("libEGL.so.1", mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return f"libEGL.so.1 does not load ({error})"
    if not any(_loads(name) for name in ("libOpenGL.so.0", "libGL.so.1", "libGLESv2.so.2")):
        return "none of libOpenGL.so.0, libGL.so.1 and libGLESv2.so.2 loads"
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    get_display = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not get_display:
        return "EGL has no eglQueryDevicesEXT or no eglGetPlatformDisplayEXT"
    devices = (ctypes.c_void_p * MOST_DEVICES)()
    count = ctypes.c_int(0)
    query_devices = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(query)
    query_devices(MOST_DEVICES, ctypes.addressof(devices), ctypes.addressof(count))
    display_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(get_display)
    egl.eglInitialize.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    for device in devices[: count.value]:
        display = display_of(EGL_PLATFORM_DEVICE_EXT, device, None)
        if display and egl.eglInitialize(display, None, None):
            return None
    return f"EGL is there, but none of its {count.value} devices opens a display (no driver, such as Mesa's)"


def _problem() -> str | None:
    """Ask in a process of its own, because a broken driver may take its process down."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).resolve())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    if done.returncode == 0:
        return None
    return done.stdout.strip() or f"EGL took its process down (exit status {done.returncode})"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _apt_get(*arguments: str) -> None:
    try:
        subprocess.run(("apt-get", *arguments), check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    except subprocess.CalledProcessError as error:
        # Not the end yet: the caller asks again and names the packages.
        print(f"setup: apt-get {' '.join(arguments)} failed with status {error.returncode}", flush=True)


if __name__ == "__main__":
    reason = open_a_display()
    if reason is not None:
        print(reason)
        sys.exit(1)
