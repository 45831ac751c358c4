"""Files of a run folder appear whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from learner.disk import DiskFull, write_atomically


def test_a_full_disk_is_named_and_the_file_before_stays(small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(512)
    path = disk / "policy.safetensors"
    write_atomically(path, b"the one before")
    with pytest.raises(DiskFull, match=r"disk full: .*/policy\.safetensors, 0\.\d MB free .*no room for policy"):
        write_atomically(path, bytes(1 << 20))
    assert path.read_bytes() == b"the one before"
    assert list(disk.iterdir()) == [path]
    write_atomically(path, b"the one after")
    assert path.read_bytes() == b"the one after"
