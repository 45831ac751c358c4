"""Recorded episodes as `nudge classifier live` looks at them; no arm and no simulator is needed."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

from console.errors import ConsoleError
from console.live.watch import Seen
from policy.experience_file import EpisodeSelection, ExperienceFile
from reward_classifier.frames import observations


def recorded(path: Path, selection: EpisodeSelection, *, again: bool) -> Generator[Seen]:
    """Episodes of a file of experience. again: from the first one after the last. Raise `ConsoleError` for none."""
    with closing(ExperienceFile(path)) as experience:
        outcomes = experience.outcomes(selection)
    if not outcomes:
        raise ConsoleError(f"{path}: got no episode that has an end, expected one to watch; choose others")
    for outcome in itertools.cycle(outcomes) if again else outcomes:
        with closing(ExperienceFile(path)) as experience:
            seen = observations(experience, outcome)
        ended = "ended in success" if outcome.success else "ended without success"
        for frame, each in enumerate(seen):
            where = (
                f"episode {outcome.session[:8]}/{outcome.episode}, which {ended}: frame {frame:>3} of {outcome.steps}"
            )
            yield Seen(each, where, begins=frame == 0)
