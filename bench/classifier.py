"""The reward classifier against hands that do nearly what they should, and beside LeRobot's on the same frames.

    python bench/classifier.py [--json] [--episodes 200] [--successes 60] [--demos 60] [--failures 24]
                               [--no-lerobot] [--lerobot-updates 300] [--folder F] [--seed 0]

It learns from an operator's key alone; the simulator's truth scores it, on episodes of other seeds and kinds. See
bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Run as a script, Python puts bench/ first on the path, where `learner.py` would hide the room.
_ROOT = Path(__file__).resolve().parents[1]
sys.path[:] = [str(_ROOT), *(entry for entry in sys.path if Path(entry).resolve() not in (_ROOT, _ROOT / "bench"))]
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.classifier_truth import Truth, truth_of  # noqa: E402
from console.presets.load import load_preset  # noqa: E402
from console.settings import Settings  # noqa: E402
from demos.scripted_episodes import SUCCESS, kinds_of, record_episodes  # noqa: E402
from policy.encoder import Encoder, load_encoder  # noqa: E402
from policy.experience_file import EpisodeSelection, ExperienceFile  # noqa: E402
from policy.features import Featurizer  # noqa: E402
from policy.statistics import wilson_interval  # noqa: E402
from reward_classifier.artefact import SuccessClassifier  # noqa: E402
from reward_classifier.build import train_classifier  # noqa: E402
from reward_classifier.evaluate import probabilities  # noqa: E402
from reward_classifier.features import learned_rows  # noqa: E402
from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable, observations, read_frames  # noqa: E402
from reward_classifier.gate import BoundGate  # noqa: E402
from reward_classifier.key_labels import label_from_keys  # noqa: E402
from reward_classifier.labels import LabelBook  # noqa: E402
from reward_classifier.settings import ClassifierSettings, KeyLabelSettings, ViewSettings  # noqa: E402
from reward_classifier.threshold import Seen, paid_at, seen_episodes  # noqa: E402
from teleop.hands import ADVERSARIES  # noqa: E402

POSITIVES, NEGATIVES = 200, 1000  # frames that are learned from
TEST_SEED = 7001  # added to the seed of the training episodes
TICKS = 100
# An operator who records failures thinks of some kinds; a policy finds the others.
RECORDED = ("hover", "close_on_air", "lift_and_drop", "lift_too_low")


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """What judges came to on the test episodes. kinds: (E,), names of hands"""

    kinds: Sequence[str]
    table: FrameTable
    truth: Truth
    probability: NDArray[np.float64]
    seen: Sequence[Seen]


def labelled(experience: ExperienceFile, path: Path) -> FrameTable:
    """The table of an experience file, labelled by the operator's key."""
    with closing(LabelBook(path)) as book:
        outcomes, hz = experience.outcomes(EpisodeSelection()), experience.contract.control_hz
        label_from_keys(book, outcomes, hz, KeyLabelSettings(), "bench", 0)
        return read_frames(experience, book.labels())


def test_figures(classifier: SuccessClassifier, tested: Tested) -> dict[str, Any]:
    """How the classifier and its rule do by the simulator's truth."""
    rule, truth, kinds = classifier.facts.rule, tested.truth, np.array(tested.kinds)
    known = truth.label >= 0
    right = (tested.probability[known] >= rule.threshold) == (truth.label[known] == POSITIVE)
    paid = np.array([paid_at(each, rule) is not None for each in tested.seen])
    adversarial = (kinds != SUCCESS) & ~truth.success  # an adversary that did it after all is none
    false = adversarial & paid
    low, high = wilson_interval(int(false.sum()), int(adversarial.sum()))
    return {
        "accuracy": float(right.mean()),
        "false_positive_episodes": int(false.sum()),
        "episodes": int(adversarial.sum()),
        "false_positive_interval": [low, high],
        "found": int((paid & truth.success).sum()),
        "successes": int(truth.success.sum()),
        "episode_accuracy": float((paid == truth.success).mean()),
        "by_kind": {
            kind: {"episodes": int((kinds == kind).sum()), "succeeded": int((truth.success & (kinds == kind)).sum()),
                   "paid": int((paid & (kinds == kind)).sum()), "recorded": kind in (*RECORDED, SUCCESS)}
            for kind in dict.fromkeys(tested.kinds)
        },
    }  # fmt: skip


