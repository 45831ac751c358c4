"""Processes of a benchmark that start at once: forked from one that has imported the rooms and done nothing else."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

# What actors and learners import: seconds each time, on a busy machine a minute.
IMPORTED = ("actor.link", "actor.loop", "console.learner", "console.record", "learner.service")


def forking() -> ForkServerContext:
    """Where `Process` and `Pipe` come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context
