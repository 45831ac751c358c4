"""From what a terminal sends to the keys that were pressed and the focus that came and went. Pure."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Typed:
    """A key by its name in the settings; empty for one that cannot be bound."""

    key: str


@dataclass(frozen=True, slots=True)
class FocusReport:
    """The terminal's window got or lost the focus (DECSET 1004)."""

    focused: bool


@dataclass(frozen=True, slots=True)
class ModeReport:
    """Whether the terminal knows of focus reports at all (DECRQM 1004)."""

    known: bool


@dataclass(frozen=True, slots=True)
class Attributes:
    """Every terminal answers when it is asked what it is (DA1), after all that it was asked before."""


type Token = Typed | FocusReport | ModeReport | Attributes

_NAMED = {" ": "space", "\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace", "\t": "tab"}
_FINALS = {"A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end"}
_TILDES = {"1": "home", "2": "insert", "3": "delete", "4": "end"}
_TILDES |= {"5": "page_up", "6": "page_down", "7": "home", "8": "end"}
_ESC = "\x1b"
_SEQUENCE = re.compile(r"\x1b(?:\[(?P<parameters>[0-?]*)[ -/]*(?P<final>[@-~])|O(?P<ss3>[ -~]))")
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?\Z")
_PLAIN_MODIFIERS = ("", "1", "2")  # none, or Shift


class Decoder:
    """Fed what was read; what may be only the beginning of a sequence waits for its rest, or for `flush`."""

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    @property
    def waiting(self) -> bool:
        """Whether something waits: a lone Esc, or a sequence that was cut in two on its way."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[Token]:
        """The tokens in what was read, in their order."""
        self._rest += self._utf8.decode(data)
        return list(self._tokens())

    def flush(self) -> list[Token]:
        """No more came for a while: an Esc that waits is the key."""
        tokens: list[Token] = []
        while self._rest:
            tokens.append(self._one_character())
            tokens.extend(self._tokens())
        return tokens

    def _tokens(self) -> Iterator[Token]:
        while self._rest and not _BEGUN.match(self._rest):
            match = _SEQUENCE.match(self._rest)
            if match is None:
                yield self._one_character()
            else:
                self._rest = self._rest[match.end() :]
                yield _sequence(match)

    def _one_character(self) -> Token:
        # An Esc before anything else counts as the key: rather a stop too many, with Alt held, than one too few.
        character, self._rest = self._rest[0], self._rest[1:]
        if character == _ESC:
            return Typed("esc")
        named = _NAMED.get(character)
        return Typed(named or (character.lower() if character.isprintable() else ""))


def _sequence(match: re.Match[str]) -> Token:
    parameters, final = match["parameters"] or "", match["final"] or match["ss3"]
    if match["final"] and final in "IO" and not parameters:
        return FocusReport(final == "I")
    if final == "y" and parameters.startswith("?1004;"):
        return ModeReport(parameters not in ("?1004;0", "?1004;4"))  # not recognised, permanently off
    if final == "c" and parameters.startswith("?"):
        return Attributes()
    first, _, modifiers = parameters.partition(";")
    if modifiers not in _PLAIN_MODIFIERS:
        return Typed("")
    return Typed(_TILDES.get(first, "") if final == "~" else _FINALS.get(final, ""))
