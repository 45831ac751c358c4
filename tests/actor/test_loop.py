"""The control loop on the simulated arm: what it records is what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actor.clock import Deadlines
from actor.errors import ActorError
from actor.loop import ControlLoop, EpisodeOutcome
from actor.settings import LoopSettings
from policy.experience import Observation, Source, Step, check_step
from robot.env import ArmEnv, make_env
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from teleop.scripted import ScriptedOperator
from teleop.settings import OperatorSettings

CONTRACT = sim_contract()


class RecordingLink:
    """Keeps steps in a list and hands out snapshots; what the learner does with them is another test's matter."""

    session = "0" * 32

    def __init__(self, versions: list[int]) -> None:
        self.steps: list[Step] = []
        self.steps_behind = 0
        self._versions = versions

    def send(self, step: Step) -> None:
        self.steps.append(step)

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        return (self._versions.pop(0), b"") if self._versions else None


class Downwards:
    """A policy that only ever goes down."""

    def load_snapshot(self, data: bytes) -> int:
        return 0

    def select_action(
        self, observation: Observation, deterministic: bool, generator: torch.Generator
    ) -> NDArray[np.float32]:
        return np.array([0, 0, -1, 0], np.float32)


@pytest.fixture(scope="module")
def env() -> Iterator[ArmEnv]:
    made = make_env(CONTRACT, ArmSettings(), TaskSettings(max_episode_steps=45), seed=0)
    yield made
    made.close()


def run(
    env: ArmEnv, demos: int, steps: int, stop: threading.Event | None = None
) -> tuple[list[Step], list[EpisodeOutcome]]:
    link, outcomes = RecordingLink(versions=[1]), list[EpisodeOutcome]()
    operator = ScriptedOperator(CONTRACT, OperatorSettings(), seed=0)
    settings = LoopSettings(demo_episodes=demos, max_env_steps=steps)
    loop = ControlLoop(env, CONTRACT, settings, link, Downwards(), operator, 0, outcomes.append)
    loop.run(stop or threading.Event())
    return link.steps, outcomes


def test_each_step_holds_what_was_seen_before_it_acted(env: ArmEnv) -> None:
    steps, _ = run(env, demos=0, steps=30)
    # The same actions replayed from the same seed must meet the same observations, one by one.
    seen, _ = env.reset(seed=0)
    for step in steps:
        np.testing.assert_array_equal(step.observation.frames["wrist"], seen["wrist"])
        np.testing.assert_array_equal(step.observation.proprioception, seen["proprioception"])
        action = np.array([0, 0, -1, 0], np.float32) if step.source is Source.POLICY else step.action
        seen, *_ = env.step(action)
    final = steps[-1].final
    assert final is not None
    np.testing.assert_array_equal(final.frames["front"], seen["front"])


def test_every_recorded_step_is_one_that_the_contract_allows(env: ArmEnv) -> None:
    steps, _ = run(env, demos=1, steps=120)
    for step in steps:
        check_step(step, CONTRACT)
    assert [s.id.step for s in steps if s.id.episode == 0] == list(range(sum(s.id.episode == 0 for s in steps)))


def test_demonstrations_come_first_and_are_marked(env: ArmEnv) -> None:
    steps, outcomes = run(env, demos=2, steps=150)
    assert [outcome.demonstration for outcome in outcomes][:2] == [True, True]
    for step in steps:
        assert (step.source is Source.DEMO) == outcomes[step.id.episode].demonstration


def test_takeovers_are_marked_and_stored_as_executed(env: ArmEnv) -> None:
    steps, outcomes = run(env, demos=0, steps=45)  # a policy that digs into the table makes no progress
    human = [step for step in steps if step.source is Source.HUMAN]
    assert 0 < len(human) == outcomes[0].human_steps
    # Down into the table the box lets nothing through: the policy's -1 is stored as 0.
    assert [step.action[2] for step in steps[8:12]] == pytest.approx([0] * 4, abs=0.02)


def test_the_step_budget_ends_the_last_episode_as_truncated(env: ArmEnv) -> None:
    steps, outcomes = run(env, demos=0, steps=10)
    assert len(steps) == outcomes[-1].env_steps == 10
    assert (steps[-1].truncated, steps[-1].terminated, steps[-1].final is not None) == (True, False, True)


def test_a_stop_ends_the_episode_with_its_final_observation(env: ArmEnv) -> None:
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    steps, _ = run(env, demos=0, steps=100_000, stop=stop)
    assert steps[-1].truncated
    assert steps[-1].final is not None


def test_success_is_paid_once_at_the_end(env: ArmEnv) -> None:
    steps, outcomes = run(env, demos=3, steps=300)
    for outcome in outcomes:
        rewards = [step.reward for step in steps if step.id.episode == outcome.episode]
        assert rewards == [0.0] * (len(rewards) - 1) + [float(outcome.success)]


def test_a_demonstration_without_hands_is_refused(env: ArmEnv) -> None:
    class Absent:
        def begin_episode(self, *, demonstrating: bool) -> None: ...

        def poll(self, view: object) -> None:
            return None

        def end_episode(self, *, success: bool, human_steps: int) -> None: ...

    loop = ControlLoop(
        env, CONTRACT, LoopSettings(demo_episodes=1), RecordingLink([]), Downwards(), Absent(), 0, lambda outcome: None
    )
    with pytest.raises(ActorError, match="hands are off"):
        loop.run(threading.Event())


def test_a_late_tick_does_not_shift_the_ones_after_it() -> None:
    deadlines = Deadlines(rate_hz=50)
    deadlines.start()
    begin_s = time.perf_counter()
    for tick in range(10):
        if tick == 4:
            time.sleep(0.03)  # one and a half periods
        deadlines.wait()
    # Ten periods of 20 ms, although one of them was overslept.
    assert time.perf_counter() - begin_s == pytest.approx(0.2, abs=0.03)
    assert deadlines.overruns == 1
