"""The buttons of the page: what `nudge tell` says, to the learner of the run that is shown."""

from __future__ import annotations

import json

from actor.link_settings import LinkSettings
from console.commands import CommandClient
from console.errors import ConsoleError
from console.run_folder import READY_FILE
from console.settings import Settings
from console.terminal.words import VERBS, told
from policy.commands import Outcome


class RunCommands:
    """Says a word to whoever the run's folder names as its learner. Safe to use from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def send(self, word: str) -> str:
        """Say it, and what became of it. Raises `ConsoleError` where it was not done, with the reason."""
        with CommandClient(self._link()) as client:
            answer = client.send(VERBS[word])
        if answer.outcome is not Outcome.DONE:
            raise ConsoleError(told(word, answer))
        return told(word, answer)

    def _link(self) -> LinkSettings:
        """As an actor beside the learner has it: with the learner's own token where none is given to actors here."""
        settings, ready = self._settings, self._settings.folder / READY_FILE
        try:
            address = str(json.loads(ready.read_text())["address"])
        except FileNotFoundError:
            raise ConsoleError(f"run {settings.run!r}: no learner runs, so nobody can be told anything") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ConsoleError(
                f"{ready}: it does not say where the learner listens ({error}); start it anew"
            ) from error
        token_file = settings.link.token_file or settings.service.token_file
        return settings.link.model_copy(update={"address": address, "token_file": token_file})
