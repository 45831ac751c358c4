"""From labelled experience to a classifier: every figure and every choice comes from episodes a network did not see."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from policy.encoder import Encoder
from policy.experience_file import ExperienceFile
from reward_classifier.artefact import ClassifierFacts, DataFacts, SuccessClassifier, pack_weights
from reward_classifier.calibration import fit_temperature, probability_of
from reward_classifier.drift import mean_colours
from reward_classifier.features import Watch, features_of
from reward_classifier.figures import Figures, frame_figures, worst_mistakes
from reward_classifier.fit import Teacher
from reward_classifier.frames import NEGATIVE, POSITIVE, FrameTable, require_trainable
from reward_classifier.gate import BoundGate, learn_gate
from reward_classifier.learning_curve import advice, learning_curve
from reward_classifier.model import make_spec
from reward_classifier.settings import ClassifierSettings
from reward_classifier.split import Part, parts, rows_of
from reward_classifier.threshold import choose_rule, episode_figures, seen_episodes


def train_classifier(
    experience: ExperienceFile,
    table: FrameTable,
    label_version: int,
    encoder: Encoder,
    settings: ClassifierSettings,
    cache: Path,
    encoding: Watch = iter,
    training: Watch = iter,
) -> SuccessClassifier:
    """A classifier of the labelled frames of a table.

    cache: folder of the features; encoding, training: get the episodes, the turns, and give them one by one, to show
        progress
    Raise `TrainingRefused` for frames from which none can be learned.
    """
    require_trainable(table)
    contract, seed = experience.contract, settings.seed
    features = features_of(experience, table, encoder, settings.views, seed, cache, encoding)
    began = time.perf_counter()
    spec = make_spec(contract, encoder, settings.model)
    teacher = Teacher(table, features, spec, contract, settings.fit)
    turns = parts(table, settings.fit.folds, seed)
    logits, updates = _out_of_fold(teacher, turns, settings, training)
    labelled = table.label >= 0
    temperature = fit_temperature(logits[labelled], table.label[labelled])
    probability = probability_of(logits, temperature)
    gate = learn_gate(contract, table.proprioception[table.label == POSITIVE], settings.gate)
    seen = seen_episodes(table, probability, BoundGate(gate, contract))
    rule = choose_rule(seen, gate, settings.rule)
    everything = np.arange(len(table))
    network = teacher.fit(everything, None, updates, (seed, len(turns))).network
    frames = frame_figures(probability[labelled], table.label[labelled], rule.threshold)
    curve = (
        learning_curve(teacher, turns, settings.fit.curve_shares, updates, seed) if settings.fit.curve_shares else ()
    )
    train_s = time.perf_counter() - began
    facts = ClassifierFacts(
        created=dt.datetime.now(dt.UTC),
        weights_sha256=hashlib.sha256(pack_weights(network)).hexdigest(),
        spec=spec,
        contract=contract,
        temperature=temperature,
        rule=rule,
        data=_data_facts(experience, table, label_version, turns, probability),
        settings=settings,
        updates=updates,
        train_s=train_s,
        figures=Figures(
            frames=frames,
            episodes=episode_figures(seen, rule),
            mistakes=worst_mistakes(table, probability),
            learning=curve,
            advice=advice(curve, frames),
        ),
    )
    return SuccessClassifier(facts, network.requires_grad_(False))


def keeps_its_share(classifier: SuccessClassifier) -> bool:
    """Whether the rule pays falsely for no larger share of episodes than was asked for."""
    episodes, asked = classifier.facts.figures.episodes, classifier.facts.settings.rule
    return episodes.false_positives <= asked.false_positives_per_episode * episodes.episodes


def _out_of_fold(
    teacher: Teacher, turns: Sequence[Part], settings: ClassifierSettings, training: Watch
) -> tuple[NDArray[np.float64], int]:
    """Logits (N,) of each frame by a network that has not seen its episode, and how many updates such networks took."""
    logits, updates = np.empty(len(teacher.table)), []
    for number in training(range(len(turns))):
        turn = turns[number]
        teaching, stopping, predicted = (
            rows_of(teacher.table, episodes) for episodes in (turn.teaching, turn.stopping, turn.predicted)
        )
        fitted = teacher.fit(teaching, stopping, settings.fit.most_updates, (settings.seed, number))
        logits[predicted] = teacher.logits(fitted.network, predicted)
        updates.append(fitted.updates)
    return logits, int(np.median(updates))


def _data_facts(
    experience: ExperienceFile,
    table: FrameTable,
    label_version: int,
    turns: Sequence[Part],
    probability: NDArray[np.float64],
) -> DataFacts:
    folds = np.empty(len(table.outcomes), int)
    for number, turn in enumerate(turns):
        folds[turn.predicted] = number
    return DataFacts(
        hash=hashlib.sha256(json.dumps([table.digests, table.label.tolist()]).encode()).hexdigest(),
        label_version=label_version,
        positives=table.count(POSITIVE),
        negatives=table.count(NEGATIVE),
        episodes=table.digests,
        folds=tuple(int(fold) for fold in folds),
        out_of_fold=tuple(
            tuple(probability[table.rows(episode)].round(4).tolist()) for episode in range(len(table.outcomes))
        ),
        colours=mean_colours(experience, table.outcomes),
    )
