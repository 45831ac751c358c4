"""Stored views against fresh crops: do both learn alike, and what does each cost?

    python bench/augmentation.py --store runs/demo/experience.sqlite [--seeds 3] [--updates 600] [--json]

Offline, on fixed experience: with one seed every mode starts from the same weights and draws the same transitions; only
the views differ. Losses are those of episodes that nothing was learned from. See bench/README.md.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]

import numpy as np  # noqa: E402 - the path comes first
import torch  # noqa: E402
import tyro  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.interval import Estimate, mean_interval  # noqa: E402
from bench.offline import Offline, held_out_losses, only_views, read_experience, sample  # noqa: E402
from console.evaluation.main import evaluate_checkpoint  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.report.data import Evaluation  # noqa: E402
from console.settings import Settings as ProjectSettings  # noqa: E402
from console.statistics import wilson_interval  # noqa: E402
from learner.batch import Batch  # noqa: E402
from learner.checkpoint_folder import POLICY  # noqa: E402
from learner.replay_layout import EncodedStep  # noqa: E402
from learner.sac import Sac, use_matmul  # noqa: E402
from learner.settings import LearnerSettings  # noqa: E402
from policy.encoder import Encoder, load_encoder  # noqa: E402
from policy.settings import EncoderSettings  # noqa: E402
from policy.snapshot import pack_snapshot  # noqa: E402

REFERENCE = "on-the-fly"


@dataclasses.dataclass(frozen=True)
class Settings:
    """Stored views against fresh crops, offline on the experience of a finished run."""

    store: Path
    """Experience store; only read."""
    preset: str = "fast"
    """Preset of the learner."""
    encoder: str = ""
    """Source of the encoder, such as `random:0`, half as wide and four times as fast; empty is the preset's."""
    views: tuple[int, ...] = (1, 2, 4, 8)
    """Numbers of stored views to try, beside fresh crops."""
    seeds: int = 3
    """Learners of each kind; at least two."""
    updates: int = 600
    """Updates of each learner."""
    every: int = 100
    """Updates between two points of a curve."""
    batch: int = 32
    """Transitions an update."""
    transitions: int = 1500
    """About so many to learn from."""
    examined: int = 512
    """Held-out transitions drawn for the losses, half of them demonstrations."""
    evaluated: bool = True
    """Judge each learner's last policy on the evaluation grid, which takes half a minute."""
    json: bool = False
    """Print one JSON object as the last line."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One learner: its curve, what its last policy came to, and the time of an update.

    curve: one entry each `every` updates, from 0 on: held-out losses by name
    update_s: processor time, sampling included [s]
    evaluation: the last policy alone on the grid; None where it was not asked for
    """

    curve: Sequence[Mapping[str, float]]
    update_s: float
    evaluation: Evaluation | None


def learner_settings(preset: str, views: int | None) -> LearnerSettings:
    """The preset with as many stored views, or with fresh crops for None."""
    learner = load_preset(ProjectSettings, preset).learner
    change: dict[str, Any] = {"augmentation": REFERENCE} if views is None else {"views": views}
    return learner.model_copy(update={"features": learner.features.model_copy(update=change)})


def encoder_settings(settings: Settings) -> EncoderSettings:
    """The preset's encoder, or another source of one."""
    encoder = load_preset(ProjectSettings, settings.preset).learner.encoder
    return encoder.model_copy(update={"source": settings.encoder}) if settings.encoder else encoder


def measure(settings: Settings, encoder: Encoder, console: Console) -> dict[str, Any]:
    """All trials of all modes; the JSON object."""
    base = learner_settings(settings.preset, max(settings.views))
    fresh = learner_settings(settings.preset, None)
    modes = {f"{k} stored": learner_settings(settings.preset, k) for k in settings.views} | {REFERENCE: fresh}
    trials: dict[str, list[Trial]] = {name: [] for name in modes}
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as folder:
        offline = Offline(read_experience(settings.store, settings.transitions), base, encoder, Path(folder))
        exams = _exams(offline, settings)
        frames, _ = offline.encode(fresh, 0)
        encode_s = 0.0
        for seed in range(settings.seeds):
            with console.status(f"seed {seed}: encoding {max(settings.views)} views"):
                encoded, encode_s = offline.encode(base, seed)
            for name, mode in modes.items():
                steps = frames if name == REFERENCE else only_views(encoded, slice(mode.features.views))
                with console.status(f"seed {seed}: {name}"):
                    trials[name].append(_train(offline, mode, steps, seed, exams, settings))
                last = trials[name][-1]
                success = "" if last.evaluation is None else f", {last.evaluation.successes} successes"
                console.print(f"seed {seed}, {name}: {last.curve[-1]}{success}", highlight=False)
        slot_bytes = {name: offline.replay(mode, (), f"{name} bytes").layout.slot_bytes for name, mode in modes.items()}
    costs = {
        name: {
            "encode_s_per_step": 0.0 if name == REFERENCE else encode_s * mode.features.views / max(settings.views),
            "bytes_per_observation": slot_bytes[name],
        }
        for name, mode in modes.items()
    }
    return figures(trials, costs, settings, len(frames))


def _exams(offline: Offline, settings: Settings) -> Mapping[str, Batch]:
    """Held-out transitions, the same for all: as the cameras saw them, and each shifted at random."""
    two, one = learner_settings(settings.preset, 2), learner_settings(settings.preset, 1)
    encoded, _ = offline.encode(two, 0, held_out=True)
    kinds = {"centre": slice(0, 1), "shifted": slice(1, 2)}
    return {
        kind: sample(
            offline.replay(one, only_views(encoded, views), f"held out, {kind}"),
            one,
            settings.examined,
            np.random.default_rng(0),
        )
        for kind, views in kinds.items()
    }


