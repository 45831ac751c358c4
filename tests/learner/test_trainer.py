"""The trainer with a store in memory: phases, the ratio it holds, resuming, errors; and that it learns."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

import waiting
from actor.inference import Policy
from learner.acceptance import Rejudged
from learner.checkpoint import load_checkpoint
from learner.checkpoint_folder import POLICY, last_policy_version, list_checkpoints, updates_of
from learner.disk import DiskFull
from learner.divergence import TrainingDiverged
from learner.judged import read_judged
from learner.mailbox import Ticket
from learner.publisher import PolicyPublisher
from learner.replay import Batch
from learner.rollback import roll_back
from learner.sac import Sac
from learner.settings import LearnerSettings
from learner.store import ExperienceStore
from learner.trainer import Trainer
from policy.commands import Answer, Command, Outcome, Verb
from policy.encoder import Encoder, ResNet10Shape, random_encoder
from policy.experience import Judgement, Observation, Reason, Source, Step
from policy.fakes import fake_contract, fake_episode
from policy.wire import pack_step

CONTRACT = fake_contract(cameras=1, proprioception=3)
TINY = ResNet10Shape(embedding_size=8, hidden_sizes=(8, 8, 16, 16))
DEADLINE_S = 60.0
eventually = partial(waiting.eventually, within_s=DEADLINE_S)


@dataclass(frozen=True)
class Counts:
    env_steps: int
    demo_episodes: int


class MemoryStore:
    """An experience store that forgets when the process ends."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.episodes = 0

    def add_episode(self, steps: int, source: Source, *, terminated: bool = True) -> None:
        rng = np.random.default_rng(self.episodes)
        episode = fake_episode(CONTRACT, steps, rng, episode=self.episodes, source=source, terminated=terminated)
        self.add(episode)

    def add(self, steps: list[Step]) -> None:
        self.steps += steps
        self.episodes += 1

    def read_after(self, cursor: int, limit: int) -> list[tuple[int, Step]]:
        return [(cursor + i + 1, step) for i, step in enumerate(self.steps[cursor : cursor + limit])]

    def cursors_after(self, cursor: int, limit: int) -> list[int]:
        return [each for each, _ in self.read_after(cursor, limit)]

    def demo_cursors(self) -> list[int]:
        return [cursor for cursor, step in enumerate(self.steps, start=1) if step.source is Source.DEMO]

    def ids_up_to(self, cursor: int) -> tuple[list[str], NDArray[np.int64]]:
        sessions = list(dict.fromkeys(step.id.session for step in self.steps[:cursor]))
        ids = [(sessions.index(s.id.session), *s.id.order, s.terminated) for s in self.steps[:cursor]]
        return sessions, np.array(ids, np.int64).reshape(-1, 4)

    def counts(self) -> Counts:
        demos = sum(step.last and step.source is Source.DEMO for step in self.steps)
        return Counts(len(self.steps), demos)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return random_encoder(0, TINY)


def make_settings(**sections: dict[str, object]) -> LearnerSettings:
    base: dict[str, dict[str, object]] = {
        "features": {"views": 2, "reduced_channels": 8},
        "network": {"head_width": 8, "hidden": (16,)},
        "sac": {"batch_size": 16},
        # One thread: the bits of a sum depend on how it is shared out.
        "trainer": {"demo_episodes": 2, "utd": 2.0, "publish_every_updates": 5, "log_every_updates": 20, "threads": 1},
    }
    return LearnerSettings.model_validate({name: base[name] | sections.get(name, {}) for name in base})


@contextmanager
def running(trainer: Trainer) -> Iterator[threading.Event]:
    """Run a trainer in a thread; stop it, and raise what it raised, at the end."""
    stop, errors = threading.Event(), []

    def body() -> None:
        try:
            trainer.run(stop)
        except Exception as error:  # noqa: BLE001 - handed over to the test below
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


