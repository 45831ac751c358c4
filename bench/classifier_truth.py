"""The simulator's truth of episodes, by which `classifier.py` scores judges; none of it is learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy.experience_file import ExperienceFile
from reward_classifier.frames import FrameTable
from robot.settings import TaskSettings
from robot.task import CUBE_STATE, GraspLift

_Z, _HELD = CUBE_STATE.index("cube.z"), CUBE_STATE.index("cube.held")
NEARLY = 0.6  # of the height that counts: between that and all of it, nobody asks


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the simulator knows of the frames of a table.

    success: (E,), the task was done in the episode; label: (N,), 1 held up, 0 not, -1 nearly
    """

    success: NDArray[np.bool_]
    label: NDArray[np.int64]


def truth_of(experience: ExperienceFile, table: FrameTable, task: TaskSettings) -> Truth:
    """The simulator's own judgement of the same frames."""
    success, label = np.zeros(len(table.outcomes), bool), np.empty(len(table), np.int64)
    for episode, outcome in enumerate(table.outcomes):
        messages = experience.messages(outcome.id)
        seen = [*(message.observation for message in messages), messages[-1].final_observation]
        known = np.array([np.frombuffer(each.sim_only, "<f4") for each in seen])  # (n, S)
        judge = GraspLift(task)
        judge.begin(known[0])
        success[episode] = any(judge.succeeded(each) for each in known[1:])
        risen, held = known[:, _Z] - known[0, _Z], known[:, _HELD] > 0.5
        nearly = held & (risen >= NEARLY * task.lift_m)
        label[table.rows(episode)] = np.where(held & (risen >= task.lift_m), 1, np.where(nearly, -1, 0))
    return Truth(success, label)
