"""The control loop on the simulated arm: what it records is what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from actor.camera_watch import CameraWatch
from actor.clock import Deadlines, GapWatch
from actor.episode import EpisodeOutcome
from actor.link_state import Pause, PauseCause
from actor.loop import ControlLoop
from actor.settings import LoopSettings, start_seed
from actor.spool_record import Progress
from policy.experience import Observation, Source, Step, StepId, check_step
from robot.cameras.drift import Finding
from robot.cameras.settings import DriftSettings
from robot.env import ArmEnv, make_env
from robot.errors import ArmFault
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from teleop.scripted import ScriptedOperator
from teleop.settings import OperatorSettings
from teleop.takeover import Control, Decision, OperatorView, Verdict
from waiting import eventually

CONTRACT = sim_contract()


class RecordingLink:
    """Keeps steps in a list and hands out snapshots; what the learner does with them is another test's matter.

    pauses: asks for a pause once so many steps are there
    """

    session = "0" * 32

    def __init__(
        self, versions: list[int], progress: Progress | None = None, pauses: dict[int, Pause] | None = None
    ) -> None:
        self.steps: list[Step] = []
        self.steps_behind = 0
        self.progress = progress or Progress()
        self.pause: Pause | None = None
        self._versions = versions
        self._pauses = pauses or {}

    def send(self, step: Step) -> None:
        self.steps.append(step)
        self.pause = self._pauses.get(len(self.steps) + 1, self.pause)

    def latest_snapshot(self) -> tuple[int, bytes] | None:
        return (self._versions.pop(0), b"") if self._versions else None


class Downwards:
    """A policy that only ever goes down."""

    def load_snapshot(self, data: bytes) -> int:
        return 0

    def select_action(
        self, observation: Observation, exploration: float, generator: torch.Generator
    ) -> NDArray[np.float32]:
        return np.array([0, 0, -1, 0], np.float32)


class Onlooker:
    """Keeps what it is told."""

    def __init__(self, outcomes: list[EpisodeOutcome]) -> None:
        self.outcomes = outcomes
        self.told: list[str] = []

    def episode_began(self, episode: int, *, demonstrating: bool) -> None:
        pass

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        self.outcomes.append(outcome)

    def arm_faulty(self, fault: ArmFault) -> None:
        self.told.append(str(fault))

    def arm_sound(self) -> None:
        self.told.append("sound")

    def operator_awaited(self, wish: str) -> None:
        self.told.append(wish)

    def control_changed(self, control: Control) -> None:
        self.told.append(control.value)

    def device_lost(self, what: str) -> None:
        self.told.append(what)

    def camera_drifted(self, finding: Finding) -> None:
        self.told.append(str(finding))


def cameras() -> CameraWatch:
    return CameraWatch(Path("never-made"), CONTRACT, DriftSettings())


@pytest.fixture(scope="module")
def env() -> Iterator[ArmEnv]:
    made = make_env(CONTRACT, ArmSettings(), TaskSettings(max_episode_steps=45), seed=0)
    yield made
    made.close()


def run(
    env: ArmEnv,
    demos: int,
    steps: int,
    stop: threading.Event | None = None,
    link: RecordingLink | None = None,
    **changes: Any,
) -> tuple[list[Step], list[EpisodeOutcome]]:
    link, outcomes = link or RecordingLink(versions=[1]), list[EpisodeOutcome]()
    onlooker = Onlooker(outcomes)
    operator = ScriptedOperator(CONTRACT, OperatorSettings(guided_episodes=0), seed=0)
    settings = LoopSettings(demo_episodes=demos, max_env_steps=steps, **changes)
    loop = ControlLoop(env, CONTRACT, settings, link, Downwards(), operator, 0, cameras(), onlooker)
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


def test_a_session_goes_on_with_its_numbers_and_budget_and_other_starts(env: ArmEnv) -> None:
    begun = Progress(StepId("0" * 32, 6, 3), in_episode=True, env_steps=100, demonstrations=2)
    assert begun.trained_episodes == 5
    steps, outcomes = run(env, demos=2, steps=110, link=RecordingLink([1], begun))
    assert [(step.id.episode, step.id.step) for step in steps] == [(7, number) for number in range(10)]
    assert (outcomes[0].demonstration, outcomes[0].env_steps) == (False, 110)
    first, _ = run(env, demos=0, steps=1)
    assert (steps[0].observation.sim_only != first[0].observation.sim_only).any()
    assert start_seed(0, 7) != start_seed(0, 8) != start_seed(1, 8)


def test_a_pause_cuts_the_episode_and_begins_none_until_it_is_over(env: ArmEnv) -> None:
    link, seen = RecordingLink([1], pauses={6: Pause(PauseCause.SPOOL_FULL, "")}), list[int]()

    def end_the_pause() -> None:
        while link.pause is None:
            time.sleep(0.01)
        time.sleep(0.5)
        seen.append(len(link.steps))
        link.pause = None

    watcher = threading.Thread(target=end_the_pause, daemon=True)
    watcher.start()
    steps, outcomes = run(env, 0, 12, link=link)
    # Asked for after the fifth step, so the sixth is the last one, with its final observation.
    assert seen == [6]
    assert [(step.truncated, step.final is not None) for step in steps[:6]] == [(False, False)] * 5 + [(True, True)]
    assert [step.id.episode for step in steps] == [0] * 6 + [1] * 6
    assert outcomes[0].cut == "the spool is full"


def test_an_absent_learner_pauses_only_between_episodes(env: ArmEnv) -> None:
    link = RecordingLink([1], pauses={2: Pause(PauseCause.AWAY, "")})
    stop = threading.Event()

    def stop_a_while_after_the_episode() -> None:
        eventually(lambda: len(link.steps) == 45)  # max_episode_steps
        stop.wait(1.0)
        stop.set()

    threading.Thread(target=stop_a_while_after_the_episode).start()
    steps, outcomes = run(env, 0, 100_000, stop=stop, link=link)
    assert (len(outcomes), len(steps)) == (1, 45)


def test_a_simulated_world_waits_in_the_tick_for_a_slow_disk(env: ArmEnv) -> None:
    link = RecordingLink([1], pauses={6: Pause(PauseCause.QUEUE, "")})
    threading.Timer(1.0, setattr, (link, "pause", None)).start()
    begun_s = time.monotonic()
    _, outcomes = run(env, 0, 20, link=link)
    assert time.monotonic() - begun_s > 0.9
    assert [outcome.steps for outcome in outcomes] == [20]


def test_a_real_world_does_not_wait_for_a_slow_disk(env: ArmEnv) -> None:
    link = RecordingLink([1], pauses={6: Pause(PauseCause.QUEUE, ""), 7: Pause(PauseCause.AWAY, "")})
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    _, outcomes = run(env, 0, 20, stop=stop, link=link, pace="realtime")
    assert [(outcome.steps, outcome.cut) for outcome in outcomes] == [(6, PauseCause.QUEUE.value)]


def test_an_episode_in_which_the_host_slept_ends_without_motion(env: ArmEnv) -> None:
    class Sleepy(RecordingLink):
        def send(self, step: Step) -> None:
            super().send(step)
            if len(self.steps) == 4:
                time.sleep(1.5)

    link = Sleepy([1])
    steps, outcomes = run(env, 0, 10, link=link, pace="realtime", max_gap_s=1.0)
    assert [outcome.steps for outcome in outcomes] == [5, 5]
    assert outcomes[0].cut == "no tick for 1 s"
    last = steps[4]
    assert (last.truncated, last.terminated, last.reward, last.final is not None) == (True, False, 0.0, True)
    assert last.action == pytest.approx([0] * 4, abs=0.02)
    assert steps[3].action[2] == pytest.approx(-1, abs=0.1)


def test_a_wall_clock_that_jumps_changes_only_what_people_read(env: ArmEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = iter(10**18 + (-1) ** number * number * 3_600 * 10**9 for number in range(1000))
    monkeypatch.setattr(time, "time_ns", lambda: next(now_ns))
    monkeypatch.setattr(time, "time", lambda: next(now_ns) / 1e9)
    steps, outcomes = run(env, 0, 12, pace="realtime")
    assert [(outcome.steps, outcome.cut) for outcome in outcomes] == [(12, "the step budget is spent")]
    between_s = np.diff([step.monotonic_ns for step in steps]) / 1e9
    assert (between_s > 0).all()
    assert between_s.sum() == pytest.approx(1.1, abs=0.5)  # 11 periods of 0.1 s
    assert (np.diff([step.wall_ns for step in steps]) < 0).any()


def test_an_emergency_stop_cuts_the_episode_and_the_next_begins_once_it_is_reset(env: ArmEnv) -> None:
    class Anxious(RecordingLink):
        def send(self, step: Step) -> None:
            super().send(step)
            if len(self.steps) == 4:
                env.guard.emergency.press("space bar")
                threading.Timer(2.5, env.guard.emergency.reset).start()

    outcomes: list[EpisodeOutcome] = []
    link, onlooker = Anxious([1]), Onlooker(outcomes)
    operator = ScriptedOperator(CONTRACT, OperatorSettings(guided_episodes=0), seed=0)
    settings = LoopSettings(demo_episodes=0, max_env_steps=10)
    ControlLoop(env, CONTRACT, settings, link, Downwards(), operator, 0, cameras(), onlooker).run(threading.Event())
    assert [outcome.steps for outcome in outcomes] == [5, 5]
    pressed = "emergency stop: pressed by space bar; press pause once the arm may move again"
    assert onlooker.told == ["policy", pressed, "sound", "policy"]
    cut = link.steps[4]
    assert (cut.truncated, cut.terminated, cut.reward) == (True, False, 0.0)
    assert not cut.action.any()
    # Nobody saw what came of it: what was seen before stands for it.
    assert cut.final is cut.observation
    check_step(cut, CONTRACT)
    assert outcomes[0].fault is not None
    assert (env.guard.trips["emergency"], outcomes[1].fault) == (
        3,
        None,
    )  # the step, and two looks while it was pressed


def test_a_stop_while_the_arm_is_faulty_ends_the_loop(env: ArmEnv) -> None:
    stop = threading.Event()
    env.guard.emergency.press("gamepad")
    threading.Timer(0.5, stop.set).start()
    steps, outcomes = run(env, 0, 10, stop=stop)
    env.guard.emergency.reset()
    env.recover()  # the arm was let go
    assert (steps, outcomes) == ([], [])


def test_success_is_paid_once_at_the_end(env: ArmEnv) -> None:
    steps, outcomes = run(env, demos=3, steps=300)
    assert any(outcome.success for outcome in outcomes)
    for outcome in outcomes:
        rewards = [step.reward for step in steps if step.id.episode == outcome.episode]
        assert rewards == [0.0] * (len(rewards) - 1) + [float(outcome.success)]


class Person:
    """An operator who does at each tick of an episode what a list says, and policy's turn is what is left."""

    def __init__(self, *decisions: Decision, wishes: tuple[str, ...] = ()) -> None:
        self._decisions, self._wishes = decisions, list(wishes)
        self._tick = 0
        self.paused = False

    def awaits(self, _view: OperatorView, *, demonstrating: bool) -> str:
        return self._wishes.pop(0) if self._wishes else ""

    def begin_episode(self, *, demonstrating: bool) -> None:
        self._tick = 0

    def poll(self, _view: OperatorView) -> Decision:
        self._tick += 1
        return self._decisions[self._tick - 1] if self._tick <= len(self._decisions) else Decision(Control.POLICY)


