"""`nudge replay`: an episode in the browser, beside what the current policy would have done; or again on an arm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.console import Console

from console.checkpoints import choose_checkpoint
from console.errors import ConsoleError
from console.experience import SOURCE_HELP, find_experience
from console.presets.load import AMONG_OPTIONS, load_options
from console.replay.reel import Reel, describe, table
from console.replay.rerun import require_rerun, write_rerun
from console.run_folder import POLICY_FILE
from console.settings import DEFAULT_PRESET, Settings
from learner.checkpoint_folder import CHECKPOINTS, POLICY
from policy.contract import Frozen


class ReplayOptions(Frozen):
    """Look at an episode: all cameras, who was in control, rewards, and the actions as curves beside what a policy
    would have done. With --on-arm the arm of the preset does it again.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = Field(description=SOURCE_HELP)
    session: str = Field(default="", description="First digits of the session; empty: any.")
    episode: int | None = Field(default=None, ge=0, description="Number of its episode; none: the last one.")
    policy: str = Field(
        default="",
        description="Whose actions stand beside: a run, by name or folder, or a snapshot; empty: the run that the "
        "experience is of, if it has a policy; `none`: nobody's.",
    )
    checkpoint: str = Field(
        default="",
        description="Of that run `newest`, `best`, or the updates of a checkpoint; empty: the last policy published.",
    )
    no_page: bool = Field(default=False, description="Print a table instead.")
    rerun: Path | None = Field(
        default=None, description="Write the episode into this file (.rrd) for the Rerun viewer instead."
    )
    port: int = Field(default=8091, gt=0, le=65535, description="Port of the page, on 127.0.0.1 alone.")
    on_arm: bool = Field(default=False, description="Execute the recorded actions on the arm of the settings below.")
    yes: bool = Field(default=False, description="A real arm may move: nobody is asked.")
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        default=False, description="With --on-arm: one JSON object instead of text."
    )
    settings: Annotated[Settings, *AMONG_OPTIONS]


def main(argv: list[str]) -> int:
    """Show the episode; on an arm 1 where a recorded success did not come again."""
    options = load_options(ReplayOptions, argv, DEFAULT_PRESET, "nudge replay")
    path = find_experience(options.source, options.settings.runs)
    if options.on_arm:
        from console.replay.arm import replay_on_arm

        return replay_on_arm(options, _reel(options, path, None), Console(stderr=options.as_json))
    if options.rerun is not None:
        require_rerun()  # said before a policy is loaded
    snapshot = _snapshot(options, path)
    reel = _reel(options, path, snapshot)
    place = reel.place_of(options.session, options.episode)
    if options.no_page:
        print(describe(reel.outcomes[place]) + (f"; ~ is what {reel.policy_name} would do" if snapshot else ""))
        print("\n".join(table(reel.look(place))))
        return 0
    if options.rerun is not None:
        write_rerun(reel.look(place), options.rerun, reel.policy_name)
        print(f"{describe(reel.outcomes[place])}\nwritten to {options.rerun}; `rerun {options.rerun}` shows it")
        return 0
    from console.replay.page import serve_replay

    serve_replay(reel, place, options.port)
    return 0


def _reel(options: ReplayOptions, path: Path, snapshot: Path | None) -> Reel:
    """With the policy in a snapshot beside it, which must be one for what was recorded."""
    reel = Reel(path)
    if snapshot is None:
        return reel
    from console.evaluation.main import load_policy  # with it come MuJoCo and ffmpeg

    policy, updates = load_policy(snapshot, options.settings.model_copy(update={"contract": reel.contract}))
    return Reel(path, policy, f"{snapshot.parent.name}/{snapshot.name}, {updates} updates")


def _snapshot(options: ReplayOptions, path: Path) -> Path | None:
    """The file of the policy that is meant."""
    if options.policy == "none":
        return None
    named = Path(options.policy or path.parent)
    if named.is_file():
        return named
    folder = named if named.is_dir() else options.settings.runs / options.policy
    if options.checkpoint:
        return choose_checkpoint(folder / CHECKPOINTS, options.checkpoint) / POLICY
    newest = folder / POLICY_FILE
    if newest.is_file():
        return newest
    if options.policy:
        raise ConsoleError(
            f"policy {options.policy}: got no {newest}, expected a run that has trained, or a snapshot; name another, "
            f"or `none`"
        )
    return None
