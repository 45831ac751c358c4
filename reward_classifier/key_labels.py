"""Labels from what the operator said of whole episodes: the key that ends one in success marks its last frames."""

from __future__ import annotations

from collections.abc import Iterable

from policy.experience_file import EpisodeOutcome
from reward_classifier.label_acts import KEY
from reward_classifier.labels import EpisodeKey, Label, LabelBook, Span
from reward_classifier.settings import KeyLabelSettings


def key_spans(outcome: EpisodeOutcome, control_hz: float, settings: KeyLabelSettings) -> list[Span]:
    """What the end of an episode says of its frames. One without success has nothing but negative ones."""
    key, last = EpisodeKey(outcome.session, outcome.episode), outcome.steps
    if not outcome.success:
        return [Span(key, 0, last, Label.NEGATIVE)]
    first_positive = max(0, last - settings.positive_frames + 1)
    last_negative = min(last - round(settings.negative_before_s * control_hz), first_positive) - 1
    spans = [Span(key, first_positive, last, Label.POSITIVE)]
    if last_negative >= 0:
        spans.append(Span(key, 0, last_negative, Label.NEGATIVE))
    return spans


def label_from_keys(
    book: LabelBook,
    outcomes: Iterable[EpisodeOutcome],
    control_hz: float,
    settings: KeyLabelSettings,
    author: str,
    wall_ns: int,
    *,
    again: bool = False,
) -> int:
    """Label all episodes of which nothing was said yet, in one act; returns how many.

    Those that only a classifier has ended are left out: it would learn from its own opinion.
    again: also those that have labels, whoever gave them
    """
    known = book.labels()
    said = [each for each in outcomes if not each.by_classifier]
    new = [each for each in said if again or EpisodeKey(each.session, each.episode) not in known]
    spans = [span for outcome in new for span in key_spans(outcome, control_hz, settings)]
    if spans:
        book.add(spans, KEY, author, wall_ns)
    return len(new)
