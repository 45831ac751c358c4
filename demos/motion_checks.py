"""What the motion of one episode says of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from demos.facts import JAW, TOOL, EpisodeFacts, columns
from demos.findings import Finding, Severity
from demos.settings import MotionChecks
from policy.contract import Contract
from policy.experience import Source
from teleop.agreement import first_contradiction

AGAIN = "leave the episode out, and record it anew"


def check_motion(contract: Contract, episode: EpisodeFacts, settings: MotionChecks) -> Iterator[Finding]:
    """Actions against motion, the gripper, a hand that trembles or rests, and who drove."""
    yield from _contradiction(contract, episode)
    yield from _gripper(contract, episode, settings)
    yield from _trembling(contract, episode, settings)
    yield from _resting(contract, episode, settings)
    yield from _sources(episode, settings)


def _contradiction(contract: Contract, episode: EpisodeFacts) -> Iterator[Finding]:
    found = first_contradiction(contract, episode.moves, episode.proprioception)
    if found is not None:
        step, told = found
        yield Finding(
            check="contradiction",
            severity=Severity.REFUSE,
            episode=str(episode.name),
            step=step,
            got=told,
            expected="an arm that goes where the stored actions say",
            cure=f"{AGAIN}; if it is in all of them, actions and observations were not stored as one step",
        )


def _gripper(contract: Contract, episode: EpisodeFacts, settings: MotionChecks) -> Iterator[Finding]:
    jaw = columns(contract, [JAW])
    if jaw is None:
        return
    angles = episode.proprioception[:, jaw[0]]  # (N + 1,)
    fallen = float((np.maximum.accumulate(angles) - angles).max())
    if fallen < settings.closing_rad:
        yield Finding(
            check="gripper",
            severity=Severity.REFUSE,
            episode=str(episode.name),
            got=f"a jaw between {angles.min():.2f} and {angles.max():.2f} rad that closes by {fallen:.2f} rad at most",
            expected=f"one that is opened, and closes by {settings.closing_rad} rad or more",
            cure="look whether the device's gripper reaches the arm (`nudge rehearse`), and record it anew",
        )


def _trembling(contract: Contract, episode: EpisodeFacts, settings: MotionChecks) -> Iterator[Finding]:
    tool = columns(contract, TOOL)
    if tool is None:
        return
    ways = np.diff(episode.proprioception[:, tool], axis=0)  # (N, 3)
    turned, compared = turned_back(ways, settings.reversal_m)
    share = turned.sum() / max(1, compared.sum())
    if compared.sum() >= 10 and share > settings.reversals:
        yield Finding(
            check="trembling",
            severity=Severity.MIND,
            episode=str(episode.name),
            step=int(np.argmax(turned)) + 1,
            got=f"a tool that turns back in {share:.0%} of the steps",
            expected=f"{settings.reversals:.0%} at most",
            cure="move more slowly, or make the device less sensitive: what trembles is learned as it is",
        )


def turned_back(ways: NDArray[np.float32], least_m: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each two successive ways (N, 3): whether the tool turns by more than 107 degrees, and whether both are long.

    returns: (N - 1,) each
    """
    lengths = np.linalg.norm(ways, axis=1)
    compared = (lengths[1:] > least_m) & (lengths[:-1] > least_m)
    along = (ways[1:] * ways[:-1]).sum(axis=1)
    return compared & (along < -0.3 * lengths[1:] * lengths[:-1]), compared


def _resting(contract: Contract, episode: EpisodeFacts, settings: MotionChecks) -> Iterator[Finding]:
    for start, end in runs(np.abs(episode.actions).max(axis=1) < settings.idle_action):
        limit_s = settings.idle_between_s if start else settings.idle_first_s
        rested_s = (end - start) / contract.control_hz
        if end < episode.steps and rested_s > limit_s:  # at the end it holds what it has lifted
            yield Finding(
                check="idle",
                severity=Severity.MIND,
                episode=str(episode.name),
                step=start,
                got=f"a hand that rests for {rested_s:.1f} s {'in between' if start else 'at the beginning'}",
                expected=f"{limit_s} s at most",
                cure="begin as soon as the episode does and think before it: a policy that learned to wait waits",
            )
            return


def runs(true: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where a condition (N,) begins to hold and where it ends to: [start, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _sources(episode: EpisodeFacts, settings: MotionChecks) -> Iterator[Finding]:
    strange = (episode.sources != Source.DEMO) & (episode.sources != Source.HOLD)
    if strange.any():
        step = int(np.argmax(strange))
        yield Finding(
            check="source",
            severity=Severity.REFUSE,
            episode=str(episode.name),
            step=step,
            got=f"{int(strange.sum())} of {episode.steps} steps not demonstrated, this one by "
            f"{Source(episode.sources[step]).name}",
            expected="an operator who drives from the first step to the last",
            cure="leave the episode out; interventions count as such in the run that they are from",
        )
    held = episode.count(Source.HOLD)
    if held > settings.hold_share * episode.steps:
        yield Finding(
            check="hold",
            severity=Severity.MIND,
            episode=str(episode.name),
            step=int(np.argmax(episode.sources == Source.HOLD)),
            got=f"an arm that held still in {held} of {episode.steps} steps because no hand drove it",
            expected=f"{settings.hold_share:.0%} of them at most",
            cure="look at the device's cable or radio: it falls silent",
        )