def by(control: Control, verdict: Verdict | None = None, **more: Any) -> Decision:
    up = np.array([0, 0, 1, 0], np.float32) if control is Control.HUMAN else None
    return Decision(control, up, verdict, **more)


def with_person(
    env: ArmEnv, person: Person, steps: int, demos: int = 0, stop: threading.Event | None = None, **changes: Any
) -> tuple[list[Step], Onlooker]:
    link, onlooker = RecordingLink(versions=[1]), Onlooker([])
    settings = LoopSettings(demo_episodes=demos, max_env_steps=steps, **changes)
    loop = ControlLoop(env, CONTRACT, settings, link, Downwards(), person, 0, cameras(), onlooker)
    loop.run(stop or threading.Event())
    return link.steps, onlooker


def test_who_is_in_control_is_stored_with_each_step_and_told_when_it_changes(env: ArmEnv) -> None:
    stages = (Control.POLICY, Control.ALIGNING, Control.HUMAN, Control.HUMAN, Control.RELEASING)
    steps, onlooker = with_person(env, Person(*map(by, stages)), steps=6)
    policy, hold, human = Source.POLICY, Source.HOLD, Source.HUMAN
    assert [step.source for step in steps] == [policy, hold, human, human, policy, policy]
    assert [float(np.rint(step.action[2])) for step in steps] == [-1, 0, 1, 1, -1, -1]
    assert onlooker.told == ["policy", "aligning", "human", "releasing", "policy"]