class TestPhases:
    def test_it_waits_prepares_trains_to_its_ratio_and_stops(self, tmp_path: Path, encoder: Encoder) -> None:
        store, publisher = MemoryStore(), PolicyPublisher()
        trainer = Trainer(make_settings(), CONTRACT, store, publisher, encoder, tmp_path, 0)
        store.add_episode(5, Source.DEMO)
        with running(trainer):
            eventually(lambda: trainer.status().env_steps == 5)
            status = trainer.status()
            assert status.phase == "waiting for demonstrations"
            assert (status.updates, status.steps_behind, status.policy_version) == (0, 0, 0)

            store.add_episode(6, Source.DEMO)
            eventually(lambda: trainer.status().updates == 22)  # 11 steps at 2 updates each
            time.sleep(0.2)
            status = trainer.status()
            assert status.phase == "training"
            assert (status.updates, status.effective_utd, status.steps_behind) == (22, 2.0, 0)
            assert status.policy_version == 22 // 5

            store.add_episode(4, Source.POLICY, terminated=False)
            eventually(lambda: trainer.status().updates == 30)
            assert trainer.status().env_steps == 15
        assert trainer.status().phase == "stopped"
        assert [path.name for path in list_checkpoints(tmp_path / "checkpoints")][-1] == "update-000000030"
        lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
        # Every 20 updates, and where it stopped.
        assert [line["updates"] for line in lines] == [20, 30]
        assert {"critic_loss", "q_mean", "entropy", "temperature", "effective_utd", "views_ready"} <= lines[-1][
            "metrics"
        ].keys()
        assert lines[-1]["metrics"]["critic_gradient_norm"] > 0
        assert lines[-1]["metrics"]["recent_utd"] == 2.5  # 10 since the reading before, for 4 steps
        assert trainer.status().metrics["health/gradient_not_finite"] == 0.0
        assert list((tmp_path / "tensorboard").iterdir())

    def test_stopping_while_waiting_leaves_quietly(self, tmp_path: Path, encoder: Encoder) -> None:
        trainer = Trainer(make_settings(), CONTRACT, MemoryStore(), PolicyPublisher(), encoder, tmp_path, 0)
        with running(trainer):
            pass
        assert trainer.status().phase == "stopped"

    def test_it_publishes_before_the_online_steps_that_it_waits_for(self, tmp_path: Path, encoder: Encoder) -> None:
        store, publisher = MemoryStore(), PolicyPublisher()
        store.add_episode(3, Source.DEMO)
        store.add_episode(3, Source.DEMO)
        settings = make_settings(trainer={"demo_episodes": 2, "utd": 1.0, "online_steps_before_training": 4})
        trainer = Trainer(settings, CONTRACT, store, publisher, encoder, tmp_path, 0)
        with running(trainer):
            eventually(lambda: publisher.latest() is not None)
            time.sleep(0.1)
            assert (trainer.status().updates, trainer.status().steps_behind) == (0, 0)
            store.add_episode(4, Source.POLICY)
            eventually(lambda: trainer.status().updates == 10)

    def test_who_has_published_nothing_publishes_when_it_owes_nothing(self, tmp_path: Path, encoder: Encoder) -> None:
        store, publisher = MemoryStore(), PolicyPublisher()
        store.add_episode(2, Source.DEMO)
        settings = make_settings(trainer={"demo_episodes": 1, "utd": 1.0, "publish_every_updates": 1000})
        with running(Trainer(settings, CONTRACT, store, publisher, encoder, tmp_path, 0)):
            eventually(lambda: publisher.latest() is not None)

    def test_what_is_published_and_kept_is_the_running_mean(self, tmp_path: Path, encoder: Encoder) -> None:
        store, publisher = MemoryStore(), PolicyPublisher()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        settings = make_settings(sac={"batch_size": 16, "policy_tau": 0.1})
        with running(Trainer(settings, CONTRACT, store, publisher, encoder, tmp_path, 0)):
            eventually(lambda: publisher.latest() is not None)
        newest = list_checkpoints(tmp_path / "checkpoints")[-1]
        state = load_file(newest / "state.safetensors")
        assert (tmp_path / POLICY).read_bytes() == (newest / POLICY).read_bytes()  # of the run, too
        kept = {name: tensor for name, tensor in load_file(newest / POLICY).items() if name.startswith("policy.")}
        assert kept
        for name, tensor in kept.items():
            assert torch.equal(tensor, state[name.replace("policy.", "acting.", 1)].half()), name
            assert not torch.equal(tensor, state[name].half()), name


