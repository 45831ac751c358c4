"""The fault bench: nothing is lost in a short storm, and its audit finds every kind of harm."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from bench.chaos import Settings, storm
from bench.chaos_audit import Verdict, audit
from bench.chaos_journal import Journal, read_journals
from bench.chaos_world import ChaosEnv, Key, chaos_contract, clipped_at, executed_at, key_of, observation_at
from learner.store import ExperienceStore
from policy.experience import Observation, Source, Step, StepId
from policy.wire import pack_step

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = chaos_contract()
SEED = 5
SESSION = "5" * 32
HARM = ("lost", "doubled", "mismatched", "foreign", "misplaced", "promised_twice", "unfinished", "unexpected_ends")


def step(process: int, reset: int, tick: int, *, episode: int | None = None, last: bool = False) -> Step:
    """The step of the world at a key, as the control loop would make it."""
    key = Key(process, reset, tick)
    return Step(
        id=StepId(SESSION, reset if episode is None else episode, tick),
        observation=observation_at(SEED, key, CONTRACT),
        action=executed_at(SEED, key, CONTRACT),
        source=Source.POLICY,
        reward=0.0,
        terminated=False,
        truncated=last,
        policy_version=3,
        monotonic_ns=1,
        wall_ns=2,
        final=observation_at(SEED, Key(process, reset, tick + 1), CONTRACT) if last else None,
        clipped=clipped_at(SEED, key),
    )


def whole_run() -> list[Step]:
    """Two episodes of two steps each, of one process."""
    return [step(0, reset, tick, last=tick == 1) for reset in range(2) for tick in range(2)]


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Verdict]:
    """Audits a store of these steps against a process that made, and was promised, others."""

    def judged(
        stored: list[Step], promised: list[Step], made: list[Step] | None = None, killed: frozenset[int] = frozenset()
    ) -> Verdict:
        with Journal(tmp_path, 0) as journal:
            for each in promised if made is None else made:
                journal.made(each)
            journal.taken(promised)
        with ExperienceStore(tmp_path / "store.sqlite", CONTRACT) as store:
            store.append([pack_step(each) for each in stored])
        return audit(tmp_path / "store.sqlite", CONTRACT, SEED, read_journals(tmp_path), killed)

    return judged


class TestTheWorld:
    def test_an_observation_is_the_same_whenever_it_is_made_and_another_at_another_key(self) -> None:
        first, again = (observation_at(SEED, Key(1, 2, 3), CONTRACT) for _ in range(2))
        other = observation_at(SEED, Key(1, 2, 4), CONTRACT)
        for name in first.frames:
            np.testing.assert_array_equal(first.frames[name], again.frames[name])
            assert (first.frames[name] != other.frames[name]).any()
        assert key_of(first) == Key(1, 2, 3)

    def test_the_environment_shows_what_can_be_computed_again(self) -> None:
        env = ChaosEnv(SEED, 7, CONTRACT)
        env.reset()
        seen, info = env.reset()
        done, tick = False, 0
        while not done:
            expected = observation_at(SEED, Key(7, 1, tick), CONTRACT)
            np.testing.assert_array_equal(seen["camera1"], expected.frames["camera1"])
            np.testing.assert_array_equal(info["sim_only"], expected.sim_only)
            seen, _, terminated, truncated, info = env.observe()
            np.testing.assert_array_equal(info["executed"], executed_at(SEED, Key(7, 1, tick), CONTRACT))
            done, tick = terminated or truncated, tick + 1


class TestTheAudit:
    def test_a_store_of_all_that_was_promised_is_clean(self, judge: Callable[..., Verdict]) -> None:
        verdict = judge(whole_run(), whole_run())
        assert verdict.clean, verdict.findings
        assert (verdict.sent, verdict.stored) == (4, 4)

    def test_a_step_that_nobody_had_promised_may_be_there_or_not(self, judge: Callable[..., Verdict]) -> None:
        steps = whole_run()
        assert judge(steps[:3], steps[:2], made=steps, killed=frozenset({0})).clean

    def test_a_promised_step_that_is_missing_is_lost(self, judge: Callable[..., Verdict]) -> None:
        verdict = judge(whole_run()[:3], whole_run(), killed=frozenset({0}))
        assert dict(verdict.counts) == {"lost": 1}

    def test_an_end_that_is_missing_is_excused_by_a_kill_alone(self, judge: Callable[..., Verdict]) -> None:
        steps = whole_run()
        assert dict(judge(steps[:3], steps[:3], made=steps).counts) == {"unfinished": 1}

    def test_the_same_observation_at_two_places_is_doubled(self, judge: Callable[..., Verdict]) -> None:
        steps = [*whole_run(), *(step(0, 1, tick, episode=2, last=tick == 1) for tick in range(2))]
        assert dict(judge(steps, steps).counts) == {"doubled": 2}

    def test_a_step_that_nobody_made_is_foreign(self, judge: Callable[..., Verdict]) -> None:
        steps = whole_run()
        assert judge(steps, steps[:3], made=steps[:3]).counts["foreign"] == 1

    @pytest.mark.parametrize("field", ["frame", "proprioception", "action", "final", "reward", "source", "wall_ns"])
    def test_a_change_of_any_field_is_found(self, judge: Callable[..., Verdict], field: str) -> None:
        steps = whole_run()
        steps[1] = changed(steps[1], field)
        assert dict(judge(steps, whole_run()).counts) == {"mismatched": 1}

    def test_a_gap_between_episodes_is_none_but_a_number_used_twice_is(
        self, judge: Callable[..., Verdict], tmp_path: Path
    ) -> None:
        with Journal(tmp_path, 1) as journal:  # a second process is promised a place of the first
            journal.made(step(1, 0, 0, episode=1))
            journal.taken([step(1, 0, 0, episode=1)])
        verdict = judge(whole_run(), whole_run())
        assert dict(verdict.counts) == {"promised_twice": 1, "lost": 1}

    def test_a_line_that_a_kill_has_cut_was_not_said(self, tmp_path: Path) -> None:
        with Journal(tmp_path, 0) as journal:
            journal.made(step(0, 0, 0))
        with (tmp_path / "journal-0000.jsonl").open("a") as file:
            file.write('["taken", ["555')
        assert read_journals(tmp_path).promised == {}


def changed(whole: Step, field: str) -> Step:
    """The step with one number of it changed."""
    seen, final = whole.observation, whole.final
    match field:
        case "frame":
            frames = {name: frame.copy() for name, frame in seen.frames.items()}
            frames["camera0"][64, 64, 1] ^= 1
            return dataclasses.replace(whole, observation=Observation(frames, seen.proprioception, seen.sim_only))
        case "proprioception":
            moved = np.nextafter(seen.proprioception, np.float32(9))
            return dataclasses.replace(whole, observation=Observation(seen.frames, moved, seen.sim_only))
        case "action":
            return dataclasses.replace(whole, action=whole.action[::-1].copy())
        case "final":
            assert final is not None
            return dataclasses.replace(whole, final=Observation(seen.frames, final.proprioception, final.sim_only))
        case "source":
            return dataclasses.replace(whole, source=Source.HUMAN)
        case _:
            return dataclasses.replace(whole, **{field: 7})  # type: ignore[arg-type]  # a number each


@pytest.fixture
def quiet() -> Iterator[Console]:
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        yield Console(file=nowhere)


def test_a_short_storm_loses_doubles_and_changes_nothing(tmp_path: Path, quiet: Console) -> None:
    short = Settings(kills=6, cuts=3, half_open=1, freezes=0, long_stops=0)
    figures = storm(short, tmp_path / "run", quiet)
    assert {kind: figures[kind] for kind in HARM} == dict.fromkeys(HARM, 0), figures
    assert figures["kills"] >= 6
    assert figures["steps_stored"] >= figures["steps_sent"] > 0
    assert (figures["half_open"], figures["half_open_noticed_max_s"] < 40) == (1, True)


@pytest.mark.slow
def test_nudge_learner_with_its_trainer_bears_a_storm(tmp_path: Path, quiet: Console) -> None:
    figures = storm(
        Settings(kills=10, cuts=4, half_open=1, freezes=1, long_stops=0, real_learner=True), tmp_path / "run", quiet
    )
    assert {kind: figures[kind] for kind in HARM} == dict.fromkeys(HARM, 0), figures


@pytest.mark.slow
def test_two_hundred_kills_lose_nothing() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench/chaos.py"), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=3600,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    assert {kind: figures[kind] for kind in HARM} == dict.fromkeys(HARM, 0), done.stdout
    assert (figures["kills"] >= 200, figures["half_open"], figures["long_stops"]) == (True, 20, 2)
    assert done.returncode == 0
