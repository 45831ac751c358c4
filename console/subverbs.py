"""Verbs of a verb, `nudge store info`: found, or the nearest name told."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping


def run_subverb(verb: str, argv: list[str], subverbs: Mapping[str, Callable[[list[str]], int]], usage: str) -> int:
    """Run what the first argument names, with the rest; returns the exit status, 2 for a wrong command line."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage, end="")
        return 0 if argv else 2
    if argv[0] not in subverbs:
        close = difflib.get_close_matches(argv[0], subverbs, n=1)
        meant = f"Did you mean `nudge {verb} {close[0]}`?" if close else f"There are: {', '.join(subverbs)}."
        print(f"nudge: {verb} has no verb {argv[0]!r}. {meant}", file=sys.stderr)
        return 2
    return subverbs[argv[0]](argv[1:])