def test_a_demonstration_in_which_the_hands_are_off_holds_still(env: ArmEnv) -> None:
    steps, _ = with_person(env, Person(by(Control.HUMAN), by(Control.RELEASING)), steps=3, demos=1)
    assert [step.source for step in steps] == [Source.DEMO] * 3
    assert [float(np.rint(step.action[2])) for step in steps] == [1, 0, 0]


@pytest.mark.parametrize(
    ("verdict", "ending"),
    [
        (Verdict.SUCCESS, (1.0, True, False, False)),
        (Verdict.FAILURE, (0.0, True, False, False)),
        (Verdict.RERECORD, (0.0, False, True, True)),
    ],
)
def test_the_operators_word_ends_the_episode(
    env: ArmEnv, verdict: Verdict, ending: tuple[float, bool, bool, bool]
) -> None:
    steps, onlooker = with_person(env, Person(by(Control.HUMAN), by(Control.HUMAN, verdict)), steps=3)
    last = steps[1]
    assert (last.reward, last.terminated, last.truncated, last.rejected) == ending
    assert last.final is not None
    check_step(last, CONTRACT)
    assert steps[2].id.episode == 1
    assert [outcome.success for outcome in onlooker.outcomes] == [verdict is Verdict.SUCCESS, False]


def test_a_demonstration_that_is_to_be_recorded_again_does_not_count(env: ArmEnv) -> None:
    person = Person(by(Control.HUMAN, Verdict.RERECORD))
    steps, onlooker = with_person(env, person, steps=3, demos=1)
    assert [step.id.episode for step in steps] == [0, 1, 2]
    assert all(outcome.demonstration and outcome.rejected for outcome in onlooker.outcomes)