class TestResuming:
    def test_the_newest_policy_of_a_stopped_run_is_that_of_its_newest_checkpoint(
        self, tmp_path: Path, encoder: Encoder
    ) -> None:
        store, publisher = MemoryStore(), PolicyPublisher()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        settings = make_settings(trainer={"demo_episodes": 2, "utd": 2.3, "publish_every_updates": 10})
        trainer = Trainer(settings, CONTRACT, store, publisher, encoder, tmp_path, 0)
        with running(trainer):
            eventually(lambda: trainer.status().updates == 23)
        newest, checkpoint = publisher.latest(), list_checkpoints(tmp_path / "checkpoints")[-1]
        assert newest is not None
        assert updates_of(checkpoint) == 23
        assert newest.data == (checkpoint / "policy.safetensors").read_bytes()
        assert newest.version == trainer.status().policy_version

    def test_counters_versions_and_replay_go_on(self, tmp_path: Path, encoder: Encoder) -> None:
        store = MemoryStore()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        first = Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(first):
            eventually(lambda: first.status().updates == 20)
        version = first.status().policy_version
        store.add_episode(5, Source.POLICY)
        publisher = PolicyPublisher(version)
        second = Trainer(make_settings(), CONTRACT, store, publisher, encoder, tmp_path, 0)
        with running(second):
            eventually(lambda: second.status().updates == 30)
        latest = publisher.latest()
        assert latest is not None
        assert latest.version == second.status().policy_version > version
        meta = json.loads((tmp_path / "replay" / "replay.json").read_text())
        assert meta["steps"] == 15

    def test_a_lost_replay_is_rebuilt_from_the_store(self, tmp_path: Path, encoder: Encoder) -> None:
        store = MemoryStore()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        first = Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(first):
            eventually(lambda: first.status().updates == 20 and first.status().views_missing == 0)
        features = (tmp_path / "replay" / "maps.bin").read_bytes()[: 10 * 8 * 16 * 2]
        for path in (tmp_path / "replay").iterdir():
            path.unlink()
        second = Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(second):
            eventually(lambda: (tmp_path / "replay" / "maps.bin").exists() and second.status().phase == "training")
            eventually(lambda: second.status().views_missing == 0)
        again = np.frombuffer((tmp_path / "replay" / "maps.bin").read_bytes()[: len(features)], np.float16)
        np.testing.assert_allclose(again, np.frombuffer(features, np.float16), rtol=2**-9, atol=2**-11)

    def test_a_replay_of_steps_that_the_store_has_not_any_more_is_made_again(
        self, tmp_path: Path, encoder: Encoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = MemoryStore()
        for _ in range(3):
            store.add_episode(5, Source.DEMO)
        first = Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(first):
            eventually(lambda: first.status().updates == 30)
        del store.steps[5:10]
        second = Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(second):
            eventually(lambda: second.status().phase == "training")
        assert "its steps are not those of the store" in caplog.text
        assert json.loads((tmp_path / "replay" / "replay.json").read_text())["steps"] == 10
        assert second.status().updates == 30  # what was learned stays

    def test_once_another_classifier_was_accepted_replay_is_made_again_and_training_goes_on(
        self, tmp_path: Path, encoder: Encoder, caplog: pytest.LogCaptureFixture
    ) -> None:
        def append(episode: int, source: Source) -> None:
            rng = np.random.default_rng(episode)
            steps = fake_episode(CONTRACT, 5, rng, episode=episode, source=source, terminated=False)
            store.append([pack_step(step) for step in steps])

        def trainer() -> Trainer:
            return Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)

        with ExperienceStore(tmp_path / "experience.sqlite", CONTRACT) as store:
            store.keep_to_judge("3f" * 32)
            for episode, source in enumerate((Source.DEMO, Source.DEMO, Source.POLICY)):
                append(episode, source)
            first = trainer()
            with running(first):
                eventually(lambda: first.status().updates == 30)
            *_, last = read_judged(store)
            store.accept_judge("ab" * 32, [Rejudged(last, [None, Judgement(0.9, Reason.SUCCESS)])])
            second = trainer()
            with running(second):
                eventually(lambda: second.status().phase == "training")
                assert second.status().updates == 30
                append(3, Source.POLICY)
                eventually(lambda: second.status().updates == 40)
        assert "judged anew; made again" in caplog.text
        assert second.status().metrics["online_transitions"] == 2 + 5  # 3 steps came after the new end