def _train(
    offline: Offline,
    mode: LearnerSettings,
    steps: Sequence[EncodedStep],
    seed: int,
    exams: Mapping[str, Batch],
    settings: Settings,
) -> Trial:
    sac, rng, spent_s = offline.learner(mode, seed), np.random.default_rng(seed), 0.0
    replay = offline.replay(mode, steps, f"{mode.features.augmentation} {mode.features.views} {seed}")
    curve = [_examine(sac, exams)]
    while sac.updates < settings.updates:
        start_s = time.thread_time()
        sac.update(sample(replay, mode, settings.batch, rng))
        spent_s += time.thread_time() - start_s
        if sac.updates % settings.every == 0:
            curve.append(_examine(sac, exams))
    return Trial(curve, spent_s / settings.updates, _evaluate(sac, offline, settings) if settings.evaluated else None)


def _evaluate(sac: Sac, offline: Offline, settings: Settings) -> Evaluation:
    """The policy alone in the simulation, on the preset's grid."""
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as folder:
        (Path(folder) / POLICY).write_bytes(pack_snapshot(sac.acting, offline.reduction, sac.updates))
        project = load_preset(ProjectSettings, settings.preset)
        learner = project.learner.model_copy(update={"encoder": encoder_settings(settings)})
        return evaluate_checkpoint(Path(folder), project.model_copy(update={"learner": learner}), Console(quiet=True))


def _examine(sac: Sac, exams: Mapping[str, Batch]) -> Mapping[str, float]:
    losses = {kind: held_out_losses(sac, batch) for kind, batch in exams.items()}
    return {f"{name} {kind}": value for kind, by_name in losses.items() for name, value in by_name.items()}


def figures(
    trials: Mapping[str, Sequence[Trial]], costs: Mapping[str, Mapping[str, float]], settings: Settings, steps: int
) -> dict[str, Any]:
    """The JSON object: curves with intervals over the seeds, and of the last point the difference to fresh crops."""
    modes = {}
    for name, of in trials.items():
        points = [_estimates([trial.curve[i] for trial in of]) for i in range(len(of[0].curve))]
        last = [trial.curve[-1] for trial in of]
        reference = [trial.curve[-1] for trial in trials[REFERENCE]]
        apart = [{key: a[key] - b[key] for key in a} for a, b in zip(last, reference, strict=True)]
        modes[name] = {
            "curve": [{"updates": i * settings.every, **point} for i, point in enumerate(points)],
            "last_minus_on_the_fly": _estimates(apart),
            "update_s": float(np.mean([trial.update_s for trial in of])),
            "success": _success(of),
            **costs[name],
        }
    asked = {**dataclasses.asdict(settings), "store": settings.store.name}
    return {"modes": modes, "learned_steps": steps, "settings": asked, "losses_of_each_trial": _raw(trials)}


def _estimates(rows: Sequence[Mapping[str, float]]) -> dict[str, Estimate]:
    return {key: mean_interval([row[key] for row in rows]) for key in rows[0]}


def _success(trials: Sequence[Trial]) -> dict[str, Any] | None:
    """Trials that succeeded, with Wilson's interval over all of them, and of each seed."""
    judged = [trial.evaluation for trial in trials if trial.evaluation is not None]
    if not judged:
        return None
    successes, number = sum(each.successes for each in judged), sum(len(each.trials) for each in judged)
    low, high = wilson_interval(successes, number)
    return {
        "successes": successes,
        "trials": number,
        "low": low,
        "high": high,
        "of_each_seed": [each.successes for each in judged],
    }


def _raw(trials: Mapping[str, Sequence[Trial]]) -> dict[str, Any]:
    return {name: [list(trial.curve) for trial in of] for name, of in trials.items()}


def table(measured: Mapping[str, Any]) -> Table:
    """The last point of each curve and what the mode costs."""
    settings, modes = measured["settings"], measured["modes"]
    shown = Table(title=f"after {settings['updates']} updates, {settings['seeds']} seeds: mean and 95 % interval")
    losses = list(modes[REFERENCE]["last_minus_on_the_fly"])
    for heading in ("views", *losses, "success", "encode ms/step", "bytes/observation", "updates/s"):
        shown.add_column(heading, justify="right")
    for name, mode in modes.items():
        last = mode["curve"][-1]
        cells = [f"{last[key].mean:.4g} ({last[key].low:.3g} to {last[key].high:.3g})" for key in losses]
        cost = f"{1e3 * mode['encode_s_per_step']:.1f}", f"{mode['bytes_per_observation']:,}"
        success = mode["success"]
        cells.append("-" if success is None else "{successes}/{trials} ({low:.1%} to {high:.1%})".format(**success))
        shown.add_row(name, *cells, *cost, f"{1 / mode['update_s']:.3g}")
    return shown


def main() -> None:
    """Measure as the command line says."""
    settings, console = tyro.cli(Settings), Console(width=None if sys.stdout.isatty() else 180)
    learner = learner_settings(settings.preset, None)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # this and the next line as `learner.trainer.Trainer.run` does
    use_matmul(learner.sac.matmul, torch.device("cpu"))
    measured = measure(settings, load_encoder(encoder_settings(settings)), console)
    console.print(table(measured))
    if settings.json:
        print(json.dumps(measured))


if __name__ == "__main__":
    main()
