"""What a classifier thinks of an episode that is over: asked frame by frame, as the actor would have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from policy.experience import Judgement, Step
from policy.features import Featurizer
from reward_classifier.artefact import SuccessClassifier
from reward_classifier.features import PAGE


def rejudge_episode(
    classifier: SuccessClassifier, featurizer: Featurizer, steps: Sequence[Step]
) -> list[Judgement | None]:
    """Its opinion on what was seen after each step.

    None where no judge was asked when the step was made, since nobody had seen what came of it, and for the last step
    where an episode has no end, since what came of it is not here.

    featurizer: of the encoder that the classifier was trained on, not reducing
    """
    final = steps[-1].final
    seen = [step.observation for step in steps] + ([] if final is None else [final])
    bodies = np.stack([each.proprioception for each in seen])  # (N, P)
    probabilities: list[float] = []
    for start in range(0, len(seen), PAGE):
        page = slice(start, start + PAGE)
        frames = np.stack([featurizer.stack(each.frames) for each in seen[page]], axis=1)  # (cameras, n, H, W, 3)
        probabilities += classifier.probability(featurizer.maps(frames).cpu(), bodies[page]).tolist()
    judge = classifier.judge()
    judge.tick(probabilities[0], bodies[0])  # before the first step
    return [
        judge.tick(probabilities[number + 1], bodies[number + 1]).judgement
        if step.judgement is not None and number + 1 < len(seen)
        else None
        for number, step in enumerate(steps)
    ]
