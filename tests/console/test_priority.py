"""Priority over other processes: given where it may be, refused with a reason where it may not, and given back."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from console.priority import AUTOGROUP


def run(script: str, *, privileged: bool = True) -> str:
    """What a process in a session of its own prints, without the right to a priority unless it is privileged."""
    command = [sys.executable, "-c", "from console.priority import *\n" + textwrap.dedent(script)]
    if not privileged and os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice", *command]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, start_new_session=True
    )
    return done.stdout.strip()


def may(call: str) -> bool:
    script = f"import os\ntry: {call}\nexcept OSError: print('no')"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == b""


privileged = pytest.mark.skipif(not may("os.setpriority(0, 0, -5)"), reason="needs the right to a niceness below 0")
sessions = pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not weigh sessions")
realtime = pytest.mark.skipif(
    not hasattr(os, "SCHED_FIFO") or not may("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))"),
    reason="needs the right to a realtime priority",
)


@privileged
@sessions
def test_the_niceness_is_the_sessions_too_until_the_end() -> None:
    script = """
        with niceness(-5) as refused:
            print(repr(refused), os.getpriority(os.PRIO_PROCESS, 0), AUTOGROUP.read_text().split()[-1])
        print(AUTOGROUP.read_text().split()[-1])
    """
    assert run(script).split() == ["''", "-5", "-5", "0"]


@realtime
def test_the_realtime_priority_is_this_threads_alone_and_ends() -> None:
    script = """
        import threading
        def policy(): print(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_FIFO)
        with realtime(3) as refused:
            policy()
            other = threading.Thread(target=policy); other.start(); other.join()
        policy()
        print(repr(refused))
    """
    assert run(script).split() == ["True", "False", "False", "''"]


@pytest.mark.parametrize("asked", ["niceness(-5)", "realtime(3)"])
def test_what_is_refused_is_said_and_changes_nothing(asked: str) -> None:
    script = f"""
        before = os.getpriority(os.PRIO_PROCESS, 0)
        with {asked} as refused:
            print(refused)
            print(os.getpriority(os.PRIO_PROCESS, 0) == before, os.sched_getscheduler(0) == os.SCHED_OTHER)
    """
    printed = run(script, privileged=False)
    assert "not permitted" in printed or "Permission denied" in printed
    assert printed.endswith("True True")


def test_nothing_asked_for_is_nothing_done() -> None:
    assert run("with niceness(0) as no, realtime(0) as none: print(repr(no), repr(none))") == "'' ''"


def test_a_process_of_no_sessions_group_has_its_own_niceness_alone(tmp_path: Path) -> None:
    """Linux has nothing to say in the file of a process that was there before the sessions were weighed."""
    (tmp_path / "autogroup").touch()
    script = f"""
        import console.priority
        console.priority.AUTOGROUP = Path({str(tmp_path / "autogroup")!r})
        with niceness(19) as refused:
            print(repr(refused), os.getpriority(os.PRIO_PROCESS, 0))
    """
    assert run(script) == "'' 19"
