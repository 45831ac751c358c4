"""`nudge learner`: the service that stores experience and trains."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from typing import Annotated

from pydantic import Field
from rich.console import Console

from console.dashboard.access import load_access
from console.dashboard.child import dashboard_beside, told_address
from console.demos.sets import adopt_demo_sets
from console.logs.logged import logged
from console.mirror.child import mirrors_beside
from console.mirror.sink import require_installed
from console.presets.load import AMONG_OPTIONS, load_options
from console.report.main import paper_deviations
from console.run_folder import POLICY_FILE, READY_FILE, STORE_FILE
from console.settings import DEFAULT_PRESET, Settings
from console.stopping import stop_event
from console.terminal.learner_view import LearnerView, shown
from console.terminal.steady_console import SteadyConsole
from console.terminal.telling import loud, tell
from learner.checkpoint_folder import CHECKPOINTS, last_policy_version
from learner.disk import write_atomically
from learner.publisher import PolicyPublisher
from learner.security import load_security
from learner.service import LearnerServer
from learner.store import ExperienceStore
from learner.trainer import Trainer
from nudge.v1 import learner_pb2 as pb
from policy.contract import Frozen
from policy.encoder import load_encoder


class LearnerOptions(Frozen):
    """Store what actors send, train, and publish, until Ctrl+C. Started again, it goes on where it was."""

    quiet: bool = Field(default=False, description="Print warnings, errors and what it came to; all else is logged.")
    settings: Annotated[Settings, *AMONG_OPTIONS]


def main(argv: list[str]) -> int:
    """Store, train and publish until someone says stop; the newest policy is left in the run folder."""
    options = load_options(LearnerOptions, argv, DEFAULT_PRESET, "nudge learner")
    serve(options.settings, SteadyConsole(quiet=options.quiet))
    return 0


def serve(settings: Settings, console: Console) -> None:
    """One run of the learner, resumed where its folder says it was; logged in that folder.

    console: shows the run live; a quiet one hears of what is wrong, and what the run came to
    """
    stop = stop_event()
    load_security(settings.service)  # what is wrong with key files is said before anything is made or loaded
    load_access(settings.dashboard)
    for service in settings.mirror.to:
        require_installed(service)
    settings.folder.mkdir(parents=True, exist_ok=True)
    with logged(settings.folder, "learner", settings.logs):
        _serve(settings, console, stop)


def _serve(settings: Settings, console: Console, stop: threading.Event) -> None:
    folder = settings.folder
    for line in paper_deviations(settings):
        if line.startswith("learner."):
            tell(console, f"not as in the paper: {line}")
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
        tell(console, f"listening on {address}, run {settings.run!r}, {store.counts().env_steps} steps in store")
        tell(console, told_address(settings, dashboard))
        view = LearnerView(settings, server.status, dashboard)
        stack.callback(view.close)
        try:
            with shown(view, console):
                trainer.run(stop)
            tell(loud(console), view.line())
        finally:
            (folder / READY_FILE).unlink(missing_ok=True)
            server.stop()
            newest = publisher.latest()
            if newest is not None:
                write_atomically(folder / POLICY_FILE, newest.data)
