"""The benchmark of accidents: every one is told or endured, and none leaves a moving arm with torque."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.faults import accidents

ROOT = Path(__file__).resolve().parents[2]


def test_no_accident_comes_twice() -> None:
    names = [accident.name for accident in accidents()]
    assert len(set(names)) == len(names)


@pytest.mark.slow
def test_the_command_ends_with_one_json_object() -> None:
    command = [sys.executable, str(ROOT / "bench/faults.py"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    found = {outcome["name"]: outcome for outcome in json.loads(done.stdout.splitlines()[-1])["accidents"]}
    endured = {name for name, outcome in found.items() if outcome["done_s"] is None}
    assert endured <= {"5 % of the packets lost", "5 % of the packets corrupt"}
    for name in found.keys() - endured:
        assert found[name]["done_s"] < (15 if found[name]["reaction"] == "park" else 5), name
        if found[name]["reaction"] == "park":
            assert found[name]["torque"] == 0, name
