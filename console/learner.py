"""`nudge learner`: the service that stores experience and trains."""

from __future__ import annotations

import json
from contextlib import ExitStack

from rich.console import Console

from console.dashboard.access import load_access
from console.dashboard.child import dashboard_beside, told_address
from console.demo_sets import adopt_demo_sets
from console.mirror.child import mirrors_beside
from console.mirror.sink import require_installed
from console.presets import load_settings
from console.run_folder import POLICY_FILE, READY_FILE, STORE_FILE
from console.run_report import paper_deviations
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from learner.checkpoint_folder import CHECKPOINTS, last_policy_version
from learner.disk import write_atomically
from learner.publisher import PolicyPublisher
from learner.security import load_security
from learner.service import LearnerServer
from learner.store import ExperienceStore
from learner.trainer import Trainer
from nudge.v1 import learner_pb2 as pb
from policy.encoder import load_encoder


def main(argv: list[str]) -> int:
    """Store, train and publish until someone says stop; the newest policy is left in the run folder."""
    settings = load_settings(Settings, argv, DEFAULT_PRESET, "nudge learner")
    serve(settings, Console())
    return 0


def serve(settings: Settings, console: Console) -> None:
    """One run of the learner, resumed where its folder says it was."""
    stop = stop_event()
    load_security(settings.service)  # what is wrong with key files is said before anything is made or loaded
    load_access(settings.dashboard)
    for service in settings.mirror.to:
        require_installed(service)
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    for line in paper_deviations(settings):
        if line.startswith("learner."):
            console.print(f"not as in the paper: {line}")
    trainer_settings = settings.learner.trainer
    publisher = PolicyPublisher(
        last_policy_version(
            folder / CHECKPOINTS, trainer_settings.publish_every_updates, trainer_settings.checkpoint_every_updates
        )
    )
    with ExitStack() as stack:
        store = stack.enter_context(ExperienceStore(folder / STORE_FILE, settings.contract))
        dashboard = stack.enter_context(dashboard_beside(settings))  # it starts while the encoder is loaded
        stack.enter_context(mirrors_beside(settings, console))
        adopt_demo_sets(settings, store, console)
        encoder = load_encoder(settings.learner.encoder)
        trainer = Trainer(settings.learner, settings.contract, store, publisher, encoder, folder, settings.seed)

        def status() -> pb.StatusReply:
            now, counts = trainer.status(), store.counts()
            return pb.StatusReply(
                run_id=settings.run,
                contract_hash=settings.contract.hash,
                phase=now.phase,
                env_steps=counts.env_steps,
                episodes=counts.episodes,
                demo_episodes=counts.demo_episodes,
                updates=now.updates,
                effective_utd=now.effective_utd,
                updates_per_s=now.updates_per_s,
                policy_version=now.policy_version,
                metrics=dict(now.metrics),
                steps_behind=now.steps_behind,
            )

        spec_json = trainer.spec.model_dump_json()
        training = trainer.desk.mailbox
        server = LearnerServer(
            settings.service, settings.contract, settings.run, store, publisher, spec_json, status, training
        )
        address = f"{settings.service.host}:{server.start()}"
        write_atomically(folder / READY_FILE, json.dumps({"address": address}).encode())
        console.print(f"listening on {address}, run {settings.run!r}, {store.counts().env_steps} steps in store")
        console.print(told_address(settings, dashboard))
        try:
            trainer.run(stop)
        finally:
            (folder / READY_FILE).unlink(missing_ok=True)
            server.stop()
            newest = publisher.latest()
            if newest is not None:
                write_atomically(folder / POLICY_FILE, newest.data)
