"""Steps as replay gets them, whose numbers tell which ones they are; whole histories of them for property tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from learner.replay import EncodedObservation, EncodedStep, LaterViews, ReplayLayout
from learner.views import StoredViews
from policy.experience import Source, StepId

LAYOUT = ReplayLayout(StoredViews((2, 3, 1, 2, 2)), proprioception=2, action=4)


def observation(number: float) -> EncodedObservation:
    """An observation whose numbers tell which one it is; views differ by 0.25, cameras by 0.125."""
    camera, view = np.arange(2)[:, None, None, None, None] / 8, np.arange(3)[None, :, None, None, None] / 4
    maps = np.broadcast_to(number + camera + view, LAYOUT.views.shape).astype(np.float16)
    return EncodedObservation(maps, np.full(2, number, np.float32))


def split(step: EncodedStep) -> tuple[EncodedStep, LaterViews]:
    """The step with the first view alone, and what completes it."""
    seen = (step.observation,) if step.final is None else (step.observation, step.final)
    first = [replace(each, images=each.images[:, :1]) for each in seen]
    later = LaterViews(step.cursor, step.id, tuple(each.images[:, 1:] for each in seen))
    return replace(step, observation=first[0], final=first[1] if len(first) == 2 else None), later


def episode(count: int, source: Source, first: int = 0, *, terminated: bool = True) -> list[EncodedStep]:
    return [
        EncodedStep(
            cursor=first + i + 1,
            id=StepId("s", first, i),
            observation=observation(2.0 * (first + i)),
            action=np.array([2 * (first + i) / 1000, 0.1, 0, 0], np.float32),
            source=source,
            reward=float(i == count - 1),
            terminated=terminated and i == count - 1,
            final=observation(2.0 * (first + i) + 1) if i == count - 1 else None,
        )
        for i in range(count)
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[EncodedStep]:
    """Steps of up to 3 sessions in turns; episodes end by termination, truncation or rejection, or stay open."""
    ends = st.sampled_from(["terminated", "truncated", "rejected", "open"])
    lengths = st.lists(st.tuples(st.integers(1, 6), ends), min_size=1, max_size=3)
    sessions = draw(st.lists(lengths, min_size=1, max_size=3))
    plans = [
        [(episode, step, length, end) for episode, (length, end) in enumerate(episodes) for step in range(length)]
        for episodes in sessions
    ]
    steps: list[EncodedStep] = []
    number = 0.0
    while any(plans):
        which = draw(st.sampled_from([i for i, plan in enumerate(plans) if plan]))
        episode, step, length, end = plans[which].pop(0)
        last = step == length - 1 and end != "open"
        number += 2
        gripper = draw(st.sampled_from([-1.0, -0.3, 0.0, 0.4, 1.0]))
        source, reward = draw(st.sampled_from(list(Source))), draw(st.sampled_from([0.0, 1.0, -0.5]))
        rests = source is Source.DEMO and reward == 0 and draw(st.booleans())
        steps.append(
            EncodedStep(
                cursor=len(steps) * 2 + 1,
                id=StepId(f"session{which}", episode, step),
                observation=observation(number),
                action=np.zeros(4, np.float32) if rests else np.array([number / 1000, 0, 0, gripper], np.float32),
                source=source,
                reward=reward,
                terminated=last and end == "terminated",
                final=observation(number + 1) if last else None,
                rejected=last and end == "rejected",
            )
        )
    return steps
