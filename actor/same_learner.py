"""Is this the learner that the steps of our spool go to? Anything else would lose steps, or mix two runs."""

from __future__ import annotations

from actor.link_state import OtherLearner, Welcome
from actor.spool import Spool
from actor.spool_record import Place


def check_same_learner(now: Welcome, first: Welcome | None, spool: Spool, acknowledged: Place, address: str) -> None:
    """Raise `OtherLearner` for another run or policy, and for a store that is behind or ahead of what we know of it.

    first: this process's first welcome; None for the first
    """
    if spool.run_id is not None and now.run_id != spool.run_id:
        raise OtherLearner(
            f"the learner at {address} serves run {now.run_id!r}, the steps in {spool.path} belong to run "
            f"{spool.run_id!r}; start the learner of that run again, or this actor with another run"
        )
    if first is not None and now.policy_spec_json != first.policy_spec_json:
        raise OtherLearner(
            f"the learner at {address} serves run {now.run_id!r} with another policy than this actor began with; start "
            f"it with its former settings, or this actor again"
        )
    kept, durable = acknowledged.step, now.last_durable
    if kept is not None and (durable is None or durable.order < kept.order):
        raise OtherLearner(
            f"the learner at {address} has run {now.run_id!r} up to {durable}, but had acknowledged {kept}, and "
            f"{spool.path} does not keep what it acknowledges; start it on its own store again, or move both aside to "
            f"begin a new run"
        )
    newest = spool.progress.newest
    if durable is not None and (newest is None or durable.order > newest.order):
        raise OtherLearner(
            f"the learner at {address} has run {now.run_id!r} up to {durable}, {spool.path} only to {newest}: an older "
            f"copy of it; put the newest one back, or move it aside to begin a new session"
        )
