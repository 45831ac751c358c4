"""The nouns of the service, in one place: read this file first.

An **actor** drives an arm. At each tick it takes an `Observation`, an action comes from the policy
(`select_action`) or from the operator who has taken over, the arm executes it, and a `Step` records
what was seen and what was *executed*. Steps travel to the **learner**, which keeps them in its
experience store, replays them as transitions, and publishes policy snapshots that the actor swaps in
between two ticks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from policy.contract import Contract
from policy.errors import InvalidExperience


class Source(IntEnum):
    """Who chose an action. Equal to `nudge.v1.Source` on the wire; 0 is never used."""

    POLICY = 1
    HUMAN = 2  # an intervention: the operator took over from the policy
    DEMO = 3  # the operator drove the whole episode, before or beside training
    HOLD = 4  # nobody: the arm held still while control changed hands, a hand rested, or nobody had seen the world


class Reason(IntEnum):
    """Why a judge decided as it did. Equal to `nudge.v1.Reason` on the wire; 0 is never used."""

    UNLIKELY = 1  # this frame does not look like success
    TOO_FEW = 2  # it does, but not enough of the last ones did
    GATE = 3  # enough did, but the joints say otherwise
    TOO_EARLY = 4
    SUCCESS = 5  # pays
    PAID = 6  # has paid before


# An action that moves nothing: 0.02 mm. What rounding leaves of a resting hand's is a thousandth of that.
STILL = 1e-3


def is_resting(action: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether actions (..., A) move nothing: (...)."""
    resting: NDArray[np.bool_] = np.abs(action).max(axis=-1) < STILL
    return resting


def rests(source: Source, action: NDArray[np.float32], reward: float) -> bool:
    """Whether a step is a demonstrator's who keeps still: it would teach to stand still, unless it has success.

    Of an intervention such steps are nobody's: `Source.HOLD`.
    """
    return source is Source.DEMO and reward == 0 and bool(is_resting(action))


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen right before acting.

    frames: camera name -> uint8 RGB (size_px, size_px, 3)
    proprioception: float32 (P,), in the contract's order and units, not normalised
    sim_only: float32 (S,), empty on a real arm; never an input of a policy
    """

    frames: dict[str, NDArray[np.uint8]]
    proprioception: NDArray[np.float32]
    sim_only: NDArray[np.float32]


@dataclass(frozen=True, slots=True, repr=False)
class StepId:
    """Where a step stands: (session, episode, step) is unique for ever; insertion is idempotent on it."""

    session: str
    episode: int
    step: int

    @property
    def order(self) -> tuple[int, int]:
        """Ascends within a session."""
        return self.episode, self.step

    def __repr__(self) -> str:
        # Messages and logs name steps, and whoever knows a whole session can speak for its actor.
        return f"step {self.step} of episode {self.episode} of session {self.session[:8]}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the reward classifier thought of one observation. probability: that it shows success, 0..1"""

    probability: float
    reason: Reason

    @property
    def pays(self) -> bool:
        """Whether the episode succeeds here, by this opinion."""
        return self.reason is Reason.SUCCESS


@dataclass(frozen=True, slots=True)
class Clipped:
    """Whether the guard had the arm do less than was asked for.

    tool: box or leash confined the tool, as where it presses onto the table; joints: a limit or the largest step
    """

    tool: bool
    joints: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One tick: what was seen, what was executed, what came of it.

    action: float32 (A,), as executed after safety clipping, in the policy's units (-1..1)
    terminated: the task ended here (success or failure); nothing is bootstrapped from it
    truncated: the episode was cut here (time-out, operator); values are bootstrapped from `final`
    final: the observation after the last step of an episode; None on every other step
    rejected: nothing is to be learned from this episode, which ends here: it is to be recorded again, or its actions
        contradict its motion; it is kept all the same
    judgement: the classifier's opinion on what was seen after the action, from which the reward follows unless the
        operator's key said otherwise; None where no classifier was asked
    clipped: what the guard took from the action that was chosen; None where nobody has noted it
    after_end: the newest judge of a run has the episode end before this step, so nothing is learned from it. Only a
        learner's store says so; it is never sent
    """

    id: StepId
    observation: Observation
    action: NDArray[np.float32]
    source: Source
    reward: float
    terminated: bool
    truncated: bool
    policy_version: int
    monotonic_ns: int
    wall_ns: int
    final: Observation | None = None
    rejected: bool = False
    judgement: Judgement | None = None
    clipped: Clipped | None = None
    after_end: bool = False

    @property
    def last(self) -> bool:
        """True on the last step of an episode."""
        return self.terminated or self.truncated


def check_observation(observation: Observation, contract: Contract) -> None:
    """Raise `InvalidExperience` unless the observation is one that the contract describes."""
    names, expected = set(observation.frames), {camera.name for camera in contract.cameras}
    if names != expected:
        raise InvalidExperience(f"observation: got cameras {sorted(names)}, the contract has {sorted(expected)}")
    for camera in contract.cameras:
        frame = observation.frames[camera.name]
        shape = (camera.size_px, camera.size_px, 3)
        if frame.shape != shape or frame.dtype != np.uint8:
            raise InvalidExperience(
                f"camera {camera.name!r}: got {frame.dtype} {frame.shape}, the contract has uint8 {shape}"
            )
    _check_vector("proprioception", observation.proprioception, len(contract.proprioception))
    _check_vector("sim_only", observation.sim_only, len(contract.sim_only))


def check_step(step: Step, contract: Contract) -> None:
    """Raise `InvalidExperience` unless the step is one that the contract allows."""
    check_observation(step.observation, contract)
    _check_vector("action", step.action, len(contract.action))
    beyond = np.abs(step.action) > 1.0 + 1e-5
    if beyond.any():
        index = int(np.argmax(beyond))
        raise InvalidExperience(
            f"action {contract.action[index].name!r} of {step.id}: got {step.action[index]:.4f}, "
            f"a policy speaks -1..1; store actions as executed, in the policy's units"
        )
    if not np.isfinite(step.reward):
        raise InvalidExperience(f"reward of {step.id}: got {step.reward}, expected a finite number")
    if step.last != (step.final is not None):
        raise InvalidExperience(
            f"{step.id}: the last step of an episode, and only it, carries the final observation; got "
            f"terminated={step.terminated}, truncated={step.truncated}, final {'present' if step.final else 'absent'}"
        )
    if step.rejected and not step.last:
        raise InvalidExperience(f"{step.id}: got rejected before the end; only the last step rejects its episode")
    if step.final is not None:
        check_observation(step.final, contract)
    if step.judgement is not None and not 0 <= step.judgement.probability <= 1:  # NaN is neither
        raise InvalidExperience(f"judgement of {step.id}: got probability {step.judgement.probability}, expected 0..1")


def _check_vector(name: str, value: NDArray[np.float32], length: int) -> None:
    if value.shape != (length,) or value.dtype != np.float32:
        raise InvalidExperience(f"{name}: got {value.dtype} {value.shape}, the contract has float32 ({length},)")
    if not np.isfinite(value).all():
        raise InvalidExperience(f"{name}: got {value}, expected finite numbers only")
