"""`nudge classifier live`: watch what a classifier thinks of what the cameras see now, or of recorded episodes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from pydantic import Field

from console.presets.load import AMONG_OPTIONS, load_options
from console.settings import DEFAULT_PRESET, Settings
from policy.contract import Contract, Frozen
from policy.encoder import load_encoder
from policy.experience_file import EpisodeSelection, ExperienceFile
from reward_classifier.artefact import open_classifier

if TYPE_CHECKING:
    from console.live.watch import Seen, Watched

HISTORY_S = 15.0  # of the curve on the page


class LiveOptions(Frozen):
    """Watch a classifier at work: pictures, probability, votes, gate, and what the judge says, at the control rate.

    Of the arm of the settings: a real or virtual one is read, and its torque stays as it is, so you can move a limp arm
    by hand; a simulated one is driven by a scripted hand that lifts the cube, or misses it. With --store recorded
    episodes are played instead.
    """

    classifier: Annotated[Path, tyro.conf.Positional] = Field(description="Its folder.")
    store: Path | None = Field(default=None, description="Play the episodes of this file of experience.")
    selection: EpisodeSelection = EpisodeSelection()
    port: int = Field(default=8093, gt=0, le=65535, description="Port of the page, on 127.0.0.1 alone.")
    no_page: bool = Field(default=False, description="Print a line for each tick instead; recorded episodes once.")
    settings: Annotated[Settings, *AMONG_OPTIONS]


def live(argv: list[str]) -> int:
    """Watch, until Ctrl+C."""
    options = load_options(LiveOptions, argv, DEFAULT_PRESET, "nudge classifier live")
    from console.live.watch import told_line, watch

    contract, encoder = _contract(options), load_encoder(options.settings.learner.encoder)
    classifier = open_classifier(options.classifier, contract, encoder)
    endless = options.store is None and options.settings.arm.kind == "so101"

    def watched(seen: Generator[Seen]) -> Generator[Watched]:
        return watch(seen, classifier, encoder, endless=endless)

    if options.no_page:
        with closing(_source(options)) as source:
            for each in watched(source):
                print(told_line(each), flush=True)
        return 0
    from console.live.page import serve_live  # with it comes NiceGUI
    from console.live.show import LiveShow

    show = LiveShow(watched, _source(options), contract.control_hz, HISTORY_S)
    show.start()
    try:
        show.await_first()
        serve_live(show, classifier.facts.rule, options.classifier.name, options.port)
    finally:
        show.stop()
    return 0


def _source(options: LiveOptions) -> Generator[Seen]:
    """What is watched; nothing is opened before it is asked for its first tick."""
    if options.store is not None:
        from console.live.recorded import recorded

        return recorded(options.store, options.selection, again=not options.no_page)
    from console.live.arm import looked_at, scripted  # with them comes MuJoCo

    if options.settings.arm.kind == "so101":
        return looked_at(options.settings)
    return scripted(options.settings)


def _contract(options: LiveOptions) -> Contract:
    """Of what is watched."""
    if options.store is None:
        return options.settings.contract
    with closing(ExperienceFile(options.store)) as experience:
        return experience.contract