def test_an_episode_begins_once_the_operator_is_ready_and_sees_the_world_of_then(env: ArmEnv) -> None:
    person = Person(wishes=("take over", "take over", "now"))
    steps, onlooker = with_person(env, person, steps=1)
    assert onlooker.told[:2] == ["take over", "now"]
    assert len(steps) == 1


def test_a_stop_ends_the_wait_for_the_operator(env: ArmEnv) -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    steps, _ = with_person(env, Person(wishes=("never",) * 1000), steps=1, stop=stop)
    assert steps == []


def test_a_pause_of_the_operator_cuts_the_episode(env: ArmEnv) -> None:
    class Tired(Person):
        def poll(self, view: OperatorView) -> Decision:
            self.paused = self._tick == 2
            return super().poll(view)

    _, onlooker = with_person(env, Tired(), steps=4)
    assert [(outcome.steps, outcome.cut) for outcome in onlooker.outcomes] == [
        (3, "paused by the operator"),
        (1, "the step budget is spent"),
    ]


def test_a_device_that_falls_silent_in_a_demonstration_stops_the_arm(env: ArmEnv) -> None:
    silent = by(Control.RELEASING, lost="leader: silent for 0.7 s", silent_s=0.7)
    steps, onlooker = with_person(env, Person(by(Control.HUMAN), silent), steps=2, demos=1)
    assert onlooker.told[2] == "leader: silent for 0.7 s"
    assert "silent for 0.7 s, expected at most 0.5 s" in onlooker.outcomes[0].cut
    assert steps[-1].truncated


def test_a_device_that_falls_silent_in_training_leaves_the_arm_to_the_policy(env: ArmEnv) -> None:
    silent = by(Control.RELEASING, lost="leader: silent for 0.7 s", silent_s=0.7)
    steps, onlooker = with_person(env, Person(by(Control.HUMAN), silent), steps=3)
    assert [step.source for step in steps] == [Source.HUMAN, Source.POLICY, Source.POLICY]
    assert onlooker.outcomes[0].fault is None


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


def test_ticks_missed_in_a_long_sleep_are_not_caught_up() -> None:
    deadlines = Deadlines(rate_hz=50)
    deadlines.start()
    time.sleep(0.5)  # 25 periods
    ticks_s = []
    for _ in range(4):
        deadlines.wait()
        ticks_s.append(time.perf_counter())
    assert min(np.diff(ticks_s)) > 0.01
    assert deadlines.overruns >= 1


def test_a_gap_is_told_once_and_counted() -> None:
    gaps = GapWatch(longest_s=0.2)
    assert not gaps.slept()
    time.sleep(0.3)
    assert gaps.slept()
    assert not gaps.slept()
    time.sleep(0.3)
    gaps.start()  # a new episode
    assert not gaps.slept()
    assert gaps.gaps == 1
