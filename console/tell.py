"""`nudge tell`: a word to an actor, or to the learner, from any machine that reaches it."""

from __future__ import annotations

from typing import Annotated

import tyro
from pydantic import Field

from console.commands import CommandClient
from console.errors import ConsoleError
from console.presets.load import AMONG_OPTIONS, load_options
from console.settings import DEFAULT_PRESET, Settings
from console.terminal.words import VERBS, Word, told
from policy.commands import Outcome
from policy.contract import Frozen


class TellOptions(Frozen):
    """Tell an actor: pause, resume; success, failure, reset (or rerecord), which end the running episode; stop, which
    parks the arm; estop, which stops it at once. Or the learner: checkpoint, pause-training, resume-training. Exit
    status 1 where it was not done, with the reason.
    """

    word: Annotated[Word, tyro.conf.Positional, tyro.conf.arg(metavar="WORD")] = Field(description="What to tell.")
    actor: str = Field(default="", description="Which actor; may be left out where one is connected.")
    episode: int | None = Field(
        default=None, ge=0, description="The one that success, failure or reset means; none: the one that runs."
    )
    settings: Annotated[Settings, *AMONG_OPTIONS]


def main(argv: list[str]) -> int:
    """Tell it, and print what became of it. Raises `ConsoleError` where it was not done."""
    options = load_options(TellOptions, argv, DEFAULT_PRESET, "nudge tell")
    with CommandClient(options.settings.link) as client:
        answer = client.send(VERBS[options.word], actor_id=options.actor, episode=options.episode)
    line = told(options.word, answer)
    if answer.outcome is not Outcome.DONE:
        raise ConsoleError(line)
    print(line)
    return 0
