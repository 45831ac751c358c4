"""The trainer: waits for demonstrations, prepares features, then holds the update-to-data ratio until it is stopped."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from learner.checkpoint import load_checkpoint, save_checkpoint
from learner.checkpoint_folder import (
    CHECKPOINTS,
    POLICY,
    last_policy_version,
    list_checkpoints,
    reserve_policy_versions,
    tidy,
)
from learner.disk import PatientWriter, write_atomically
from learner.divergence import DIVERGED, raise_diverged
from learner.health import HealthWatch
from learner.ingest import Ingest, encode_some_demos, fit_on_maps
from learner.metrics import MetricsLog
from learner.open_replay import open_replay
from learner.ratio import UpdateRatio
from learner.replay import EncodedStep, Replay
from learner.rollback import finish_rollback, read_rollback
from learner.sac import Sac
from learner.settings import LearnerSettings
from learner.step_encoder import StepEncoder
from learner.threads import ThreadChoice, arithmetic
from learner.trainer_ports import SnapshotSink, TrainingStore
from learner.trainer_status import Phase, TrainerStatus, how_far
from learner.training_desk import TrainingDesk
from policy.contract import Contract
from policy.encoder import Encoder
from policy.features import FeatureReduction, Featurizer
from policy.network import PolicySpec, make_spec
from policy.snapshot import pack_snapshot

REPLAY = "replay"
WAIT_S = 0.05  # between two looks at something that is not there yet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Run:
    """What exists once features are prepared."""

    sac: Sac
    replay: Replay
    reduction: FeatureReduction | None
    rng: np.random.Generator
    ingest: Ingest
    ingesting: Future[None]
    log: MetricsLog
    threads: ThreadChoice
    stop: threading.Event


class Trainer:
    """One run's training. `run` is for one thread; `status` may be called from any other, and never waits.

    desk: what people tell the trainer
    """

    def __init__(
        self,
        settings: LearnerSettings,
        contract: Contract,
        store: TrainingStore,
        publisher: SnapshotSink,
        encoder: Encoder,
        run_folder: Path,
        seed: int,
    ) -> None:
        self.settings = settings
        self.spec: PolicySpec = make_spec(contract, encoder, settings.features.reduced_channels, settings.network)
        self.run_folder = run_folder
        self.desk = TrainingDesk()
        self._seed = seed
        self._contract = contract
        self._store = store
        self._publisher = publisher
        self._encoder = encoder
        self._phase: Phase = "waiting for demonstrations"
        self._when_there_is_room = PatientWriter()
        self._env_steps = 0
        self._updates = 0
        self._policy_version = 0
        self._published: int | None = None  # updates of the newest snapshot
        self._updates_per_s = 0.0
        self._warming_up = True  # nothing is owed yet
        self._prepared = 0.0
        self._views_missing = 0
        self._ratio = UpdateRatio(settings.trainer.utd)
        self._logged = 0, 0  # (environment steps, updates) of the reading before
        self._metrics: Mapping[str, float] = {}
        self._health = HealthWatch(settings, len(contract.action))

    def status(self) -> TrainerStatus:
        """Where the run stands now."""
        env_steps, updates = self._env_steps, self._updates
        return TrainerStatus(
            phase=self._when_there_is_room.waiting
            or how_far(self._phase_or_pause(), self._prepared, self._views_missing),
            env_steps=env_steps,
            updates=updates,
            effective_utd=self._ratio.effective(env_steps, updates),
            updates_per_s=self._updates_per_s,
            steps_behind=0 if self._warming_up else self._ratio.steps_behind(env_steps, updates),
            policy_version=self._policy_version,
            views_missing=self._views_missing,
            metrics=self._metrics,
        )

    def _phase_or_pause(self) -> Phase:
        return "training is paused" if self.desk.held and self._phase == "training" else self._phase

    def run(self, stop: threading.Event) -> None:
        """Train until `stop`. Ends with a checkpoint; raises what went wrong, in this thread or in the encoding one.

        On a full disk it waits, visibly, for room. `DiskFull` when there is none by `stop`: the next start goes on from
        the last checkpoint, and no experience is lost.
        """
        try:
            if not self._wait_for_demos(stop):
                return
            with ExitStack() as stack:
                threads = stack.enter_context(arithmetic(self.settings))
                run = self._prepare(stack, threads, stop)
                try:
                    with self.desk.open():
                        self._train(run, stop)
                finally:
                    self._when_there_is_room(stop, run.replay.save)
                if run.sac.updates % self.settings.trainer.log_every_updates:
                    self._log(run)  # the last line tells how far it came
                if self._published not in (None, run.sac.updates):
                    self._publish(run)  # so that the newest policy is that of the newest checkpoint
                self._checkpoint(run)
        finally:
            self._phase, self._when_there_is_room.waiting = "stopped", None

    def _wait_for_demos(self, stop: threading.Event) -> bool:
        """True once there are enough demos; False when stopped before."""
        while not stop.is_set():
            counts = self._store.counts()
            self._env_steps = counts.env_steps
            if counts.demo_episodes >= self.settings.trainer.demo_episodes:
                return True
            stop.wait(WAIT_S)
        return False

    def _prepare(self, stack: ExitStack, threads: ThreadChoice, stop: threading.Event) -> _Run:
        """Resume from the newest checkpoint, or fit the reduction and start afresh; start encoding."""
        self._phase = "preparing features"
        settings, seed = self.settings, self._seed
        sac = Sac(self.spec, self._contract, settings.sac, seed, torch.device(settings.trainer.device))
        rng = np.random.default_rng(seed)
        found, known = self._find_checkpoints(stop), dict[int, torch.Tensor]()
        if found:
            checkpoint = load_checkpoint(found[-1], self.spec)
            checkpoint.restore(sac)
            rng.bit_generator.state = checkpoint.sample_rng
            reduction = checkpoint.reduction
            self._updates, self._policy_version = sac.updates, checkpoint.policy_version
        else:
            known = encode_some_demos(self._store, self._encoder, self._contract, settings.features, seed)
            reduction = fit_on_maps(known, settings.features)
        featurizer = Featurizer(self._encoder, reduction, self._contract)
        replay = self._when_there_is_room(
            stop, open_replay, self.run_folder / REPLAY, featurizer, settings, self._contract, self._store, seed
        )
        step_encoder = StepEncoder(featurizer, settings.features, self._contract, seed, known)
        ingest = Ingest(self._store, step_encoder, replay.cursor, replay.views_cursor)
        pool = stack.enter_context(ThreadPoolExecutor(1, "encode"))
        stop_ingest = threading.Event()
        stack.callback(stop_ingest.set)
        metrics = stack.enter_context(self._when_there_is_room(stop, MetricsLog, self.run_folder))
        ingesting = pool.submit(ingest.run, stop_ingest)
        run = _Run(sac, replay, reduction, rng, ingest, ingesting, metrics, threads, stop)
        if not found:
            self._checkpoint(run)  # from here on the reduction is fixed, whatever happens
        return run

    def _find_checkpoints(self, stop: threading.Event) -> list[Path]:
        """Those to resume from, after what a killed process or a rollback has left is in order."""
        root, trainer = self._checkpoints, self.settings.trainer
        tidy(root)
        self._when_there_is_room(stop, finish_rollback, root)
        found, rollback = list_checkpoints(root), read_rollback(root)
        if found and rollback is not None:
            self._ratio = UpdateRatio(trainer.utd, rollback.updates, rollback.env_steps)
        if found:
            last = last_policy_version(root, trainer.publish_every_updates, trainer.checkpoint_every_updates)
            self._when_there_is_room(stop, self._reserve_versions, last)
        return found

    def _reserve_versions(self, last: int) -> None:
        trainer = self.settings.trainer
        reserve_policy_versions(
            self._checkpoints, last, trainer.publish_every_updates, trainer.checkpoint_every_updates
        )

    def _train(self, run: _Run, stop: threading.Event) -> None:
        settings = self.settings.trainer
        backlog = run.ingest.env_steps
        while run.replay.steps < backlog and not stop.is_set():  # else the first demos would be learned by heart
            self._heed_and_take(run, WAIT_S)
            self._prepared = run.replay.steps / backlog
        self._phase = "training"
        if run.sac.updates > 0 or settings.online_steps_before_training > 0:
            self._publish(run)  # who resumes, or needs online steps first, must give the actor something to act with
        while not stop.is_set() and not self._enough_online(run):
            self._heed_and_take(run, WAIT_S)
        self._warming_up = False
        self._logged = self._env_steps, run.sac.updates
        window_start, window_updates = time.monotonic(), run.sac.updates
        while not stop.is_set():
            owes = self._ratio.owed(run.replay.steps, run.sac.updates) >= 1
            if not owes and self._policy_version == 0:
                self._publish(run)
            self._heed_and_take(run, 0.0 if owes and not self.desk.held else WAIT_S)
            if owes and not self.desk.held:
                self._update(run)
            elapsed_s = time.monotonic() - window_start
            if elapsed_s >= 2.0:
                self._updates_per_s = (run.sac.updates - window_updates) / elapsed_s
                window_start, window_updates = time.monotonic(), run.sac.updates

    def _enough_online(self, run: _Run) -> bool:
        return run.replay.online_transitions >= self.settings.trainer.online_steps_before_training

    def _heed_and_take(self, run: _Run, timeout_s: float) -> None:
        """What people told, then what the actors did."""
        self.desk.heed(lambda: self._checkpoint(run))
        self._take(run, timeout_s)

    def _take(self, run: _Run, timeout_s: float) -> None:
        """Move what was encoded into replay; wait up to `timeout_s` for the first."""
        if run.ingesting.done():
            run.ingesting.result()  # raises what ended the encoding thread
        try:
            encoded = run.ingest.encoded.get(block=timeout_s > 0, timeout=timeout_s)
            while True:
                if isinstance(encoded, EncodedStep):
                    self._when_there_is_room(run.stop, run.replay.add, encoded)
                else:
                    run.replay.add_views(encoded)
                encoded = run.ingest.encoded.get_nowait()
        except queue.Empty:
            pass
        self._env_steps = max(run.ingest.env_steps, run.replay.steps)
        self._views_missing = run.replay.views_missing

    def _update(self, run: _Run) -> None:
        sac, settings, trainer = run.sac, self.settings.sac, self.settings.trainer
        with run.threads.update():
            batch = run.replay.sample(
                settings.batch_size, settings.demo_fraction, settings.n_step, settings.discount, run.rng
            )
            sac.update(batch)
        self._updates = sac.updates
        if sac.updates % trainer.log_every_updates == 0:
            self._log(run)
        if sac.updates % trainer.publish_every_updates == 0:
            self._publish(run)
        if sac.updates % trainer.checkpoint_every_updates == 0:
            self._checkpoint(run)

    def _publish(self, run: _Run) -> None:
        self._guard(run)
        self._policy_version = self._publisher.publish(pack_snapshot(run.sac.acting, run.reduction, run.sac.updates))
        self._published = run.sac.updates

    def _log(self, run: _Run) -> None:
        self._guard(run)
        metrics = {**self._metrics, **run.sac.read_metrics()}  # losses are read every few updates only
        status = self.status()
        metrics |= {
            "updates_per_s": status.updates_per_s,
            "threads": float(run.threads.chosen),
            "effective_utd": status.effective_utd,
            "steps_behind": float(status.steps_behind),
            "recent_utd": self._recent_utd(status),
            "demo_transitions": float(run.replay.demo_transitions),
            "online_transitions": float(run.replay.online_transitions),
            "views_ready": run.replay.views_ready,
        }
        if run.reduction is not None:
            metrics["explained_variance"] = min(run.reduction.explained_variance)
        metrics |= self._health.judge(metrics)
        self._metrics = metrics
        self._when_there_is_room(run.stop, run.log.write, run.sac.updates, status.env_steps, metrics)

    def _recent_utd(self, status: TrainerStatus) -> float:
        """Updates for each step that came since the reading before; all of them where none came."""
        steps, updates = status.env_steps - self._logged[0], status.updates - self._logged[1]
        self._logged = status.env_steps, status.updates
        return updates / max(steps, 1)

    def _guard(self, run: _Run) -> None:
        """Stop on the first weight or loss that is not finite, and keep what led there."""
        bad = run.sac.not_finite()
        if bad:
            kept = self._save(run, self.run_folder / DIVERGED, keep=1, snapshot=None)
            raise_diverged(bad, run.sac.updates, self._metrics, kept, self._checkpoints)

    def _checkpoint(self, run: _Run) -> Path:
        self._guard(run)
        self._when_there_is_room(run.stop, run.replay.save)
        self._when_there_is_room(run.stop, self._reserve_versions, self._policy_version)
        snapshot = pack_snapshot(run.sac.acting, run.reduction, run.sac.updates)
        kept = self._save(run, self._checkpoints, self.settings.trainer.checkpoints_kept, snapshot)
        # Whoever evaluates the run while it trains finds what it can do by now, not what an earlier learner left.
        self._when_there_is_room(run.stop, write_atomically, self.run_folder / POLICY, snapshot)
        return kept

    def _save(self, run: _Run, root: Path, keep: int, snapshot: bytes | None) -> Path:
        return self._when_there_is_room(
            run.stop, save_checkpoint, root, run.sac, run.reduction, self._policy_version, run.rng, keep, snapshot
        )

    @property
    def _checkpoints(self) -> Path:
        return self.run_folder / CHECKPOINTS
