"""The reward classifier as the judge of a run: asked about each observation, heard once, stored with each step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from actor.camera_watch import CameraWatch
from actor.episode import EpisodeOutcome, Made
from actor.errors import ActorError
from actor.inference import Policy
from actor.judging import ClassifierJudge
from actor.link import LearnerLink, LinkSettings, Spool
from actor.loop import ControlLoop
from actor.recording import NoPolicy
from actor.settings import LoopSettings
from actor.shared_maps import SharedMaps
from classifiers import HELD_UP, made_classifier
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore, StoreReader
from learner.store_copy import export_store
from learner.store_selection import choose_episodes
from nudge.v1 import learner_pb2 as pb
from policy.encoder import Encoder, ResNet10Shape, random_encoder
from policy.experience import Clipped, Observation, Reason, Step
from policy.fakes import fake_contract, fake_observation
from policy.features import FeatureReduction
from policy.network import PolicyNetwork, make_spec
from policy.settings import NetworkSettings
from policy.snapshot import pack_snapshot
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.gate import Gate
from reward_classifier.judge import Opinion
from robot.cameras.drift import Finding
from robot.cameras.settings import DriftSettings
from robot.env import ArmEnv, make_env
from robot.errors import ArmFault
from robot.settings import ArmSettings, TaskSettings
from robot.sim import sim_contract
from teleop.scripted import ScriptedOperator
from teleop.settings import OperatorSettings
from teleop.takeover import Control, Decision, Operator, OperatorView, Verdict

SIM, SMALL = sim_contract(), fake_contract(cameras=2, proprioception=5, size_px=64)
TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 16))


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(0, TINY)


@pytest.fixture(scope="module")
def env() -> Iterator[ArmEnv]:
    made = make_env(SIM, ArmSettings(), TaskSettings(judge="classifier", max_episode_steps=60), seed=0)
    yield made
    made.close()


class Onlooker:
    """Keeps how episodes ended."""

    def __init__(self) -> None:
        self.outcomes: list[EpisodeOutcome] = []

    def episode_began(self, episode: int, *, demonstrating: bool) -> None:
        pass

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        self.outcomes.append(outcome)

    def arm_faulty(self, fault: ArmFault) -> None:
        raise AssertionError(fault)

    def arm_sound(self) -> None: ...

    def operator_awaited(self, wish: str) -> None: ...

    def control_changed(self, control: Control) -> None: ...

    def device_lost(self, what: str) -> None: ...

    def camera_drifted(self, finding: Finding) -> None: ...


class Keeper:
    """Holds the arm still, and ends each episode with a verdict after so many steps."""

    paused = False

    def __init__(self, verdict: Verdict, steps: int) -> None:
        self._verdict, self._steps, self._taken = verdict, steps, 0

    def begin_episode(self, *, demonstrating: bool) -> None:
        self._taken = 0

    def awaits(self, _view: OperatorView, *, demonstrating: bool) -> str:
        return ""

    def poll(self, _view: OperatorView) -> Decision:
        self._taken += 1
        pressed = self._verdict if self._taken == self._steps else None
        return Decision(Control.HUMAN, np.zeros(4, np.float32), pressed)


class Live:
    """A learner with its store, and the control loop of an actor on a link to it."""

    def __init__(self, folder: Path, env: ArmEnv, classifier: SuccessClassifier, maps: SharedMaps) -> None:
        self.folder, self.onlooker = folder, Onlooker()
        self._env, self._classifier, self._maps = env, classifier, maps

    def demonstrate(self, operator: Operator, steps: int) -> list[Step]:
        """So many steps; as the store has them."""
        path, settings = self.folder / "experience.sqlite", LoopSettings(demo_episodes=1000, max_env_steps=steps)
        with ExitStack() as stack:
            store = stack.enter_context(ExperienceStore(path, SIM))
            service = ServiceSettings(port=0)
            server = LearnerServer(service, SIM, "trial", store, PolicyPublisher(), "{}", pb.StatusReply)
            link_settings = LinkSettings(address=f"127.0.0.1:{server.start()}")
            stack.callback(server.stop, 0.5)
            spool = stack.enter_context(Spool(self.folder / "spool.sqlite", SIM, link_settings))
            name = self._classifier.facts.name
            link = stack.enter_context(LearnerLink(link_settings, SIM, spool, name))
            link.open()
            cameras = CameraWatch(self.folder / "never-made", SIM, DriftSettings())
            judge = ClassifierJudge(self._classifier, self._maps)
            loop = ControlLoop(self._env, SIM, settings, link, NoPolicy(), operator, 0, cameras, self.onlooker, judge)
            loop.run(threading.Event())
            assert link.flush(20)
            assert loop.timing.stopwatch.durations["judge"].count == steps + len(self.onlooker.outcomes)
            return [step for _, step in store.read_after(0, 10_000)]


@pytest.fixture
def live(tmp_path: Path, env: ArmEnv, encoder: Encoder) -> Live:
    return Live(tmp_path, env, made_classifier(SIM, encoder, HELD_UP), SharedMaps(encoder, SIM))


def test_it_pays_in_a_run_of_actor_learner_and_store_and_its_opinions_are_kept(live: Live) -> None:
    steps = live.demonstrate(ScriptedOperator(SIM, OperatorSettings(), seed=0), steps=110)
    won = [outcome for outcome in live.onlooker.outcomes if outcome.success]
    assert won
    for outcome in live.onlooker.outcomes:
        own = [step for step in steps if step.id.episode == outcome.episode]
        judgements = [step.judgement for step in own]
        assert all(each is not None for each in judgements)
        assert [each.pays for each in judgements if each] == [step.reward == 1.0 for step in own]
        assert own[-1].terminated is outcome.success
        assert sum(step.reward for step in own) == float(outcome.success)  # once, at the end
    assert {step.clipped for step in steps} == {Clipped(True, False), Clipped(False, False)}  # it grasps at the floor
    last = next(step for step in steps if step.reward)
    assert last.judgement is not None
    assert last.judgement.probability == pytest.approx(0.982, abs=1e-3)
    assert last.final is not None
    # What paid was seen after the step: the tool at 7 cm or more, which is where the gate begins.
    assert last.final.proprioception[8] >= 0.07 > min(step.observation.proprioception[8] for step in steps)
    reasons = {step.judgement.reason for step in steps if step.judgement}
    assert {Reason.GATE, Reason.SUCCESS} <= reasons
    with StoreReader(live.folder / "experience.sqlite") as store:
        judge = store.judge()
        assert judge is not None
        assert judge.name == live._classifier.facts.name
        export_store(store, live.folder / "copy.sqlite", choose_episodes(store))
    with StoreReader(live.folder / "copy.sqlite") as copy:
        assert [step.judgement for _, step in copy.read_after(0, 10_000)] == [step.judgement for step in steps]
        assert copy.judge() == judge


def test_the_operators_key_goes_over_it_and_the_difference_is_told(live: Live) -> None:
    steps = live.demonstrate(Keeper(Verdict.SUCCESS, 6), steps=6)
    assert [step.reward for step in steps] == [0.0] * 5 + [1.0]
    (outcome,) = live.onlooker.outcomes
    assert outcome.disputed
    assert outcome.opinion is not None
    # The jaw stands open at the start, and nobody has closed it.
    assert outcome.opinion.told.startswith("joint.gripper 0.6")
    assert steps[-1].judgement is not None
    assert steps[-1].judgement.reason is Reason.GATE


def test_a_rule_that_could_pay_before_the_first_step_is_refused(encoder: Encoder) -> None:
    made = made_classifier(SMALL, encoder, Gate())
    rule = made.facts.rule.model_copy(update={"k": 1, "minimum_step": 0})
    early = SuccessClassifier(made.facts.model_copy(update={"rule": rule}), made.network)
    with pytest.raises(ActorError, match="may pay for the frame before the first step"):
        ClassifierJudge(early, SharedMaps(encoder, SMALL))


class TestOpinions:
    def step(self, **changes: object) -> Made:
        seen = fake_observation(SMALL, np.random.default_rng(0))
        return Made(seen, np.zeros(4, np.float32), **changes)  # type: ignore[arg-type]  # the names are those of the fields

    def opinion(self, encoder: Encoder, steps: int) -> Opinion:
        judge = ClassifierJudge(made_classifier(SMALL, encoder, Gate()), SharedMaps(encoder, SMALL))
        seen = [fake_observation(SMALL, np.random.default_rng(number)) for number in range(steps + 1)]
        judge.begin(seen[0])
        return [judge.opinion(each) for each in seen[1:]][-1]

    def test_one_that_pays_ends_the_episode_also_at_the_last_step_there_may_be(self, encoder: Encoder) -> None:
        # Of the rule 2 of 3 frames from step 3 on: the third step is the first that may be paid for.
        assert not self.opinion(encoder, 2).pays
        made = self.step(truncated=True).thought(self.opinion(encoder, 3))
        assert (made.reward, made.terminated, made.truncated, made.success) == (1.0, True, False, True)
        assert not made.judged(Verdict.FAILURE).success
        assert made.judged(Verdict.RERECORD).reward == 0.0

    def test_one_that_does_not_changes_nothing(self, encoder: Encoder) -> None:
        made = self.step(truncated=True).thought(self.opinion(encoder, 2))
        assert (made.reward, made.terminated, made.truncated) == (0.0, False, True)


class TestSharedMaps:
    def test_an_observation_is_encoded_once_and_the_maps_are_those_of_encoding_it_again(self, encoder: Encoder) -> None:
        maps, rng = SharedMaps(encoder, SMALL), np.random.default_rng(0)
        one, other = fake_observation(SMALL, rng), fake_observation(SMALL, rng)
        first = maps(one)
        assert maps(one) is first
        assert torch.equal(first, SharedMaps(encoder, SMALL)(one))
        assert not torch.equal(maps(other), first)
        assert torch.equal(maps(one), first)  # only the newest is kept
        alike = Observation(one.frames, one.proprioception, one.sim_only)
        assert maps(alike) is not maps(one)  # it is known by who it is

    def test_actions_are_the_same_to_the_last_bit_with_a_judge_beside_the_policy(self, encoder: Encoder) -> None:
        spec = make_spec(SMALL, encoder, 6, NetworkSettings(head_width=8, hidden=(16,)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            channels = spec.encoder.channels
            reduction = FeatureReduction(torch.randn(2, channels), torch.randn(2, channels, 6) / channels, (1.0, 1.0))
            data = pack_snapshot(PolicyNetwork(spec, SMALL), reduction, 0)
        alone, beside = Policy(spec, SMALL, encoder), Policy(spec, SMALL, encoder)
        judge = ClassifierJudge(made_classifier(SMALL, encoder, Gate(), seed=3), beside.maps)
        opinions = []
        for policy in (alone, beside):
            policy.load_snapshot(data)
        for number in range(5):
            seen = fake_observation(SMALL, np.random.default_rng(number))
            judge.begin(seen) if number == 0 else opinions.append(judge.opinion(seen))
            one, other = (
                policy.select_action(seen, 1.0, torch.Generator().manual_seed(number)) for policy in (alone, beside)
            )
            assert one.tobytes() == other.tobytes()
        assert len({each.judgement.probability for each in opinions}) == 4  # it has looked at each of them