def time_ticks(classifier: SuccessClassifier, experience: ExperienceFile, encoder: Encoder) -> dict[str, float]:
    """Median of a tick [ms]: encoding both cameras' frames, and what the classifier adds to that."""
    featurizer, judge = Featurizer(encoder, None, experience.contract), classifier.judge()
    seen = observations(experience, experience.outcomes(EpisodeSelection())[0])[0]
    frames = featurizer.stack(seen.frames)[:, None]
    both, own = [], []
    for _ in range(TICKS):
        began = time.perf_counter()
        maps = featurizer.maps(frames).cpu()
        encoded = time.perf_counter()
        probability = classifier.probability(maps, seen.proprioception[None])[0]
        judge.tick(float(probability), seen.proprioception)
        both.append(time.perf_counter() - began)
        own.append(time.perf_counter() - encoded)
    return {"infer_ms": 1e3 * float(np.median(both)), "infer_shared_ms": 1e3 * float(np.median(own))}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Record what is missing in the folder, train, and score."""
    settings = load_preset(Settings, "fast")
    encoder = load_encoder(settings.learner.encoder)
    train_kinds = kinds_of(RECORDED, options.failures, options.demos)
    test_kinds = kinds_of(ADVERSARIES, options.episodes, options.successes)
    paths = {name: folder / f"{name}.sqlite" for name in ("train", "test")}
    for name, kinds, seed in (("train", train_kinds, options.seed), ("test", test_kinds, options.seed + TEST_SEED)):
        if not paths[name].exists():
            watch = _watch(f"recording {name} episodes")
            record_episodes(paths[name], settings.contract, settings.arm, settings.task, kinds, seed, watch)
    views = ViewSettings(positives=POSITIVES, negatives=NEGATIVES)
    with closing(ExperienceFile(paths["train"])) as train, closing(ExperienceFile(paths["test"])) as test:
        table = labelled(train, folder / "train.labels.sqlite")
        classifier_settings = ClassifierSettings(seed=options.seed, views=views)
        began = time.perf_counter()
        classifier = train_classifier(
            train, table, 1, encoder, classifier_settings, folder / "features", _watch("encoding"), _watch("training")
        )
        total_s = time.perf_counter() - began
        held_out = labelled(test, folder / "test.labels.sqlite")
        probability = probabilities(classifier, test, held_out, encoder, _watch("looking at test episodes"))
        facts = classifier.facts
        seen = seen_episodes(held_out, probability, BoundGate(facts.rule.gate, facts.contract))
        tested = Tested(test_kinds, held_out, truth_of(test, held_out, settings.task), probability, seen)
        rows = learned_rows(table, views)
        found = {
            **test_figures(classifier, tested),
            "train_s": facts.train_s,
            "encode_s": total_s - facts.train_s,
            **time_ticks(classifier, test, encoder),
            "positives": int((table.label[rows] == POSITIVE).sum()),
            "negatives": int((table.label[rows] == NEGATIVE).sum()),
            "rule": facts.rule.model_dump(mode="json"),
            "cross_validated": facts.figures.episodes.model_dump(mode="json"),
            "cross_validated_accuracy": facts.figures.frames.accuracy,
        }
        peer = None if options.no_lerobot else _peer(train, table, rows, test, tested, options)
    return found | {"lerobot_accuracy": None} | (peer or {}) | {"cores": os.cpu_count(), "seed": options.seed}


def _peer(
    train: ExperienceFile, table: FrameTable, rows: NDArray[np.int64], test: ExperienceFile, tested: Tested,
    options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """LeRobot's classifier on the same frames; it pays for a frame at probability 0.5, by default."""
    from bench.classifier_lerobot import train_peer

    with Console(stderr=True).status("LeRobot's classifier"):
        peer = train_peer(_frames(train, table, rows), table.label[rows], options.lerobot_updates, options.seed)
        probability = np.concatenate(
            [peer.probabilities(_frames(test, tested.table, _rows(tested.table, episode)))
             for episode in range(len(tested.table.outcomes))]
        )  # fmt: skip
    known = tested.truth.label >= 0
    right = (probability[known] > 0.5) == (tested.truth.label[known] == POSITIVE)
    fires = np.array([(probability[_rows(tested.table, e)] > 0.5).any() for e in range(len(tested.kinds))])
    false = fires & ~tested.truth.success & (np.array(tested.kinds) != SUCCESS)
    return {
        "lerobot_accuracy": float(right.mean()),
        "lerobot_false_positive_episodes": int(false.sum()),
        "lerobot_found": int((fires & tested.truth.success).sum()),
        "lerobot_train_s": peer.train_s,
        "lerobot_untrained_tensors": [peer.untrained, peer.trainable],
        "lerobot_updates": options.lerobot_updates,
    }


def _frames(experience: ExperienceFile, table: FrameTable, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Pictures of frames: (len(rows), cameras, H, W, 3)."""
    names = [camera.name for camera in experience.contract.cameras]
    found = []
    for episode in np.unique(table.episode[rows]):
        seen = observations(experience, table.outcomes[int(episode)])
        steps = table.step[rows[table.episode[rows] == episode]]
        found += [np.stack([seen[int(step)].frames[name] for name in names]) for step in steps]
    return np.stack(found)


def _rows(table: FrameTable, episode: int) -> NDArray[np.int64]:
    here = table.rows(episode)
    return np.arange(here.start, here.stop)


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--episodes", type=int, default=200, help="adversarial episodes of the test")
    parser.add_argument("--successes", type=int, default=60, help="episodes of the test that try to succeed")
    parser.add_argument("--demos", type=int, default=60, help="episodes to learn from that try to succeed")
    parser.add_argument("--failures", type=int, default=24, help="episodes to learn from that fail on purpose")
    parser.add_argument("--no-lerobot", action="store_true", help="ours alone")
    parser.add_argument("--lerobot-updates", type=int, default=300, help="updates of LeRobot's classifier")
    parser.add_argument("--folder", type=Path, help="keep what was recorded there, and use it again")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nudge-bench-") as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(options, folder)
    Console(width=None if sys.stdout.isatty() else 120).print(_table(found))
    if options.json:
        print(json.dumps(found))


def _table(found: dict[str, Any]) -> Table:
    table = Table(title=f"{found['episodes']} adversarial episodes, {found['successes']} successes")
    for heading in ("hand", "recorded", "episodes", "succeeded", "paid"):
        table.add_column(heading)
    for kind, row in found["by_kind"].items():
        told = "yes" if row["recorded"] else "never"
        table.add_row(kind, told, *(str(row[name]) for name in ("episodes", "succeeded", "paid")))
    table.caption = (
        f"frames told right {found['accuracy']:.2%} (LeRobot's {found['lerobot_accuracy'] or float('nan'):.2%}), "
        f"trained in {found['train_s']:.0f} s, {found['infer_ms']:.1f} ms a tick"
    )
    return table


def _watch(what: str) -> Any:
    def watch(items: Sequence[int]) -> Iterable[int]:
        return track(items, what, console=Console(stderr=True), transient=True)

    return watch


if __name__ == "__main__":
    main()
