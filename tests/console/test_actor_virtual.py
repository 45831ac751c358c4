"""`nudge actor` on the real driver, the virtual bus and network cameras: from the first step to the arm's rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

import waiting
from console.run_folder import READY_FILE, STORE_FILE, TIMING_FILE, WATCHDOG_LOG_FILE
from learner.store import StoreReader
from robot.cameras.contact_sheet import SHEET_FILE
from robot.virtual.commands import Plug, Power, State
from robot.virtual.control import Remote

eventually = partial(waiting.eventually, within_s=120.0)
FRAME = {"native_height_px": 120, "native_width_px": 160, "size_px": 128}
CROP = {"top": 0, "left": 20, "height": 120, "width": 120}
SHORT = 20  # steps: a demonstration or two


@pytest.fixture
def preset(virtual: Remote, tmp_path: Path) -> Path:
    """The preset `virtual` on the station of this session."""
    cameras: dict[str, Any] = virtual.tell(State())["cameras"]
    own = {
        "extends": "virtual",
        "preset_name": "station",
        "run": "small",
        "runs": str(tmp_path),
        "arm": {
            "so101": {
                "port": str(virtual.folder / "follower"),
                "calibration_dir": str(virtual.folder / "calibration"),
                "witness": str(virtual.folder / "control"),
                # On a busy machine the station may sleep.
                "answer_timeout_s": 0.1,
                "tries": 5,
                "cameras": {
                    "devices": [
                        {"kind": "zmq", "name": name, "port": camera["port"], "noisy": False}
                        for name, camera in cameras.items()
                    ]
                },
            },
            "safety": {"stale_frame_s": 5.0},
        },
        "contract": {"cameras": [{"name": name, "crop": CROP, **FRAME} for name in ("wrist", "front")]},
        "learner": {"encoder": {"source": "random:0"}},
        "dashboard": {"with_learner": False},
        # Demonstrations only: no policy is waited for.
        "loop": {"demo_episodes": 1000},
    }
    path = tmp_path / "station.yaml"
    path.write_text(yaml.safe_dump(own))
    return path


def start(verb: str, preset: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "console.main", verb, "--preset", str(preset), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


@contextmanager
def acting(preset: Path, steps: int) -> Iterator[tuple[subprocess.Popen[str], StoreReader]]:
    """An actor with a learner of its own, and what the learner has stored."""
    run = preset.parent / "small"
    learner = start("learner", preset, "--service.port", "0")
    try:
        eventually(lambda: (run / READY_FILE).is_file() or learner.poll() is not None, "the learner")
        address = json.loads((run / READY_FILE).read_text())["address"]
        actor = start("actor", preset, "--link.address", address, "--loop.max-env-steps", str(steps))
        try:
            with closing(StoreReader(run / STORE_FILE)) as store:
                yield actor, store
        finally:
            actor.kill()
            actor.communicate()
    finally:
        learner.terminate()
        learner.communicate(timeout=60)


def torque(virtual: Remote) -> set[bool]:
    states: dict[str, Any] = virtual.tell(State())["arms"]["follower"]
    return set(states["has_torque"].values())


def test_it_demonstrates_delivers_parks_and_lets_go(virtual: Remote, preset: Path) -> None:
    with acting(preset, SHORT) as (actor, store):
        output, _ = actor.communicate(timeout=240)
        assert actor.returncode == 0, output
        assert store.counts().env_steps == SHORT
    run = preset.parent / "small"
    assert torque(virtual) == {False}
    assert (run / SHEET_FILE).is_file()
    assert (run / TIMING_FILE).is_file()
    assert "bringing the arm home" not in (run / WATCHDOG_LOG_FILE).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accident", "mended"),
    [
        (Plug(arm="follower", plugged_in=False), Plug(arm="follower", plugged_in=True)),
        (Power(arm="follower", on=False), Power(arm="follower", on=True)),
    ],
)
def test_it_goes_on_by_itself_once_an_accident_is_mended(
    virtual: Remote, preset: Path, accident: Plug | Power, mended: Plug | Power
) -> None:
    with acting(preset, 3 * SHORT) as (actor, store):
        eventually(lambda: store.counts().env_steps > 5, "some steps")
        virtual.tell(accident)
        time.sleep(3.0)  # long enough for the actor to have met it
        virtual.tell(mended)
        output, _ = actor.communicate(timeout=300)
        assert actor.returncode == 0, output
        assert "the arm is sound again" in output
        assert store.counts().env_steps == 3 * SHORT
    assert torque(virtual) == {False}


def press_twice(actor: subprocess.Popen[str]) -> None:
    actor.send_signal(signal.SIGINT)
    time.sleep(0.3)
    actor.send_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (lambda actor: actor.send_signal(signal.SIGINT), 0),
        (lambda actor: actor.send_signal(signal.SIGTERM), 0),
        (press_twice, None),
        (lambda actor: actor.send_signal(signal.SIGKILL), -signal.SIGKILL),
    ],
    ids=["Ctrl+C", "SIGTERM", "Ctrl+C twice", "SIGKILL"],
)
def test_on_every_way_out_the_arm_is_let_go(
    virtual: Remote, preset: Path, end: Callable[[subprocess.Popen[str]], object], status: int | None
) -> None:
    with acting(preset, 100_000) as (actor, store):
        eventually(lambda: store.counts().env_steps > 5, "some steps")
        assert torque(virtual) == {True}
        end(actor)
        output, _ = actor.communicate(timeout=120)
        assert status is None or actor.returncode == status, output
        eventually(lambda: torque(virtual) == {False}, "the arm let go")
