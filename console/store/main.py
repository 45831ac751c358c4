"""`nudge store`: what is in an experience store, whether it is sound, a copy of it, and less of it.

All but `prune` work while the learner runs, and change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.console import Console
from rich.progress import track

from console.errors import ConsoleError
from console.presets.load import parse_options
from console.run_folder import STORE_FILE
from console.store.info import SESSION_DIGITS, info_tables, read_info
from console.subverbs import run_subverb
from learner.store import StoreReader, lock_store
from learner.store_copy import export_store
from learner.store_prune import prune_store
from learner.store_selection import ChosenEpisode, choose_episodes
from learner.store_verify import Finding, check_episode, check_structure
from policy.contract import Frozen

USAGE = """\
usage: nudge store {info,verify,export,prune} [--run NAME | --file PATH] [options]

verbs:
  info    what is in it; --json for programs
  verify  is it what was stored, down to each picture? Status 1 and a line for each finding when not
  export  a consistent copy of all or some episodes into a new file, --to PATH; what can be saved of a damaged one
  prune   remove episodes for good, while no learner runs; only says what it would do without --yes

`nudge store VERB --help` lists the options of one.
"""

_JSON = tyro.conf.arg(name="json")


class StoreOptions(Frozen):
    """Which store."""

    run: str = Field(default="demo", description="Run whose store is meant.")
    runs: Path = Field(default=Path("runs"), description="Folder of all runs.")
    file: Path | None = Field(default=None, description="The store itself, instead of one of a run.")

    @property
    def path(self) -> Path:
        """Where the store lies."""
        return self.file or self.runs / self.run / STORE_FILE


class LookOptions(StoreOptions):
    """Which store, and for whom."""

    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")


class ExportOptions(StoreOptions):
    """Which episodes go where."""

    to: Path = Field(description="The new file; it must not exist.")
    session: str = Field(default="", description="First digits of the one session to copy; empty: all.")
    episode: int | None = Field(default=None, ge=0, description="The one episode of that session to copy.")


class PruneOptions(StoreOptions):
    """Which episodes to remove: at least one of unfinished, session and episode."""

    unfinished: bool = Field(default=False, description="Those that never ended, but the newest of each session.")
    session: str = Field(default="", description="First digits of the one session whose episodes are meant.")
    episode: int | None = Field(default=None, ge=0, description="The one episode of that session.")
    yes: bool = Field(default=False, description="Really remove them.")


def main(argv: list[str]) -> int:
    """Run one of the verbs; returns the exit status."""
    return run_subverb("store", argv, _VERBS, USAGE)


def info(argv: list[str]) -> int:
    """What is in it."""
    options = parse_options(LookOptions, argv, "nudge store info", flags=True)
    with StoreReader(options.path) as store:
        found = read_info(store)
    if options.as_json:
        print(json.dumps(found.as_json()))
    else:
        Console().print(*info_tables(found), sep="\n\n")
    return 0


def verify(argv: list[str]) -> int:
    """Is it what was stored; 1 when not."""
    options = parse_options(LookOptions, argv, "nudge store verify", flags=True)
    with StoreReader(options.path) as store:
        findings = check_structure(store)
        with store.reading() as connection:
            episodes = [row["id"] for row in connection.execute("SELECT id FROM episodes ORDER BY id")]
        for episode_id in _progress(episodes, "checking episodes"):
            findings += check_episode(store, episode_id)
    if options.as_json:
        print(json.dumps({"path": str(options.path), "findings": [asdict(finding) for finding in findings]}))
    else:
        _print_findings(findings)
        print(f"{options.path}: {len(episodes)} episodes checked, {len(findings) or 'no'} findings")
    return int(bool(findings))


def export(argv: list[str]) -> int:
    """A copy; 1 when an episode had to be left out."""
    options = parse_options(ExportOptions, argv, "nudge store export", flags=True)
    with StoreReader(options.path) as store:
        chosen = choose_episodes(store, options.session, options.episode)
        exported = export_store(store, options.to, _progress(chosen, "copying episodes"))
    _print_findings(exported.lost)
    print(
        f"{options.to}: {exported.episodes} episodes, {exported.steps} steps; {len(exported.lost) or 'none'} left out"
    )
    return int(bool(exported.lost))


def prune(argv: list[str]) -> int:
    """Remove episodes, or say which would be."""
    options = parse_options(PruneOptions, argv, "nudge store prune", flags=True)
    if not (options.unfinished or options.session):
        raise ConsoleError("prune: nothing is chosen; give --unfinished, --session or --session with --episode")
    if not options.yes:
        _tell_chosen(options, _choose(options))
        print("nothing was changed; add --yes to remove them for good")
        return 0
    StoreReader(options.path).close()  # it is there and ours: before a lock file appears beside it
    with lock_store(options.path):
        chosen = _choose(options)
        _tell_chosen(options, chosen)
        freed = prune_store(options.path, chosen)
    print(f"removed; the store is {freed / 1e6:.1f} MB smaller")
    return 0


def _choose(options: PruneOptions) -> list[ChosenEpisode]:
    with StoreReader(options.path) as store:
        chosen = choose_episodes(store, options.session, options.episode, unfinished=options.unfinished)
    # Its actor may be about to go on after it, and would find a learner that has lost what it acknowledged.
    spare_newest = options.unfinished and not options.session
    return [episode for episode in chosen if not (spare_newest and episode.newest)]


def _tell_chosen(options: PruneOptions, chosen: Sequence[ChosenEpisode]) -> None:
    for episode in chosen:
        state = "complete" if episode.complete else "unfinished"
        print(f"session {episode.session[:SESSION_DIGITS]}, episode {episode.index}: {episode.steps} steps, {state}")
    print(f"{options.path}: {len(chosen)} episodes, {sum(episode.steps for episode in chosen)} steps are chosen")
    newest = sorted({episode.session[:SESSION_DIGITS] for episode in chosen if episode.newest})
    if newest:
        print(
            f"among them the newest of session {', '.join(newest)}: an actor that goes on with such a session will "
            f"refuse this learner, and needs a new run folder"
        )


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(finding)


def _progress[T](items: Sequence[T], what: str) -> Iterable[T]:
    """The items, with a bar on stderr while they go by."""
    return track(items, what, console=Console(stderr=True), transient=True)


_VERBS: dict[str, Callable[[list[str]], int]] = {"info": info, "verify": verify, "export": export, "prune": prune}
