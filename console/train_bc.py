"""`nudge train-bc`: clone what the operator did, from the demonstrations that a run learns from; judged as a run is.

What a policy that only imitates comes to is the bar: learning by reward has to beat it, with the same demonstrations,
encoder and network.
"""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from pydantic import Field
from rich.console import Console
from rich.progress import Progress, track

from console.errors import ConsoleError
from console.experience import SOURCE_HELP, find_experience
from console.presets.load import AMONG_OPTIONS, load_options
from console.settings import DEFAULT_PRESET, Settings
from learner.cloning import Clone, CloningSettings, Epoch, clone, encode, fit_on, split
from learner.disk import write_atomically
from learner.step_encoder import StepEncoder
from learner.threads import arithmetic
from policy.contract import Frozen
from policy.encoder import load_encoder
from policy.experience import Step
from policy.experience_file import EpisodeSelection, ExperienceFile
from policy.features import FeatureReduction, Featurizer
from policy.network import make_spec
from policy.snapshot import pack_snapshot

Episodes = list[list[Step]]

FEWEST_EPISODES = 2  # one to learn from, one to tell when to stop


class TrainBcOptions(Frozen):
    """Clone the operator's behaviour: same encoder, contract and network as a run of the preset. Writes a snapshot into
    the run folder that `nudge eval` judges.
    """

    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")] = Field(description=SOURCE_HELP)
    snapshot: str = Field(
        default="bc.safetensors", pattern=r"^[\w.-]+$", description="File in the run folder; it must not exist."
    )
    interventions: bool = Field(
        default=False, description="Also the operator's steps in episodes that the policy drove otherwise."
    )
    cloning: CloningSettings = CloningSettings()
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        default=False, description="One JSON object instead of text."
    )
    settings: Annotated[Settings, *AMONG_OPTIONS]


def main(argv: list[str]) -> int:
    """Train, write snapshot and figures, and say how to judge it."""
    options = load_options(TrainBcOptions, argv, DEFAULT_PRESET, "nudge train-bc")
    settings = options.settings
    figures = train(options, Console(stderr=True))
    if options.as_json:
        print(json.dumps(figures))
        return 0
    print(
        f"{figures['snapshot']}: {figures['updates']} updates, held-out error {figures['held_out_error']:.4f} "
        f"({figures['training_steps']} steps of {figures['training_episodes']} episodes, "
        f"{figures['held_out_steps']} of {figures['held_out_episodes']} held out)\n"
        f"judge it: nudge eval --preset {settings.preset_name} --runs {settings.runs} --run {settings.run} "
        f"--evaluation.checkpoint {options.snapshot}"
    )
    return 0


def train(options: TrainBcOptions, console: Console) -> dict[str, Any]:
    """Clone; the figures that lie beside the snapshot as JSON.

    Raise `ConsoleError` for too few demonstrations and for a snapshot that is there, `ContractMismatch` with the
    difference for experience of another contract.
    """
    settings, learner = options.settings, options.settings.learner
    target = settings.folder / options.snapshot
    if target.exists():
        raise ConsoleError(f"{target}: there is such a file, and nothing is overwritten; choose another --snapshot")
    if learner.features.augmentation != "cached":
        raise ConsoleError(
            f"learner.features.augmentation: got {learner.features.augmentation}, expected cached: cloning draws from "
            f"views that were encoded once"
        )
    begun_s = time.monotonic()
    path = find_experience(options.source, settings.runs)
    training, held_out = _episodes(path, options)
    with arithmetic(learner):
        cloned, reduction, counts = _clone(training, held_out, options, console)
    settings.folder.mkdir(parents=True, exist_ok=True)
    write_atomically(target, pack_snapshot(cloned.network, reduction, cloned.updates))
    figures = {
        "snapshot": str(target),
        "experience": str(path),
        "seed": settings.seed,
        "preset": settings.preset_name,
        "contract_hash": settings.contract.hash,
        "cloning": options.cloning.model_dump(mode="json"),
        "training_episodes": len(training),
        "held_out_episodes": len(held_out),
        "training_steps": counts[0],
        "held_out_steps": counts[1],
        "updates": cloned.updates,
        "best_epoch": cloned.best,
        "held_out_error": cloned.history[cloned.best].held_out,
        "history": [asdict(epoch) for epoch in cloned.history],
        "wall_s": time.monotonic() - begun_s,
    }
    write_atomically(target.with_suffix(".json"), (json.dumps(figures, indent=1) + "\n").encode())
    return figures


def _clone(
    training: Episodes, held_out: Episodes, options: TrainBcOptions, console: Console
) -> tuple[Clone, FeatureReduction | None, tuple[int, int]]:
    """With the reduction that was fitted, and how many steps were learned from and held out."""
    settings, learner = options.settings, options.settings.learner
    contract, seed, trainer = settings.contract, settings.seed, learner.trainer
    plain = Featurizer(load_encoder(learner.encoder), None, contract)
    reduction = fit_on(training, plain, learner.features, seed)
    encoder = StepEncoder(Featurizer(plain.encoder, reduction, contract), learner.features, contract, seed)
    seen, unseen = (
        encode(part, encoder, lambda each: track(each, "encoding", console=console, transient=True))
        for part in (training, held_out)
    )
    spec = make_spec(contract, plain.encoder, learner.features.reduced_channels, learner.network)
    # The networks are small: more threads are no faster, and on a busy machine far slower.
    torch.set_num_threads(trainer.threads if isinstance(trainer.threads, int) else 1)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("cloning", total=options.cloning.largest_epochs)

        def tell(epoch: Epoch) -> None:
            progress.update(task, advance=1, description=f"cloning, held-out error {epoch.held_out:.4f}")

        cloned = clone(spec, contract, seen, unseen, options.cloning, seed, torch.device(trainer.device), tell)
    return cloned, reduction, (len(seen), len(unseen))


def _episodes(path: Path, options: TrainBcOptions) -> tuple[Episodes, Episodes]:
    """To learn from, and held out."""
    settings = options.settings
    selection = EpisodeSelection(demonstrations=not options.interventions)
    with closing(ExperienceFile(path)) as file:
        settings.contract.require_equal(file.contract, "the settings", f"the experience {path}")
        outcomes = [it for it in file.outcomes(selection) if it.demo_steps or it.human_steps]
        chosen = [outcome.id for outcome in outcomes]
        if len(chosen) < FEWEST_EPISODES:
            raise ConsoleError(
                f"{path}: got {len(chosen)} demonstrations, expected at least {FEWEST_EPISODES}, one of which is held "
                f"out; record more"
            )
        parts = split(chosen, options.cloning.held_out, settings.seed)
        training, held_out = ([file.episode(each) for each in part] for part in parts)
    return training, held_out
