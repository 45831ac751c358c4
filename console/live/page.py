"""The page of `nudge classifier live`: what the cameras see, how probable success is, and what the judge says of it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from nicegui import ui

from console.live.show import LiveShow, Point
from console.live.watch import GateValue, Watched
from console.web.local_page import serve
from console.web.page_parts import TEMPLATES, camera_picture, tagged, written
from reward_classifier.judge import Rule


class LivePage:
    """One visitor's page."""

    def __init__(self, show: LiveShow, rule: Rule, title: str) -> None:
        self._show, self._rule, self._title, self._drawn = show, rule, title, 0
        for sheet in ("local.css", "live.css"):
            ui.add_css(TEMPLATES / sheet)
        assert show.latest is not None  # the page is served after the first tick
        with tagged("div", "live"):
            self._head = written("head")
            with tagged("div", "cameras"):
                self._pictures = {name: camera_picture(name) for name in show.latest.pictures}
            with tagged("div", "side"):
                self._verdict, self._votes, self._gate = written("verdict"), written("card"), written("card")
            self._curve = written("card wide")
        ui.timer(1.0 / show.hz, self._draw)

    def _draw(self) -> None:
        """The newest tick, once."""
        held, trouble = self._show.latest, self._show.trouble
        if trouble is not None:
            self._verdict.set_content(Markup("<h1>It has ended</h1><p>{}</p>").format(str(trouble)))
            self._verdict.classes(replace="verdict trouble")
        if held is None or held.number == self._drawn:
            return
        self._drawn, watched = held.number, held.watched
        for name, url in held.pictures.items():
            self._pictures[name].props["src"] = url
        rate = f"{held.rate_hz:.1f} of {self._show.hz:g} ticks a second"
        head = Markup('<b>{}</b><span>{}</span><span class="soft">{}</span>')
        self._head.set_content(head.format(self._title, watched.seen.where, rate))
        kind, text = verdict(watched)
        self._verdict.classes(replace=f"verdict {kind}")
        self._verdict.set_content(text)
        self._votes.set_content(votes(watched, self._rule))
        self._gate.set_content(gate(watched.gate))
        self._curve.set_content(curve(held.points, self._show.points, self._rule, self._show.hz))


def verdict(watched: Watched) -> tuple[str, Markup]:
    """What the judge says now, as a kind for the style sheet and as text."""
    opinion, paid = watched.opinion, watched.paid
    if opinion.pays:
        kind, says, why = "pays", "Success: it pays", opinion.told
    elif paid is not None:
        kind, says, why = "paid", "Success: it has paid", f"{paid.told}, at probability {paid.probability:.2f}"
    else:
        kind, says, why = "no", "It does not pay", opinion.told
    return kind, Markup("<h1>{}</h1><p>{}</p>").format(says, why)


def votes(watched: Watched, rule: Rule) -> Markup:
    """The probability of this frame, and how many of the last ones look like success."""
    boxes = [Markup('<i class="vote {}"></i>').format("yes" if vote else "no") for vote in watched.votes]
    boxes = [Markup('<i class="vote"></i>')] * (rule.n - len(boxes)) + boxes
    sure = "yes" if watched.opinion.probability >= rule.threshold else "no"
    return Markup(
        '<div class="row"><span class="probability {sure}">{probability}</span><span class="soft">probability of '
        'success; the threshold is {threshold}</span></div><div class="row votes">{boxes}'
        '<span class="soft">{yes} of the last {n} frames look like success, {k} must</span></div>'
    ).format(
        sure=sure,
        probability=f"{watched.opinion.probability:.2f}",
        threshold=f"{rule.threshold:.2f}",
        boxes=Markup("").join(boxes),
        yes=sum(watched.votes),
        n=rule.n,
        k=rule.k,
    )


def gate(values: Sequence[GateValue]) -> Markup:
    """What the joints say, and what they must say."""
    if not values:
        return Markup('<p class="soft">This classifier has no gate: the joints are not asked.</p>')
    rows = [
        Markup(
            '<div class="dimension {holds}"><b>{name}</b><span>{value} {unit}</span><span class="soft">{limits}</span>'
            '<div class="range"><i class="allowed" style="left: {left}; right: {right}"></i>'
            '<i class="at" style="left: {at}"></i></div></div>'
        ).format(
            holds="yes" if each.holds else "no",
            name=each.limits.dimension,
            value=f"{each.value:.3f}",
            unit="" if each.limits.unit == "1" else each.limits.unit,
            limits=f"must be {each.limits}",
            left=_percent(each.low_share),
            right=_percent(1 - each.high_share),
            at=_percent(each.share),
        )
        for each in values
    ]
    return Markup("").join(rows)


def curve(points: Sequence[Point], most: int, rule: Rule, hz: float) -> Markup:
    """The probability of the last frames, the newest on the right; dots where it paid, lines where episodes began."""
    first = most - len(points)
    line = " ".join(f"{first + place + 0.5},{100 * (1 - point.probability):.1f}" for place, point in enumerate(points))
    marks = [
        Markup('<i class="{}" style="left: {}; top: {}"></i>').format(
            "pay" if point.pays else "begin",
            _percent((first + place + 0.5) / most),
            _percent(1 - point.probability) if point.pays else "0",
        )
        for place, point in enumerate(points)
        if point.pays or point.begins
    ]
    return Markup(
        '<div class="curve"><svg viewBox="0 0 {most} 100" preserveAspectRatio="none" role="img" '
        'aria-label="probability of the last frames"><polyline points="{line}"/></svg>'
        '<b class="threshold" style="top: {top}"><span>{threshold}</span></b>{marks}</div>'
        '<div class="row soft"><span>{seconds} s ago</span><span class="now">now</span></div>'
    ).format(
        most=most,
        line=line,
        top=_percent(1 - rule.threshold),
        threshold=f"{rule.threshold:.2f}",
        marks=Markup("").join(marks),
        seconds=f"{most / hz:.0f}",
    )


def serve_live(show: LiveShow, rule: Rule, title: str, port: int) -> None:
    """Serve the page until Ctrl+C."""
    serve(lambda: LivePage(show, rule, title), port, "Live classifier · Nudge")


def _percent(share: float) -> str:
    """Of a width; beyond its ends it stays there."""
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"
