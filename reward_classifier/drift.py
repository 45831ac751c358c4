"""Does it still look as it did? A lamp that changed makes every probability doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from policy.experience_file import EpisodeOutcome, ExperienceFile
from reward_classifier.frames import observations

EPISODES = 20  # that are looked at, evenly chosen
LEVELS = 20.0  # by which a mean colour may differ, 0..255; the views that a network learns from differ by up to 60

Colour = tuple[float, float, float]


def mean_colours(experience: ExperienceFile, outcomes: Sequence[EpisodeOutcome]) -> dict[str, Colour]:
    """Mean red, green and blue of each camera, at the beginning of some episodes: all begin alike, but for the cube."""
    places = np.unique(np.linspace(0, len(outcomes) - 1, min(EPISODES, len(outcomes))).round().astype(int))
    seen = [observations(experience, outcomes[place])[0].frames for place in places]
    means = {name: np.mean([frames[name].mean((0, 1)) for frames in seen], 0) for name in seen[0]}
    return {name: (float(mean[0]), float(mean[1]), float(mean[2])) for name, mean in means.items()}


def drifted(then: Mapping[str, Colour], now: Mapping[str, Colour]) -> list[str]:
    """What looks different, a sentence for each camera."""
    found = []
    for name, colour in then.items():
        levels = float(np.abs(np.subtract(colour, now[name])).max())
        if levels > LEVELS:
            found.append(
                f"camera {name}: its colours differ by {levels:.0f} levels from those that the classifier learned, at "
                f"most {LEVELS:.0f} are expected; restore light and exposure, or label episodes of today and train anew"
            )
    return found
