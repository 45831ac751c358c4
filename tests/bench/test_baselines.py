"""The benchmark of imitation: its command line."""

from __future__ import annotations

from bench.baselines import parse


def test_what_follows_two_dashes_goes_to_lerobot_as_it_is() -> None:
    made = parse(["lift", "--act-steps", "5", "--", "--policy.dim_model=64", "--num_workers=2"])
    assert (made.source, made.act_steps) == ("lift", 5)
    assert made.lerobot == ["--policy.dim_model=64", "--num_workers=2"]
    assert parse(["lift"]).lerobot == []