class StoppingSink:
    """Takes snapshots, and stops the trainer with the last one: between two updates, at the same one each time."""

    def __init__(self, stop: threading.Event, snapshots: int) -> None:
        self._stop = stop
        self._left = snapshots
        self._version = 0

    def publish(self, snapshot: bytes) -> int:
        self._version += 1
        self._left -= 1
        if self._left == 0:
            self._stop.set()
        return self._version


class TestGoingOnBitByBit:
    SETTINGS: ClassVar[dict[str, dict[str, object]]] = {
        "features": {"views": 3, "reduced_channels": 8},
        "sac": {"batch_size": 16, "critics": 3},
    }

    def begin(self, store: MemoryStore, encoder: Encoder, folder: Path) -> None:
        """A run that has learned nothing yet, of which all views are there: until then draws depend on timing."""
        waiting: dict[str, object] = {"demo_episodes": 2, "utd": 2.0, "online_steps_before_training": 1_000}
        settings = make_settings(**self.SETTINGS, trainer=waiting)
        trainer = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, folder, 0)
        with running(trainer):
            eventually(lambda: trainer.status().phase == "training" and trainer.status().views_missing == 0)

    def train(self, store: MemoryStore, encoder: Encoder, folder: Path, snapshots: int) -> Path:
        """Train until so many snapshots were published; returns the newest checkpoint."""
        stop = threading.Event()
        Trainer(make_settings(**self.SETTINGS), CONTRACT, store, StoppingSink(stop, snapshots), encoder, folder, 0).run(
            stop
        )
        return list_checkpoints(folder / "checkpoints")[-1]

    def test_stopped_and_resumed_it_comes_to_what_it_comes_to_without(self, tmp_path: Path, encoder: Encoder) -> None:
        """Demos, takeovers, two actors at once, an open episode: the order of draws must come back as it was."""
        store, rng = MemoryStore(), np.random.default_rng(9)
        for source in (Source.DEMO, Source.DEMO, Source.HUMAN):
            store.add_episode(4, source)
        one, other = (fake_episode(CONTRACT, 4, rng, session=name * 32, source=Source.POLICY) for name in ("a", "b"))
        store.add([one[0], *other[:3], one[1], other[3], *one[2:]])
        store.add(fake_episode(CONTRACT, 3, rng, session="c" * 32, source=Source.POLICY)[:2])
        # 22 steps at 2 updates: 44, published every 5 updates. Resuming publishes as well.
        self.begin(store, encoder, tmp_path / "without")
        shutil.copytree(tmp_path / "without", tmp_path / "with")
        without = self.train(store, encoder, tmp_path / "without", 8)
        self.train(store, encoder, tmp_path / "with", 3)
        halfway = self.train(store, encoder, tmp_path / "with", 2)
        assert updates_of(halfway) == 20
        resumed = self.train(store, encoder, tmp_path / "with", 5)
        assert (updates_of(resumed), updates_of(without)) == (40, 40)
        # Networks, optimisers, temperature, and the random state of noise, dropout and subsets.
        assert (resumed / "state.safetensors").read_bytes() == (without / "state.safetensors").read_bytes()
        assert (resumed / "policy.safetensors").read_bytes() == (without / "policy.safetensors").read_bytes()
        one, other = (json.loads((each / "checkpoint.json").read_text()) for each in (resumed, without))
        assert one["sample_rng"] == other["sample_rng"]  # the same number of draws
        for name in ("maps", "next", "source"):
            ours, theirs = ((tmp_path / each / "replay" / f"{name}.bin").read_bytes() for each in ("with", "without"))
            assert ours == theirs


