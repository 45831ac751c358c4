"""What every test may count on, whether `make` or pytest alone started it."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from robot.virtual.control import Remote

# Before any test imports torch: networks of a test are small, and threads of tests side by side wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Before any test imports MuJoCo, which reads it once: draw without a screen.
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

# A shell starts background jobs with Ctrl+C ignored, and every process under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

type Listening = Callable[..., AbstractContextManager[int]]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of three authorities: `ours`, `theirs`, and `old` with certificates that have expired."""
    from console.keys import make_keys

    folder, now = tmp_path_factory.mktemp("keys"), dt.datetime.now(dt.UTC)
    make_keys((), folder / "ours", now)
    make_keys((), folder / "theirs", now)
    make_keys((), folder / "old", now - dt.timedelta(days=800))
    return folder


@pytest.fixture(scope="session")
def listening() -> Listening:
    """Starts a learner with an empty store in a folder, with these settings of its service; gives its port."""
    from learner.publisher import PolicyPublisher
    from learner.service import LearnerServer
    from learner.service_settings import ServiceSettings
    from learner.store import ExperienceStore
    from nudge.v1 import learner_pb2 as pb
    from policy.fakes import fake_contract

    contract = fake_contract(cameras=1, proprioception=1, size_px=8)

    @contextmanager
    def listen(folder: Path, **settings: object) -> Iterator[int]:
        made = ServiceSettings.model_validate({"port": 0} | settings)
        with ExitStack() as stack:
            store = stack.enter_context(ExperienceStore(folder / "experience.sqlite", contract))
            server = LearnerServer(made, contract, "trial", store, PolicyPublisher(), "{}", pb.StatusReply)
            stack.callback(server.stop, 0)
            yield server.start()

    return listen


@pytest.fixture(scope="session")
def _station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    from console.stopping import Child
    from robot.virtual.control import Remote
    from robot.virtual.station import CONTROL_SOCKET

    folder = tmp_path_factory.mktemp("virtual")
    arguments = ["virtual", "--folder", str(folder), "--camera-port", "0", "--camera-width-px", "160"]
    with (
        Child("virtual arm", [*arguments, "--camera-height-px", "120"], folder / "log"),
        Remote.when_ready(folder / CONTROL_SOCKET, within_s=60) as remote,
    ):
        yield remote


@pytest.fixture
def virtual(_station: Remote) -> Remote:
    """A `nudge virtual` in a process of its own, at rest and sound; its ports are `follower` and `leader`."""
    from robot.virtual.commands import Reset

    _station.tell(Reset())
    return _station


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a file system of as many KiB, in memory; skips the test where one may not mount."""
    mounted: list[Path] = []

    def mount(kib: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("mounting a small disk needs the rights of an administrator")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
