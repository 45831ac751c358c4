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
    "rerecord": Verb.RERECORD,
    "stop": Verb.STOP,
    "estop": Verb.EMERGENCY_STOP,
    "checkpoint": Verb.CHECKPOINT,
    "pause-training": Verb.PAUSE_TRAINING,
    "resume-training": Verb.RESUME_TRAINING,
}


def told(word: str, answer: Answer) -> str:
    """What became of it, in a line: who, whether, why."""
    whom = f"actor {answer.actor_id!r}: " if answer.actor_id else ""
    return f"{word}: {whom}{answer.outcome.words}; {answer.reason}"