class TestRollingBack:
    def test_it_goes_on_from_there_at_once_and_owes_nothing_for_what_was_undone(
        self, tmp_path: Path, encoder: Encoder
    ) -> None:
        store, root = MemoryStore(), tmp_path / "checkpoints"
        for _ in range(3):
            store.add_episode(5, Source.DEMO)
        settings = make_settings(
            trainer={"demo_episodes": 2, "utd": 2.0, "checkpoint_every_updates": 10, "publish_every_updates": 5}
        )
        first = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(first):
            eventually(lambda: first.status().updates == 30)
        known = first.status().policy_version
        replay = (tmp_path / "replay" / "maps.bin").stat()
        good = load_checkpoint(root / "update-000000010", first.spec)
        roll_back(root, root / "update-000000010", env_steps=15)

        publisher = PolicyPublisher(last_policy_version(root, 5, 10))
        second = Trainer(settings, CONTRACT, store, publisher, encoder, tmp_path, 0)
        with running(second):
            newer = publisher.wait_newer(known, DEADLINE_S)  # as an actor waits that knows the newest version
            assert newer is not None
            policy = Policy(second.spec, CONTRACT, encoder)
            assert policy.load_snapshot(newer.data) == 10
            time.sleep(0.2)
            status = second.status()
            assert (status.updates, status.steps_behind, status.env_steps) == (10, 0, 15)
            store.add_episode(5, Source.POLICY)
            eventually(lambda: second.status().updates == 20)
            time.sleep(0.1)
            assert (second.status().updates, second.status().effective_utd) == (20, 2.0)
        assert [updates_of(path) for path in list_checkpoints(root)][-2:] == [10, 20]
        assert (tmp_path / "replay" / "maps.bin").stat().st_ino == replay.st_ino  # the cache is as good as before
        again = load_checkpoint(root / "update-000000010", second.spec)
        assert all(torch.equal(again.tensors[name], tensor) for name, tensor in good.tensors.items())
        third = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(third):
            eventually(lambda: third.status().phase == "training")
            time.sleep(0.2)
            assert (third.status().updates, third.status().steps_behind) == (20, 0)


