"""An episode as a Rerun recording: cameras, state, actions beside the policy's, who was in control, reward, judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from console.errors import ConsoleError
from console.extras import require_extra
from console.replay.figure import COLOURS, DONE, PROPOSED
from console.replay.reel import SESSION_DIGITS, WHO, Replayed
from policy.contract import Contract
from policy.experience import Source, Step
from policy.wire import encode_png

if TYPE_CHECKING:
    from rerun import RecordingStream
    from rerun.blueprint import Blueprint

STEP, TIME = "step", "time"  # timelines: places in the episode, and the same at the control rate


def require_rerun() -> None:
    """Raise `MissingExtra` where the package is missing."""
    require_extra("replay --rerun", "rerun", "rerun")


def write_rerun(replayed: Replayed, path: Path, policy_name: str) -> None:
    """Write it whole, lossless, over what may lie there. Raises `ConsoleError` where it cannot be written."""
    require_rerun()
    import rerun as rr

    rr.set_strict_mode(True)  # it would leave out what it cannot write, and only warn
    outcome, hz = replayed.outcome, replayed.contract.control_hz
    partial = path.with_name(f".{path.name}.partial")
    with rr.RecordingStream("nudge", recording_id=f"{outcome.session[:SESSION_DIGITS]}-{outcome.episode}") as recording:
        try:
            partial.touch()
            recording.save(partial, default_blueprint=_layout(replayed.contract))
            _log_names(recording, replayed, policy_name)
            for place in range(len(replayed.steps) + 1):
                recording.set_time(STEP, sequence=place)
                recording.set_time(TIME, duration=place / hz)
                _log_seen(recording, replayed, place)
                if place < len(replayed.steps):
                    _log_done(recording, replayed, place)
            recording.flush()
            recording.disconnect()
            partial.replace(path)
        except OSError as error:
            raise ConsoleError(
                f"{path}: cannot be written ({error.strerror}); name another file with --rerun"
            ) from error
        finally:
            partial.unlink(missing_ok=True)


def _log_names(recording: RecordingStream, replayed: Replayed, policy_name: str) -> None:
    """What curves are called and how they look, once for all times."""
    import rerun as rr

    recording.log("reward", rr.SeriesLines(names="reward", colors=_rgb(DONE)), static=True)
    recording.log("judge/probability", rr.SeriesLines(names="judge: probability of success"), static=True)
    for axis in replayed.contract.action:
        unit = f"1 = {axis.scale:g} {axis.unit}"
        recording.log(
            f"action/{axis.name}/done", rr.SeriesLines(names=f"done ({unit})", colors=_rgb(DONE)), static=True
        )
        if replayed.proposed is not None:
            told = rr.SeriesLines(names=policy_name, colors=_rgb(PROPOSED))
            recording.log(f"action/{axis.name}/policy", told, static=True)
    for dimension in replayed.contract.proprioception:
        named = rr.SeriesLines(names=f"{dimension.name} [{dimension.unit}]")
        recording.log(f"state/{dimension.name}", named, static=True)


def _log_seen(recording: RecordingStream, replayed: Replayed, place: int) -> None:
    import rerun as rr

    seen = replayed.seen(place)
    for name, frame in seen.frames.items():
        recording.log(f"camera/{name}", rr.EncodedImage(contents=encode_png(frame), media_type="image/png"))
    for dimension, value in zip(replayed.contract.proprioception, seen.proprioception, strict=True):
        recording.log(f"state/{dimension.name}", rr.Scalars(float(value)))
    judgement = replayed.steps[place - 1].judgement if place else None  # it was of what was seen after the action
    if judgement is not None:
        recording.log("judge/probability", rr.Scalars(judgement.probability))


def _log_done(recording: RecordingStream, replayed: Replayed, place: int) -> None:
    import rerun as rr

    step = replayed.steps[place]
    for index, axis in enumerate(replayed.contract.action):
        recording.log(f"action/{axis.name}/done", rr.Scalars(float(step.action[index])))
        if replayed.proposed is not None:
            recording.log(f"action/{axis.name}/policy", rr.Scalars(float(replayed.proposed[place, index])))
    recording.log("reward", rr.Scalars(step.reward))
    recording.log("control/operator", rr.Scalars(float(step.source in (Source.HUMAN, Source.DEMO))))
    if place == 0 or step.source is not replayed.steps[place - 1].source:
        recording.log("control", rr.TextLog(_told(step), color=_rgb(COLOURS[step.source])))


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue


def _told(step: Step) -> str:
    return f"in control: {WHO[step.source]}"


def _layout(contract: Contract) -> Blueprint:
    """How the viewer shows it at first."""
    import rerun.blueprint as rrb

    cameras = [rrb.Spatial2DView(origin=f"camera/{camera.name}", name=camera.name) for camera in contract.cameras]
    axes = [rrb.TimeSeriesView(origin=f"action/{axis.name}", name=axis.name) for axis in contract.action]
    control = rrb.TextLogView(origin="control", name="in control")
    judged = rrb.TimeSeriesView(contents=["reward", "judge/**", "control/operator"], name="reward, judge, operator")
    state = rrb.TimeSeriesView(origin="state", name="state")
    return rrb.Blueprint(rrb.Horizontal(rrb.Vertical(*cameras, control), rrb.Vertical(*axes, judged, state)))
