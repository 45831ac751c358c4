"""What the phase tells of how far it is."""

from __future__ import annotations

import pytest

from learner.trainer_status import Phase, how_far


@pytest.mark.parametrize(
    ("phase", "prepared", "missing", "told"),
    [
        ("waiting for demonstrations", 0.0, 0, "waiting for demonstrations"),
        ("preparing features", 0.999, 7_000, "preparing features, 99 % of the steps"),
        ("training", 1.0, 7_000, "training, further views of 7000 observations to come"),
        ("training", 1.0, 100, "training"),  # those of the last seconds
        ("stopped", 1.0, 7_000, "stopped"),
    ],
)
def test_it_tells_what_takes_its_time(phase: Phase, prepared: float, missing: int, told: str) -> None:
    assert how_far(phase, prepared, missing) == told
