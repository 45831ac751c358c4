"""`nudge demos`: which demo sets there are, what is in one, what the checks say of demonstrations, and a set of them.

None of it changes what it looks at. `--preset` names the settings whose limits, field and locked joints count.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field
from rich.console import Console
from rich.table import Table

from console.demos.set_lines import finding_line, map_lines, set_lines
from console.experience import SOURCE_HELP, find_experience
from console.presets.load import load_preset, parse_options, take_preset
from console.record import RECORDING, calibrations_of, progress
from console.settings import DEFAULT_PRESET, Settings
from console.subverbs import run_subverb
from demos.checks import Checked, Checks, forbidding
from demos.demo_set import HASH_DIGITS, DemoSet, list_demo_sets, open_demo_set
from demos.recording import Recording
from demos.settings import RecordSettings
from policy.contract import Frozen
from policy.experience_file import EpisodeSelection, ExperienceFile

USAGE = """\
usage: nudge demos {list,show,check,make} [options]

verbs:
  list   the demo sets below a folder
  show   what is in one, every byte of it looked at: nudge demos show demo_sets/lift-cube/3f9c02b7a1de
  check  what the checks say of demonstrations: nudge demos check demo_sets/lift-cube/recording; status 1 where they
         refuse
  make   a demo set of them

check and make take a run, the folder of a recording, or any file of experience, and --preset for the limits.
`nudge demos VERB --help` lists the options of one.
"""

_JSON = tyro.conf.arg(name="json")
_FOLDER = RecordSettings().folder


class ListOptions(Frozen):
    """Where the sets are, and for whom they are listed."""

    folder: Path = Field(default=_FOLDER, description="Folder of all demo sets.")
    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")


class ShowOptions(Frozen):
    """Which set, and for whom."""

    path: Annotated[Path, tyro.conf.Positional] = Field(description="Folder of the set.")
    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")


class CheckOptions(Frozen):
    """Which demonstrations, and for whom."""

    source: Annotated[str, tyro.conf.Positional] = Field(description=SOURCE_HELP)
    runs: Path = Field(default=Path("runs"), description="Folder of all runs.")
    session: str = Field(default="", description="First digits of the one session that is meant; empty: all.")
    episodes: tuple[int, ...] = Field(default=(), description="Numbers of its episodes; empty: all. Needs --session.")
    as_json: Annotated[bool, _JSON] = Field(default=False, description="One JSON object instead of text.")

    @property
    def selection(self) -> EpisodeSelection:
        """Demonstrations only."""
        return EpisodeSelection(demonstrations=True, session=self.session, episodes=self.episodes)


class MakeOptions(CheckOptions):
    """Which demonstrations become a set of which name."""

    name: str = Field(default="", description="Name of the set; empty: that of the recording.")
    folder: Path = Field(default=_FOLDER, description="Folder of all demo sets.")
    allow: tuple[str, ...] = Field(
        default=(), description="Findings that are no reason to refuse, by name, as in `record.allow`."
    )
    leave_out: tuple[str, ...] = Field(
        default=(), description="Episodes that are not wanted, as findings name them: e1f0d6a3/12."
    )
    calibrations: tuple[Path, ...] = Field(
        default=(), description="LeRobot's files of the arm, to go with the set; a recording has them already."
    )
    sound: bool = Field(default=False, description="Leave out, and name, each episode for which the set is refused.")


def main(argv: list[str]) -> int:
    """Run one of the verbs; returns the exit status."""
    return run_subverb("demos", argv, _VERBS, USAGE)


def list_(argv: list[str]) -> int:
    """The sets below a folder; what is in them is not looked at."""
    options = parse_options(ListOptions, argv, "nudge demos list", flags=True)
    found = list_demo_sets(options.folder)
    if options.as_json:
        print(json.dumps([_as_json(made) for made in found]))
        return 0
    for made in found:
        facts = made.facts
        print(
            f"{made.folder}: {facts.episodes} demonstrations, {facts.steps} steps, made "
            f"{facts.created:%Y-%m-%d %H:%M} UTC, contract {facts.contract_hash[:HASH_DIGITS]}"
        )
    if not found:
        print(f"{options.folder}: no demo sets")
    return 0


def show(argv: list[str]) -> int:
    """One set."""
    options = parse_options(ShowOptions, argv, "nudge demos show", flags=True)
    made = open_demo_set(options.path)
    if options.as_json:
        print(made.facts.model_dump_json())
        return 0
    _print_lines(Console(soft_wrap=True), made)
    return 0


def check(argv: list[str]) -> int:
    """What the checks say; 1 where they refuse."""
    preset, rest = take_preset(argv, DEFAULT_PRESET)
    options = parse_options(CheckOptions, rest, "nudge demos check", flags=True)
    settings = load_preset(Settings, preset)
    path = find_experience(options.source, options.runs)
    checked = _checked(path, options.selection, settings)
    if options.as_json:
        print(json.dumps(_checked_as_json(path, checked)))
    else:
        console = Console(soft_wrap=True, highlight=False, markup=False)
        for finding in checked.findings:
            style, line = finding_line(finding)
            console.print(line, style=style)
        for line in () if checked.coverage is None else map_lines(checked.coverage):
            console.print(line)
        refused = len(checked.refused)
        console.print(
            f"{path}: {len(checked.episodes)} demonstrations checked, {len(checked.findings) or 'no'} "
            f"findings, {refused or 'none'} of them forbid to learn from it"
        )
    return int(bool(checked.refused))


def make(argv: list[str]) -> int:
    """A demo set."""
    preset, rest = take_preset(argv, DEFAULT_PRESET)
    options = parse_options(MakeOptions, rest, "nudge demos make", flags=True)
    settings = load_preset(Settings, preset)
    made = _make(options, settings, Console(stderr=True, soft_wrap=True, highlight=False))
    if options.as_json:
        print(json.dumps(_as_json(made)))
    else:
        _print_lines(Console(soft_wrap=True), made)
    return 0


def _checked(path: Path, selection: EpisodeSelection, settings: Settings) -> Checked:
    locked_joints = settings.arm.controller.locked_joints
    with closing(ExperienceFile(path)) as experience:
        checks = Checks(experience.contract, settings.demonstration_checks, settings.task, locked_joints)
        for row in progress(experience.choose(selection).ids):
            checks.see(experience.episode(row))
    return checks.finish()


def _make(options: MakeOptions, settings: Settings, console: Console) -> DemoSet:
    path = find_experience(options.source, options.runs)
    with closing(ExperienceFile(path)) as experience:
        contract = experience.contract
    recording = Recording(
        path,
        contract,
        settings.demonstration_checks,
        settings.task,
        settings.arm.controller.locked_joints,
        options.allow,
        options.selection,
    )
    unsound = _unsound(recording, console) if options.sound else []
    of_recording = path.parent.parent.name if path.parent.name == RECORDING else RecordSettings().name
    calibrations = options.calibrations or calibrations_of(path.parent)
    left_out = (*options.leave_out, *unsound)
    return recording.make_set(options.folder, options.name or of_recording, left_out, calibrations, progress)


def _unsound(recording: Recording, console: Console) -> list[str]:
    """Episodes that the checks refuse each by itself, told with the reason."""
    for judged in recording.judge_new():
        for finding in forbidding(judged.found):
            console.print(f"left out: {finding}", markup=False)
    return recording.unsound


def _print_lines(console: Console, made: DemoSet) -> None:
    facts = made.facts
    for line in set_lines(made):
        console.print(line, highlight=False, markup=False)
    if facts.coverage is not None:
        for line in map_lines(facts.coverage):
            console.print(line, highlight=False, markup=False)
    for name, colours in facts.cameras.items():
        red, green, blue = colours.mean
        console.print(f"camera {name}: on average red {red:.0f}, green {green:.0f}, blue {blue:.0f}", highlight=False)
    console.print(_statistics(made))


def _statistics(made: DemoSet) -> Table:
    facts = made.facts
    units: dict[str, str] = {it.name: it.unit for it in facts.contract.proprioception}
    units |= {it.name: f"1 is {it.scale:g} {it.unit}" for it in facts.contract.action}
    table = Table("dimension", "least", "10 %", "median", "90 %", "greatest", "mean", box=None, pad_edge=False)
    for name, of in (*facts.proprioception.items(), *facts.action.items()):
        row = of.min, of.q10, of.q50, of.q90, of.max, of.mean
        table.add_row(f"{name} [{units[name]}]".replace("[", r"\["), *(f"{value:.3f}" for value in row))
    return table


def _as_json(made: DemoSet) -> dict[str, object]:
    told = {"name", "hash", "created", "contract_hash", "episodes", "steps", "findings"}
    return {"folder": str(made.folder), **made.facts.model_dump(mode="json", include=told)}


def _checked_as_json(path: Path, checked: Checked) -> dict[str, object]:
    return {
        "path": str(path),
        "episodes": len(checked.episodes),
        "findings": [finding.model_dump(mode="json") for finding in checked.findings],
        "coverage": None if checked.coverage is None else checked.coverage.model_dump(mode="json"),
    }


_VERBS: dict[str, Callable[[list[str]], int]] = {"list": list_, "show": show, "check": check, "make": make}
