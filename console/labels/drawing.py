"""The shapes of the page of labels: an episode's labels as intervals, its probability as a curve, where one is.

HTML that scales with the page: places are shares of the width, so that text keeps its size. Colours are in label.css.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from console.labels.thoughts import Origin
from policy.experience_file import EpisodeOutcome
from reward_classifier.hard_frames import Suggestion
from reward_classifier.labels import Label, Said

CURVE_HEIGHT = 100  # of the curve's own coordinates; the width is the number of frames
LETTERS = {Label.POSITIVE: "P", Label.NEGATIVE: "N", Label.UNSURE: "U"}


@dataclass(frozen=True, slots=True)
class Interval:
    """Neighbouring frames of which the same is said by the same author. said: None for those without a label"""

    first: int
    last: int
    said: Said | None


def intervals(said: Mapping[int, Said], frames: int) -> Iterator[Interval]:
    """All of an episode of so many frames."""

    def meaning(frame: int) -> tuple[Label, str] | None:
        here = said.get(frame)
        return None if here is None else (here.label, here.act.author)

    for _, run in groupby(range(frames), meaning):
        members = list(run)
        yield Interval(members[0], members[-1], said.get(members[0]))


def strip(said: Mapping[int, Said], frames: int) -> Markup:
    """The labels of an episode, one coloured interval beside the other; hovering over one tells who said it."""
    parts = [
        Markup('<i class="run {}" style="{}" title="{}">{}</i>').format(
            each.said.label,
            _across(each.first, each.last, frames),
            f"frames {each.first} to {each.last}: {each.said.label}, {each.said.act.author}",
            LETTERS[each.said.label] if each.last - each.first + 1 >= frames / 40 else "",
        )
        for each in intervals(said, frames)
        if each.said is not None
    ]
    return Markup('<div class="strip">{}</div>').format(Markup("").join(parts))


def curve(probability: NDArray[np.float64] | None, threshold: float, frames: int) -> Markup:
    """Probability of each frame (frames,), as steps from frame to frame, and the threshold; None: not known."""
    if probability is None:
        return Markup('<div class="curve unknown"><span>the classifier has not looked at this episode</span></div>')
    heights = CURVE_HEIGHT * (1 - np.nan_to_num(probability))
    line = " ".join(f"{frame},{y:.1f} {frame + 1},{y:.1f}" for frame, y in enumerate(heights))
    top = f"{100 * (1 - threshold):.1f}%"
    return Markup(
        '<div class="curve"><svg viewBox="0 0 {w} {h}" preserveAspectRatio="none" role="img" '
        'aria-label="probability of each frame"><polygon points="0,{h} {line} {w},{h}"/>'
        '<polyline points="{line}"/></svg><b class="threshold" style="top: {top}"><span>{at}</span></b></div>'
    ).format(w=frames, h=CURVE_HEIGHT, line=line, top=top, at=f"{threshold:.2f}")


def flags(suggestions: Iterable[Suggestion], frames: int) -> Markup:
    """Where frames of this episode are suggested."""
    marks = (
        Markup('<i class="flag" style="left: {}" title="{}"></i>').format(_middle(each.step, frames), each.told)
        for each in suggestions
    )
    return Markup('<div class="flags">{}</div>').format(Markup("").join(marks))


def seconds(frames: int, control_hz: float) -> Markup:
    """Times below the timeline, in steps that leave room for their numbers."""
    last_s = (frames - 1) / control_hz
    every_s = next((each for each in (0.5, 1, 2, 5, 10, 30, 60) if last_s / each <= 10), 300.0)
    marks = np.arange(0.0, last_s + 1e-9, every_s).tolist()
    told = (
        Markup('<i style="left: {}">{} s</i>').format(_middle(round(mark * control_hz), frames), f"{mark:g}")
        for mark in marks
    )
    return Markup('<div class="seconds">{}</div>').format(Markup("").join(told))


def cursor(frame: int, marked: tuple[int, int] | None, frames: int) -> Markup:
    """Where one is, and what is marked."""
    mark = Markup("")
    if marked is not None:
        mark = Markup('<i class="marked" style="{}"></i>').format(_across(*marked, frames))
    return mark + Markup('<i class="cursor" style="{}"></i>').format(_across(frame, frame, frames))


def episode_row(outcome: EpisodeOutcome, said: Mapping[int, Said], suggested: int) -> Markup:
    """An episode in the list: how it ended, how many of its frames have labels, and by whom."""
    frames = outcome.steps + 1
    authors = ", ".join(sorted({each.act.author for each in said.values()}))
    told = f"{len(said)} of {frames} frames" + (f" · {authors}" if authors else "")
    return Markup(
        '<div class="row"><b>{name}</b><span class="chip {kind}">{result}</span></div>{strip}'
        '<div class="row soft"><span>{told}</span>{hard}</div>'
    ).format(
        name=episode_name(outcome),
        kind="success" if outcome.success else "failure",
        result="success" if outcome.success else "no success",
        hard=Markup('<span class="chip hard" title="frames to label next">{}</span>').format(suggested)
        if suggested
        else "",
        strip=strip(said, frames),
        told=told,
    )


def frame_line(frame: int, frames: int, control_hz: float, said: Said | None) -> Markup:
    """What is known of the frame that is seen."""
    label = said.label if said else "none"
    whose = f"by {said.act.author}, version {said.act.version}" if said else ""
    after = " · seen after the last step" if frame == frames - 1 else ""
    return Markup(
        '<span class="place">frame <b>{frame}</b> of {last} · {seconds} s{after}</span>'
        '<span class="said {label}">{told}</span><span class="soft">{whose}</span>'
    ).format(
        frame=frame,
        last=frames - 1,
        seconds=f"{frame / control_hz:.1f}",
        after=after,
        label=label,
        told="no label" if said is None else said.label,
        whose=whose,
    )


def opinion_line(probability: float, threshold: float, origin: Origin) -> Markup:
    """What the classifier thinks of the frame that is seen; nothing where it was not asked."""
    if np.isnan(probability):
        return Markup("")
    sure = "yes" if probability >= threshold else "no"
    return Markup(
        '<span class="probability {sure}">{value}</span> <span class="soft">probability; threshold {threshold} · '
        "{origin}</span>"
    ).format(sure=sure, value=f"{probability:.2f}", threshold=f"{threshold:.2f}", origin=origin.value)


def suggestion_row(suggestion: Suggestion, outcome: EpisodeOutcome, pictures: Sequence[str]) -> Markup:
    """A suggested frame with its pictures (URLs) and the reason."""
    shown = Markup("").join(Markup('<img src="{}" alt="">').format(url) for url in pictures)
    return Markup(
        '<div class="thumbs">{shown}</div><div><div class="row"><span class="why {kind}">{why}</span>'
        '<span class="soft">{name}, frame {step}</span></div><div class="reason">{told}</div></div>'
    ).format(
        shown=shown,
        kind=suggestion.why.name.lower(),
        why=suggestion.why.value,
        name=episode_name(outcome),
        step=suggestion.step,
        told=suggestion.told,
    )


def episode_name(outcome: EpisodeOutcome) -> str:
    """Short: who knows a whole session can speak for its actor."""
    return f"{outcome.session[:8]}/{outcome.episode}"


def _across(first: int, last: int, frames: int) -> str:
    return f"left: {100 * first / frames:.3f}%; width: {100 * (last - first + 1) / frames:.3f}%"


def _middle(frame: int, frames: int) -> str:
    return f"{100 * (frame + 0.5) / frames:.3f}%"
