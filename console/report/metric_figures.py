"""The learner's metrics as small figures, one for each, against updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from console.report.data import MetricsRecord
from console.web.svg import Axes, Values, drawing, nice_ticks, number, text
from learner.health import FLAG

# Metrics that are shown first, with the title and unit that people know them by. Others follow under their own name.
METRIC_TITLES = {
    "critic_loss": "Critic loss [return²]",
    "actor_loss": "Actor loss [return]",
    "bc_loss": "Imitation loss [action²]",
    "q_mean": "Q, mean [return]",
    "q_max": "Q, largest [return]",
    "q_min": "Q, smallest [return]",
    "target_q_mean": "Q target, mean [return]",
    "entropy": "Policy entropy [nat]",
    "temperature": "Temperature [return/nat]",
    "temperature_loss": "Temperature loss [1]",
    "critic_gradient_norm": "Critic gradient [norm]",
    "actor_gradient_norm": "Actor gradient [norm]",
    "updates_per_s": "Updates per second [1/s]",
    "recent_utd": "Updates per step [1]",
}
MAX_PANELS = 12
_BINS = 120  # points of a metric's line: two pixels each


def metric_panels(metrics: Sequence[MetricsRecord], q_bound: float | None) -> list[Markup]:
    """One small drawing for each of the learner's metrics, at most `MAX_PANELS`, known ones first."""
    return [_panel(name, metrics, q_bound) for name in metric_names(metrics)[:MAX_PANELS]]


def metric_names(metrics: Sequence[MetricsRecord]) -> list[str]:
    """Names of all metrics that occur at least twice: known ones in the order of `METRIC_TITLES`, others by name.

    Flags of the health checks are no curves.
    """
    counts: dict[str, int] = {}
    for record in metrics:
        for name in record.metrics:
            counts[name] = counts.get(name, 0) + 1
    known = list(METRIC_TITLES)
    names = [name for name, count in counts.items() if count > 1 and not name.startswith(FLAG)]
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def _panel(name: str, metrics: Sequence[MetricsRecord], q_bound: float | None) -> Markup:
    """One metric against updates: the mean of each of some hundred spans, and its extremes behind it."""
    records = [record for record in metrics if name in record.metrics]
    bins = min(_BINS, len(records))
    updates = _binned([record.updates for record in records], bins)
    values = _binned([record.metrics[name] for record in records], bins)
    means, lows, highs = (np.array([fold(each) for each in values]) for fold in (np.mean, np.min, np.max))
    xs, end = np.array([each.mean() for each in updates]), float(max(records[-1].updates, 1))
    return metric_panel(name, xs, (means, lows, highs), end, q_bound)


def metric_panel(
    name: str, xs: Values, spread_of: tuple[Values, Values, Values], end: float, q_bound: float | None
) -> Markup:
    """A small drawing of a metric against updates. spread_of: means, and the lowest and highest reading behind each."""
    means, lows, highs = spread_of
    bound = q_bound if name in ("q_mean", "q_max") else None
    finite = np.concatenate([means, [bound] if bound is not None else []])
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        finite = np.zeros(1)
    # Rare spikes would flatten the rest: the axis spans the means and what of the extremes lies near them.
    margin = 0.08 * (finite.max() - finite.min()) or max(abs(finite[0]), 1.0) * 0.1
    low, high = float(finite.min() - margin), float(finite.max() + margin)
    axes = Axes(46, 34, 252, 92, 0, end, low, high)
    y_ticks = [(value, number(value)) for value in nice_ticks(low, high, 3)]
    body = [
        text(0, 14, METRIC_TITLES.get(name, name), "title"),
        text(310, 14, number(float(means[-1])), "value", "end"),
        axes.y_ticks(y_ticks),
        axes.x_ticks([(0, "0"), (end, f"{number(end)} updates")], labels=False),
        text(axes.left, 145, "0", "tick", "middle"),
        text(axes.left + axes.width, 145, f"{number(end)} updates", "tick", "end"),
        axes.band(xs, np.clip(lows, low, high), np.clip(highs, low, high), "spread"),
        axes.line(xs, means, "metric-line"),
    ]
    if bound is not None:
        y = axes.y(bound)
        body.append(f'<path class="bound" d="M{axes.left:.1f} {y:.1f}h{axes.width:.1f}"/>')
        body.append(text(axes.left + 4, y - 5, f"bound {number(bound)}", "tick"))
    return drawing(310, 152, "".join(body), f"{name}: {number(float(means[-1]))} after {number(end)} updates")


def _binned(values: Sequence[float], bins: int) -> list[Values]:
    """Values in `bins` consecutive spans of equal count."""
    return np.array_split(np.asarray(values, np.float64), bins)
