"""How one episode ended, and how its clock went. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from demos.facts import EpisodeFacts
from demos.findings import Finding, Severity
from demos.settings import TimingChecks
from policy.contract import Contract

LEAVE_OUT = "leave the episode out"


def check_ending(episode: EpisodeFacts) -> Iterator[Finding]:
    """Success, paid once at the end, in an episode that has one and that nobody has rejected."""
    last, name = episode.steps - 1, str(episode.name)
    refuse = Severity.REFUSE
    if not (episode.terminated or episode.truncated):
        yield Finding(
            check="complete",
            severity=refuse,
            episode=name,
            step=last,
            got="an episode without an end",
            expected="one whose last step ends it",
            cure=f"wait until it is over, or {LEAVE_OUT}",
        )
        return
    if episode.rejected:
        yield Finding(
            check="rejected",
            severity=refuse,
            episode=name,
            step=last,
            got="an episode that was marked not to be learned from",
            expected="one that was not",
            cure=LEAVE_OUT,
        )
    if not (episode.terminated and episode.rewards[-1] > 0):
        yield Finding(
            check="success",
            severity=refuse,
            episode=name,
            step=last,
            got=f"an end by {'failure' if episode.terminated else 'time-out or cut'} "
            f"with reward {episode.rewards[-1]:g}",
            expected="success: terminated, with a reward above 0",
            cure=f"{LEAVE_OUT}; if it did succeed, the judge did not see it: look at `task.judge`",
        )
    if episode.rewards[:-1].any():
        yield Finding(
            check="reward",
            severity=refuse,
            episode=name,
            step=int(np.argmax(episode.rewards[:-1] != 0)),
            got=f"rewards on {int(np.count_nonzero(episode.rewards[:-1]))} steps before the last",
            expected="one reward, paid at the end",
            cure=f"{LEAVE_OUT}: a reward that is paid twice teaches to earn it twice",
        )


def check_timing(contract: Contract, episode: EpisodeFacts, settings: TimingChecks) -> Iterator[Finding]:
    """The steps' times against the contract's rate."""
    periods = np.diff(episode.monotonic_ns) * 1e-9 * contract.control_hz  # in periods, (N - 1,)
    if not periods.size:
        return
    worst = int(np.argmax(periods))
    for severity, step, got, expected in _timing_problems(periods, worst, settings):
        yield Finding(
            check="timing",
            severity=severity,
            episode=str(episode.name),
            step=step,
            got=got,
            expected=f"{expected} at {contract.control_hz:g} Hz",
            cure="give the actor more of the processor or a lower rate (`nudge doctor`), and record it anew",
        )
        return


def _timing_problems(
    periods: NDArray[np.float64], worst: int, settings: TimingChecks
) -> Iterator[tuple[Severity, int, str, str]]:
    """The gravest first."""
    if periods.min() <= 0:
        at = int(np.argmin(periods))
        yield Severity.REFUSE, at + 1, "a clock that stands or goes back", "one that goes on"
    if not settings.real_time:
        return
    if periods[worst] > settings.gap_refused_periods:
        got = f"a pause of {periods[worst]:.1f} periods before it"
        yield Severity.REFUSE, worst + 1, got, f"{settings.gap_refused_periods:g} at most"
    median = float(np.median(periods))
    if abs(median - 1) > settings.rate:
        yield Severity.REFUSE, 0, f"a median period of {median:.2f}", f"1, give or take {settings.rate:.0%},"
    if periods[worst] > settings.gap_periods:
        got = f"a pause of {periods[worst]:.1f} periods before it"
        yield Severity.MIND, worst + 1, got, f"{settings.gap_periods:g} at most"
    off = np.abs(periods - 1) > settings.jitter
    if off.mean() > settings.jitter_share:
        got = f"{off.mean():.0%} of the steps off the beat by more than {settings.jitter:.0%} of a period"
        yield Severity.MIND, int(np.argmax(off)) + 1, got, f"{settings.jitter_share:.0%} of them at most"
