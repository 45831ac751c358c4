"""`nudge classifier disputes`: where the operator's key contradicts the classifier that pays, and how to label that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from console.classifier.options import DisputeOptions
from console.presets.load import parse_options
from console.store.info import SESSION_DIGITS
from learner.disputes import Disputes, find_disputes
from learner.judged import JudgedEpisode, read_judged
from learner.judges import told
from learner.store import StoreReader
from reward_classifier.labels import Label
from reward_classifier.settings import KeyLabelSettings


def disputes(argv: list[str]) -> int:
    """List them, each with the command that labels its frames; 1 when there are too many of late."""
    options = parse_options(DisputeOptions, argv, "nudge classifier disputes", flags=True)
    with StoreReader(options.path) as store:
        found, judge = find_disputes(read_judged(store), options), store.judge()
    if options.as_json:
        print(json.dumps(_as_json(found, options)))
        return int(found.flagged)
    for episode in found.disputed:
        said = "success" if episode.word else "failure"
        print(f"{_place(episode)}: you said {said}, {_opinion(episode)}\n  {label_command(episode, options)}")
    for episode in found.rejected:
        print(f"{_place(episode)}: rejected, and {_opinion(episode)}")
    who = "nobody" if judge is None else told(judge.name)
    print(
        f"{options.path}, rewards by {who}: {found.recent_disputed} of the newest {found.recent} judged episodes are "
        f"disputed ({found.share:.0%}), {len(found.disputed)} of all"
    )
    if found.flagged:
        Console().print(
            f"More than {options.share:.0%}: label the frames above, train another classifier, and let it pay with "
            f"`nudge classifier accept`",
            style="red",
            markup=False,
            highlight=False,
        )
    return int(found.flagged)


def label_command(episode: JudgedEpisode, options: DisputeOptions) -> str:
    """What labels the frames that a dispute is about by the operator's word.

    Of a success that was not paid these are the last ones; else those up to the one that was paid for.
    """
    step = episode.recorded.last_step if episode.paid_at is None else episode.paid_at
    last, label = step + 1, Label.POSITIVE if episode.word else Label.NEGATIVE  # a step's judge sees the next frame
    first = max(0, last - KeyLabelSettings().positive_frames + 1)
    return (
        f"nudge classifier label {options.told} --selection.session {episode.session[:SESSION_DIGITS]} "
        f"--selection.episodes {episode.index} --frames {first} {last} --label {label.value}"
    )


def _place(episode: JudgedEpisode) -> str:
    return f"session {episode.session[:SESSION_DIGITS]}, episode {episode.index}"


def _opinion(episode: JudgedEpisode) -> str:
    return "it does not pay" if episode.paid_at is None else f"it pays at step {episode.paid_at}"


def _as_json(found: Disputes, options: DisputeOptions) -> Mapping[str, Any]:
    return {
        "path": str(options.path),
        "recent": found.recent,
        "recent_disputed": found.recent_disputed,
        "share": found.share,
        "flagged": found.flagged,
        "disputed": [
            {
                "session": episode.session[:SESSION_DIGITS],
                "episode": episode.index,
                "operator": "success" if episode.word else "failure",
                "paid_at": episode.paid_at,
                "label": label_command(episode, options),
            }
            for episode in found.disputed
        ],
        "rejected": [
            {"session": each.session[:SESSION_DIGITS], "episode": each.index, "paid_at": each.paid_at}
            for each in found.rejected
        ],
    }
