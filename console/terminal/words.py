"""What a person may tell an actor or the learner, by the words of `nudge tell` and of the dashboard's buttons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from policy.commands import Answer, Verb

Word = Literal[
    "pause",
    "resume",
    "success",
    "failure",
    "reset",
    "rerecord",
    "stop",
    "estop",
    "checkpoint",
    "pause-training",
    "resume-training",
]
WORDS: tuple[Word, ...] = get_args(Word)
VERBS: Mapping[str, Verb] = {
    "pause": Verb.PAUSE,
    "resume": Verb.RESUME,
    "success": Verb.SUCCESS,
    "failure": Verb.FAILURE,
    "reset": Verb.RERECORD,
    "rerecord": Verb.RERECORD,
    "stop": Verb.STOP,
    "estop": Verb.EMERGENCY_STOP,
    "checkpoint": Verb.CHECKPOINT,
    "pause-training": Verb.PAUSE_TRAINING,
    "resume-training": Verb.RESUME_TRAINING,
}
# Those of the page, in the order in which an operator needs them, each with what it does.
BUTTONS: Mapping[Word, str] = {
    "pause": "the episode ends in order, and the arm holds still",
    "resume": "ends a pause that was pressed from elsewhere",
    "reset": "the episode ends, nothing is learned from it, and the arm goes to its start",
    "success": "the running episode has done the task: it ends with the reward",
    "failure": "the running episode has failed: it ends without a reward",
    "checkpoint": "the learner saves a checkpoint now",
    "pause-training": "the learner makes no updates; experience still comes in",
    "resume-training": "the learner goes on",
    "stop": "the episode ends, the arm parks, the actor leaves",
    "estop": "the emergency stop, at once; only a person at the arm lets it move again",
}


def told(word: str, answer: Answer) -> str:
    """What became of it, in a line: who, whether, why."""
    whom = f"actor {answer.actor_id!r}: " if answer.actor_id else ""
    return f"{word}: {whom}{answer.outcome.words}; {answer.reason}"
