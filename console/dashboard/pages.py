"""What stands on the other pages: episodes, one of them to play, checkpoints, demonstrations, settings."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from console.checkpoints import figures as checkpoint_figures
from console.dashboard.run_state import RunState
from console.dashboard.verdicts import Verdict, Verdicts
from console.replay.figure import ReplayFigure
from console.replay.numbers import numbers
from console.replay.reel import SESSION_DIGITS, Replayed
from console.run_folder import STORE_FILE
from console.terminal.key_numbers import ago, share, size
from demos.demo_set import DemoSetFacts, read_facts
from demos.errors import DemoSetError
from learner.checkpoint_folder import CHECKPOINTS
from learner.store_reader import EpisodeRecord
from policy.experience_file import EpisodeOutcome, ExperienceFile

PAGE_EPISODES = 50


@dataclass(frozen=True, slots=True)
class EpisodeLine:
    """An episode in the list. row: the number of its row; outcome, mood: how it ended, in words and as a colour

    labelled: whether its frames can be labelled, which is not so while it has no end
    """

    row: int
    name: str
    began: str
    kind: str
    steps: int
    human_share: float
    outcome: str
    mood: str
    verdict: Verdict
    labelled: bool


def episode_lines(episodes: Sequence[tuple[int, EpisodeRecord]], verdicts: Verdicts) -> list[EpisodeLine]:
    """The list, the newest first."""
    return [_line(row, record, verdicts) for row, record in reversed(episodes)]


def episodes_page(state: RunState, verdicts: Verdicts, before: int) -> dict[str, Any]:
    """The newest episodes whose rows lie before a number (0: all), and where older and newer ones are."""
    every = [(row, record) for row, record in state.episodes.items() if not before or row < before]
    newer = [row for row in state.episodes if before and row >= before]
    shown = every[-PAGE_EPISODES:]
    return {
        "lines": episode_lines(shown, verdicts),
        "count": len(state.episodes),
        "older": shown[0][0] if len(every) > len(shown) else 0,
        "newer": newer[PAGE_EPISODES] if len(newer) > PAGE_EPISODES else 0,
        "newest": bool(newer),
    }


def episode_page(state: RunState, verdicts: Verdicts, row: int, cursors: Sequence[int]) -> dict[str, Any]:
    """An episode to play: the figure, and for each step its pictures, its numbers and the cursor in the figure."""
    record = state.episodes[row]
    with closing(ExperienceFile(state.folder / STORE_FILE)) as file:
        steps, contract = file.episode(row), file.contract
    outcome = EpisodeOutcome(row, record.session, record.index, len(steps), record.success, 0, record.human_steps)
    replayed = Replayed(outcome, contract, steps, None)
    figure = ReplayFigure(replayed)
    width, height = figure.size
    places = range(len(steps) + record.complete)  # what was seen after the last step stands at the end
    return {
        "line": _line(row, record, verdicts),
        "size": f"0 0 {width:.0f} {height:.0f}",
        "drawing": figure.drawing(),
        "cameras": [camera.name for camera in contract.cameras],
        "played": {
            "hz": contract.control_hz,
            "places": [
                {
                    "frame": f"{cursors[min(place, len(steps) - 1)]}" + ("/final" if place == len(steps) else ""),
                    "cursor": figure.cursor(place),
                    "numbers": numbers(replayed, place, ""),
                }
                for place in places
            ],
        },
    }


def checkpoints_page(state: RunState) -> dict[str, Any]:
    """All checkpoints, the newest first, and whether the run may go back to one now."""
    root = state.folder / CHECKPOINTS
    return {
        "checkpoints": [
            {
                "updates": each.updates,
                "age": ago(each.age_s),
                "bytes": size(each.bytes),
                "success": "–" if each.success_rate is None else share(each.success_rate),
                "trials": "" if each.success_rate is None else f"{each.successes} of {each.trials} = ",
                "interval": "–"
                if each.wilson_low is None or each.wilson_high is None
                else f"{each.wilson_low:.1%} to {each.wilson_high:.1%}",
                "marks": ", ".join(mark for mark, there in (("best", each.best), ("newest", each.newest)) if there),
                "differs": ", ".join(each.differs_in),
                "newest": each.newest,
            }
            for each in reversed(checkpoint_figures(root))
        ],
        "learner_runs": state.alive,
    }


def demonstrations_page(state: RunState, verdicts: Verdicts) -> dict[str, Any]:
    """The demo sets that the run learns from, and the demonstrations in its store."""
    demos = [(row, record) for row, record in state.episodes.items() if record.kind == "demo"]
    sets = [_demo_set(folder) for folder in state.settings.demo_sets]
    return {"sets": sets, "lines": episode_lines(demos, verdicts)}


def settings_page(state: RunState) -> dict[str, Any]:
    """All settings of the run, as a preset would say them."""
    values = state.settings.model_dump(mode="json")
    sections = {"run": {name: value for name, value in values.items() if not isinstance(value, dict)}}
    sections |= {name: value for name, value in values.items() if isinstance(value, dict)}
    return {
        "folder": str(state.folder.absolute()),
        "sections": {
            name: yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
            for name, value in sections.items()
        },
    }


def _line(row: int, record: EpisodeRecord, verdicts: Verdicts) -> EpisodeLine:
    began = datetime.fromtimestamp(record.first_wall_ns / 1e9).astimezone()
    if not record.complete:
        outcome, mood = "not ended", ""
    elif record.rejected:
        outcome, mood = "rejected", "warn"
    elif record.success:
        outcome, mood = "success", "good"
    else:
        outcome, mood = ("failure", "bad") if record.terminated else ("time is up", "")
    return EpisodeLine(
        row=row,
        name=f"{record.session[:SESSION_DIGITS]}/{record.index}",
        began=began.strftime("%Y-%m-%d %H:%M:%S"),
        kind="demonstration" if record.kind == "demo" else "online",
        steps=record.steps,
        human_share=record.human_steps / max(record.steps, 1),
        outcome=outcome,
        mood=mood,
        verdict=verdicts.of(row, record),
        labelled=record.complete and not record.rejected,
    )


def _demo_set(folder: Path) -> dict[str, Any]:
    try:
        facts: DemoSetFacts = read_facts(folder)
    except DemoSetError as error:
        return {"name": folder.name, "folder": str(folder), "problem": str(error)}
    return {
        "name": facts.name,
        "folder": str(folder),
        "problem": "",
        "episodes": facts.episodes,
        "steps": facts.steps,
        "hash": facts.hash[:12],
        "findings": [str(finding) for finding in facts.findings],
    }
