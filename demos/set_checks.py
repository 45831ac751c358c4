"""What only all episodes together tell: dimensions, lengths, places. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from demos.coverage import Coverage
from demos.facts import EpisodeFacts
from demos.findings import Finding, Severity
from demos.settings import SetChecks
from policy.contract import Contract


def check_dimensions(
    contract: Contract, episodes: Sequence[EpisodeFacts], locked_joints: Collection[str], settings: SetChecks
) -> Iterator[Finding]:
    """Dimensions of proprioception that never move or lie far outside of their range, and actions that are never used.

    locked_joints: those that no action moves, as `arm.controller.locked_joints` has them
    """
    may_stand = {*settings.still_dimensions, *(f"joint.{name}" for name in locked_joints)}
    seen = np.concatenate([episode.proprioception for episode in episodes])  # (M, P)
    for index, dimension in enumerate(contract.proprioception):
        share = float(np.ptp(seen[:, index])) / (dimension.high - dimension.low)
        if share < settings.still_share and dimension.name not in may_stand:
            yield Finding(
                check="still",
                severity=Severity.REFUSE,
                got=f"{dimension.name} between {seen[:, index].min():.4f} and {seen[:, index].max():.4f} "
                f"{dimension.unit} in all episodes, {share:.1%} of its range",
                expected=f"{settings.still_share:.0%} of {dimension.low}..{dimension.high} at least",
                cure="look at that joint's encoder and calibration; if it is locked on purpose, say so "
                "(`arm.controller.locked_joints`)",
            )
    yield from _outside(contract, episodes, settings)
    yield from _unused(contract, episodes, settings)


def _outside(contract: Contract, episodes: Sequence[EpisodeFacts], settings: SetChecks) -> Iterator[Finding]:
    low = np.array([dimension.low for dimension in contract.proprioception])
    high = np.array([dimension.high for dimension in contract.proprioception])
    for episode in episodes:
        normalised = np.abs(2 * (episode.proprioception - low) / (high - low) - 1)  # (N + 1, P)
        step, index = (int(place) for place in np.unravel_index(np.argmax(normalised), normalised.shape))
        if normalised[step, index] > settings.far_outside:
            dimension = contract.proprioception[index]
            refused = normalised[step, index] > settings.outside_refused
            yield Finding(
                check="range",
                severity=Severity.REFUSE if refused else Severity.MIND,
                episode=str(episode.name),
                step=step,
                got=f"{dimension.name} at {episode.proprioception[step, index]:.3f} {dimension.unit}",
                expected=f"about {dimension.low}..{dimension.high}, the contract's range",
                cure="look at its unit and calibration, or give the contract the range that the arm moves in",
            )


def _unused(contract: Contract, episodes: Sequence[EpisodeFacts], settings: SetChecks) -> Iterator[Finding]:
    done = np.concatenate([episode.actions for episode in episodes])  # (M, A)
    for index, dimension in enumerate(contract.action):
        for sign, way in ((1, "above"), (-1, "below")):
            furthest = float((sign * done[:, index]).max())
            if furthest <= settings.used_action:
                yield Finding(
                    check="unused",
                    severity=Severity.MIND,
                    got=f"no action {way} {sign * settings.used_action:g} of {dimension.name}",
                    expected="motion in each direction somewhere in the set",
                    cure="look whether the device's axis reaches the arm (`nudge rehearse`); if the task needs no such "
                    "motion, go on: the policy has to find it by itself",
                )


def check_lengths(episodes: Sequence[EpisodeFacts], settings: SetChecks) -> Iterator[Finding]:
    """Episodes that are far from the usual length."""
    median = float(np.median([episode.steps for episode in episodes]))
    shortest, longest = settings.shortest * median, settings.longest * median
    for episode in episodes:
        if not shortest <= episode.steps <= longest:
            yield Finding(
                check="length",
                severity=Severity.MIND,
                episode=str(episode.name),
                got=f"{episode.steps} steps",
                expected=f"{shortest:.0f} to {longest:.0f}: the median is {median:g}",
                cure="look at it: short ones are often ended by mistake, long ones show how to search",
            )


def check_coverage(covered: Coverage) -> Iterator[Finding]:
    """Cells of the field without a demonstration."""
    if covered.empty:
        x_m, y_m = covered.next_m
        beyond = f", and {covered.outside} demonstrations beyond the field" if covered.outside else ""
        yield Finding(
            check="coverage",
            severity=Severity.MIND,
            got=f"{covered.empty} of {covered.cells} cells of the field without a demonstration{beyond}",
            expected="some in each",
            cure=f"the next one is worth most at x {x_m:.3f}, y {y_m:.3f} m",
        )
