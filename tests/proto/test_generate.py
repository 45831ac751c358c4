"""The committed modules of the wire are what the `.proto` files generate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROTO = Path(__file__).resolve().parents[2] / "proto"


def test_committed_modules_equal_freshly_generated_ones(tmp_path: Path) -> None:
    run = [sys.executable, str(PROTO / "generate.py"), "--out", str(tmp_path)]
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    fresh = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert len(fresh) == 4  # messages, their types, gRPC, its types
    for path in fresh:
        committed = PROTO / path.relative_to(tmp_path)
        assert f"wrote {path}" in printed
        assert committed.read_text() == path.read_text(), f"{committed} is stale: run python proto/generate.py"


def test_no_init_makes_the_proto_tree_a_package() -> None:
    assert list(PROTO.rglob("__init__.py")) == []