class TestErrors:
    def test_a_weight_that_becomes_nan_is_named_and_the_last_good_checkpoint_goes_on(
        self, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = MemoryStore()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        settings = make_settings(trainer={"demo_episodes": 2, "utd": 4.0, "checkpoint_every_updates": 10})
        real = Sac.update

        def poison(sac: Sac, batch: Batch) -> None:
            real(sac, batch)
            if sac.updates == 25:
                next(iter(sac.policy.actor.out.parameters())).data.view(-1)[3] = float("nan")

        monkeypatch.setattr(Sac, "update", poison)
        trainer = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with pytest.raises(TrainingDiverged, match=r"after 25 updates policy\.actor\.out\.weight is not finite \(1 "):
            trainer.run(threading.Event())
        (evidence,) = (tmp_path / "diverged").glob("update-*")
        named = json.loads((evidence / "evidence.json").read_text())
        assert (named["not_finite"], named["updates"]) == (["policy.actor.out.weight"], 25)
        kept = load_checkpoint(evidence, trainer.spec).tensors["policy.actor.out.weight"]
        assert torch.isnan(kept).sum() == 1
        good = list_checkpoints(tmp_path / "checkpoints")[-1]
        assert updates_of(good) == 20
        tensors = load_checkpoint(good, trainer.spec).tensors.values()
        assert all(torch.isfinite(tensor).all() for tensor in tensors if tensor.is_floating_point())
        monkeypatch.undo()
        again = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with running(again):
            eventually(lambda: again.status().updates == 40)

    @pytest.mark.filterwarnings("ignore:invalid value encountered")
    def test_a_reward_that_is_not_finite_stops_the_run_and_the_state_is_kept(
        self, tmp_path: Path, encoder: Encoder
    ) -> None:
        store = MemoryStore()
        store.add_episode(5, Source.DEMO)
        poisoned = fake_episode(CONTRACT, 3, np.random.default_rng(7), episode=1)
        store.add([*poisoned[:2], replace(poisoned[2], reward=float("inf"))])
        trainer = Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        with pytest.raises(TrainingDiverged, match=r"is not finite .* kept in"), running(trainer):
            eventually(lambda: trainer.status().phase == "stopped")
        (evidence,) = (tmp_path / "diverged").glob("*/evidence.json")
        assert [updates_of(path) for path in list_checkpoints(tmp_path / "checkpoints")] == [0]
        assert any(name.startswith("critic") for name in json.loads(evidence.read_text())["not_finite"])

    def test_an_error_of_the_encoding_thread_ends_the_run(self, tmp_path: Path, encoder: Encoder) -> None:
        store = MemoryStore()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        trainer = Trainer(make_settings(), CONTRACT, store, PolicyPublisher(), encoder, tmp_path, 0)
        broken = fake_episode(CONTRACT, 1, np.random.default_rng(9), episode=9)[0]

        def train_then_break() -> None:
            with running(trainer):
                eventually(lambda: trainer.status().updates == 20)
                store.add([replace(broken, observation=replace(broken.observation, frames={}))])
                eventually(lambda: trainer.status().phase == "stopped")

        with pytest.raises(KeyError, match="camera0"):
            train_then_break()


class TestFullDisk:
    """The run folder lies on a small disk, which somebody else fills and clears again."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        store = MemoryStore()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        return store

    @pytest.mark.parametrize(
        ("settings", "room", "named"),
        [
            ({"replay_initial_slots": 32, "log_every_updates": 1000}, 0, "replay/maps.bin"),
            ({"checkpoint_every_updates": 25}, 64 << 10, "checkpoints/.update-000000025.tmp"),
            ({"log_every_updates": 1}, 0, "out.tfevents"),
        ],
        ids=["replay grows", "a checkpoint", "metrics"],
    )
    def test_it_waits_visibly_and_goes_on_once_there_is_room(
        self,
        small_disk: Callable[[int], Path],
        encoder: Encoder,
        store: MemoryStore,
        settings: dict[str, object],
        room: int,
        named: str,
    ) -> None:
        disk = small_disk(4096)
        trainer_settings: dict[str, object] = {"demo_episodes": 2, "utd": 2.0, "replay_initial_slots": 256}
        trainer = Trainer(
            make_settings(trainer=trainer_settings | settings), CONTRACT, store, PolicyPublisher(), encoder, disk, 0
        )
        with running(trainer):
            eventually(lambda: trainer.status().updates == 20)
            ballast = fill_up(disk, room)
            for _ in range(6):
                store.add_episode(5, Source.POLICY)  # 40 steps in all, 48 observations: more than 32
            eventually(lambda: trainer.status().phase.startswith("disk full"))
            assert named in trainer.status().phase
            assert trainer.status().updates < 80
            assert "MB free" in trainer.status().phase
            assert not list((disk / "checkpoints").glob(".*"))
            ballast.unlink()
            eventually(lambda: trainer.status().updates == 80)
            assert trainer.status().phase == "training"
        assert [path.name for path in list_checkpoints(disk / "checkpoints")][-1] == "update-000000080"
        lines = [json.loads(line)["updates"] for line in (disk / "metrics.jsonl").read_text().splitlines()]
        assert lines == sorted(set(lines))
        assert json.loads((disk / "replay" / "replay.json").read_text())["steps"] == 40

    def test_stopped_on_a_full_disk_it_says_so_and_the_next_start_goes_on(
        self, small_disk: Callable[[int], Path], encoder: Encoder, store: MemoryStore
    ) -> None:
        disk = small_disk(4096)
        trainer_settings: dict[str, object] = {
            "demo_episodes": 2,
            "utd": 2.0,
            "checkpoint_every_updates": 10,
            "replay_initial_slots": 256,
        }
        settings = make_settings(trainer=trainer_settings)

        def until_full() -> None:
            trainer = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, disk, 0)
            with running(trainer):
                eventually((disk / "checkpoints" / "update-000000020").is_dir)
                fill_up(disk)
                store.add_episode(5, Source.POLICY)
                eventually(lambda: trainer.status().phase.startswith("disk full"))

        with pytest.raises(DiskFull, match=r"disk full: .* 0\.0 MB free"):
            until_full()
        assert [path.name for path in list_checkpoints(disk / "checkpoints")][-1] == "update-000000020"
        (disk / "ballast").unlink()
        again = Trainer(settings, CONTRACT, store, PolicyPublisher(), encoder, disk, 0)
        with running(again):
            eventually(lambda: again.status().updates == 30)


def fill_up(disk: Path, but_for: int = 0) -> Path:
    """A file that takes all the room there is, but for some."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - but_for)
    return ballast


def coloured(rng: np.random.Generator, red: bool) -> Observation:
    """A noisy frame with a red or a blue square; the proprioception tells nothing."""
    frame = rng.integers(90, 130, (128, 128, 3)).astype(np.uint8)
    frame[32:96, 32:96] = (220, 30, 30) if red else (30, 30, 220)
    return Observation({"camera0": frame}, np.zeros(3, np.float32), np.zeros(0, np.float32))


def test_it_learns_which_way_each_colour_wants(tmp_path: Path, encoder: Encoder) -> None:
    """One-step episodes with random actions: reward 1 where red goes with x > 0, blue with x < 0. No BC term."""
    rng, store = np.random.default_rng(0), MemoryStore()
    for index in range(160):
        red = bool(rng.integers(2))
        (step,) = fake_episode(CONTRACT, 1, rng, episode=index, source=Source.DEMO if index < 40 else Source.POLICY)
        right = (step.action[0] > 0) == red
        store.add([replace(step, observation=coloured(rng, red), reward=float(right), final=coloured(rng, red))])
    settings = make_settings(
        network={"head_width": 16, "hidden": (64,)},
        sac={"batch_size": 64, "bc_weight": 0.0, "reward_scale": 1.0, "critic_lr": 2e-3, "actor_lr": 2e-3},
        trainer={"demo_episodes": 20, "utd": 3.0, "publish_every_updates": 20},
    )
    publisher = PolicyPublisher()
    trainer = Trainer(settings, CONTRACT, store, publisher, encoder, tmp_path, 0)
    policy, generator = Policy(trainer.spec, CONTRACT, encoder), torch.Generator()
    trials = [(red, coloured(rng, red)) for red in (True, False) * 25]

    def success() -> float:
        latest = publisher.latest()
        assert latest is not None
        policy.load_snapshot(latest.data)
        right = [bool(policy.select_action(seen, 0.0, generator)[0] > 0) == red for red, seen in trials]
        return sum(right) / len(right)

    with running(trainer):
        eventually(lambda: publisher.latest() is not None)
        assert success() <= 0.7  # after 20 updates: one way for both colours
        eventually(lambda: trainer.status().updates == 480)
    assert success() >= 0.95


class TestCommands:
    @staticmethod
    def tell(trainer: Trainer, verb: Verb) -> Answer:
        ticket = Ticket(Command(verb, uuid.uuid4().hex), expires_ns=1 << 62)
        trainer.desk.mailbox.put(ticket)
        eventually(lambda: ticket.answer is not None, verb.words)
        assert ticket.answer is not None
        return ticket.answer

    def test_a_pause_holds_the_updates_and_lets_experience_in(self, tmp_path: Path, encoder: Encoder) -> None:
        store, publisher = MemoryStore(), PolicyPublisher()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        trainer = Trainer(make_settings(), CONTRACT, store, publisher, encoder, tmp_path, 0)
        assert not trainer.desk.mailbox.is_read
        with running(trainer):
            eventually(lambda: trainer.status().updates == 20)
            paused = self.tell(trainer, Verb.PAUSE_TRAINING)
            assert (paused.outcome, trainer.status().phase) == (Outcome.DONE, "training is paused")
            store.add_episode(4, Source.POLICY, terminated=False)
            eventually(lambda: trainer.status().env_steps == 14)
            time.sleep(0.2)
            assert (trainer.status().updates, trainer.status().steps_behind) == (20, 4)

            saved = self.tell(trainer, Verb.CHECKPOINT)
            assert saved.reason == f"saved {tmp_path / 'checkpoints' / 'update-000000020'}"
            assert updates_of(list_checkpoints(tmp_path / "checkpoints")[-1]) == 20

            assert self.tell(trainer, Verb.RESUME_TRAINING).reason == "training goes on"
            eventually(lambda: trainer.status().updates == 28)  # what it owed, too
            assert trainer.status().phase == "training"
            assert self.tell(trainer, Verb.RESUME_TRAINING).reason == "training was not paused"
        assert not trainer.desk.mailbox.is_read

    def test_who_pauses_before_the_first_update_gets_no_untrained_policy(
        self, tmp_path: Path, encoder: Encoder
    ) -> None:
        store, publisher = MemoryStore(), PolicyPublisher()
        for _ in range(2):
            store.add_episode(5, Source.DEMO)
        trainer = Trainer(make_settings(), CONTRACT, store, publisher, encoder, tmp_path, 0)
        trainer.desk.held = True
        with running(trainer):
            eventually(lambda: trainer.status().phase == "training is paused")
            time.sleep(0.2)
            assert (trainer.status().updates, publisher.latest()) == (0, None)
