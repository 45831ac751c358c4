"""Demo sets in a run: the learner takes them into its store, and the actor demonstrates so much less."""

from __future__ import annotations

import logging
from pathlib import Path

from rich.console import Console

from actor.link_state import Welcome
from console.errors import ConsoleError
from console.run_folder import REFERENCE_FOLDER
from console.settings import Settings
from console.terminal.telling import tell
from demos.demo_set import EXPERIENCE_FILE, HASH_DIGITS, REFERENCE, open_demo_set, read_facts
from learner.store import ExperienceStore
from robot.cameras.reference import REFERENCE_FILE


def adopt_demo_sets(settings: Settings, store: ExperienceStore, console: Console) -> None:
    """Have the store hold the episodes of all sets, once each, on disk when this returns.

    A set of which something is new is looked at, every byte of it; what the store has already stays as it is.
    Raise `DemoSetError` for a set that is missing or has changed, `ContractMismatch` with the difference for one of
    another contract.
    """
    for folder in settings.demo_sets:
        facts, new = read_facts(folder), 0
        settings.contract.require_equal(facts.contract, "this run", f"the demo set {facts.name} in {folder}")
        if store.lacks(folder / EXPERIENCE_FILE):
            new = store.adopt(open_demo_set(folder, settings.contract).experience)
        tell(
            console,
            f"demo set {facts.name} {facts.hash[:HASH_DIGITS]}: {facts.episodes} demonstrations, {new or 'none'} of "
            f"them new to this run",
        )


def demonstrations_to_record(settings: Settings, welcome: Welcome, console: Console) -> int:
    """How many the operator is still asked for in this run, those of earlier processes included.

    The learner says how many it has from sets: nothing that is set here could tell otherwise. Raise `ConsoleError`
    where it has none, although the settings name sets.
    """
    wanted, shared = settings.loop.demo_episodes, welcome.shared_demonstrations
    if settings.demo_sets and not shared:
        raise ConsoleError(
            f"demo_sets: got {len(settings.demo_sets)}, but the learner at {settings.link.address} has no "
            f"demonstration from any; start it with the same settings"
        )
    if shared:
        tell(
            console,
            f"the learner has {shared} demonstrations from demo sets; of {wanted} that are wanted "
            f"{max(0, wanted - shared)} are to be recorded",
        )
    return max(0, wanted - shared)


def reference_folder(settings: Settings, to_record: int, console: Console) -> Path:
    """Where it lies, or will lie, how the demonstrations looked: of this run, or of a set if all are from sets."""
    own = settings.folder / REFERENCE_FOLDER
    if to_record or not settings.demo_sets or (own / REFERENCE_FILE).is_file():
        return own
    for folder in settings.demo_sets:
        if (folder / REFERENCE / REFERENCE_FILE).is_file():
            tell(console, f"the cameras are compared with those of {folder}")
            return folder / REFERENCE
    tell(
        console,
        "none of demo_sets lies on this host with a reference of its cameras: nobody will notice a lamp or a pushed "
        "camera; copy the set here, too, under the same path",
        logging.WARNING,
    )
    return own
