"""The growth benchmark: one thing grows at a time, and every row has its figure."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from rich.console import Console

from bench.growth import BATCH, CAMERAS, Settings, cases, measure, table


def test_one_thing_grows_at_a_time_and_papers_replay_stays_within_the_disk() -> None:
    found = cases(Settings(batches=(64, 128), cameras=(1,), transitions=(1000, 100_000)))
    assert [case.batch for case in found if case.grows == "batch"] == [64, 128, 64, 128]
    assert {case.cameras for case in found if case.grows != "cameras"} == {CAMERAS}
    assert {case.batch for case in found if case.grows != "batch"} == {BATCH}
    assert [(case.preset, case.transitions) for case in found if case.grows == "transitions"] == [
        ("fast", 1000),
        ("fast", 100_000),
        ("paper", 1000),
    ]


@pytest.fixture
def own_arithmetic() -> Iterator[None]:
    precision, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    yield
    torch.set_float32_matmul_precision(precision)
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("own_arithmetic")
def test_every_case_has_its_updates_a_second() -> None:
    settings = Settings("fast", batches=(8, 16), cameras=(), transitions=(), seconds=0.0, threads=1)
    rows = measure(settings, Console(quiet=True))
    assert [(row["grows"], row["batch"], row["threads"]) for row in rows] == [("batch", 8, 1), ("batch", 16, 1)]
    assert all(row["updates_per_s"] > 0 for row in rows)
    assert table(rows).row_count == 2
