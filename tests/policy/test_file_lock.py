"""A lock between processes: one holds it, and it is free as soon as that one is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from policy.file_lock import FileLock, LockHeld

HOLDER = """
import sys, time
from pathlib import Path
from policy.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]), "held")
print("held", flush=True)
time.sleep(600)
"""


def test_a_second_holder_is_refused_with_the_given_sentence_until_the_first_lets_go(tmp_path: Path) -> None:
    with FileLock(tmp_path / "lock", "held"), pytest.raises(LockHeld, match="stop the other one"):
        FileLock(tmp_path / "lock", "stop the other one")
    FileLock(tmp_path / "lock", "held").close()


def test_it_dies_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(LockHeld):
        FileLock(path, "held")
    process.kill()
    process.wait()
    process.stdout.close()
    FileLock(path, "held").close()
