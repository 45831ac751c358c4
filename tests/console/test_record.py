"""`nudge record` on the simulated arm: sound demonstrations, what the operator reads, and the demo set at the end."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from classifiers import HELD_UP, made_classifier
from console.errors import ConsoleError
from console.presets.load import load_preset
from console.record import record, recording_path
from console.settings import Settings
from demos.demo_set import list_demo_sets, open_demo_set
from demos.errors import DemosRefused
from policy.encoder import load_encoder
from policy.experience_file import EpisodeSelection, ExperienceFile
from reward_classifier.artefact import save_classifier
from reward_classifier.errors import ArtefactError


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
    """A verb takes its process over: it decides what ends it."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def settings(folder: Path, **wish: object) -> Settings:
    fast = load_preset(Settings, "fast")
    return fast.model_copy(update={"record": fast.record.model_copy(update={"folder": folder, "name": "lift", **wish})})


def recorded(made: Settings) -> str:
    output = io.StringIO()
    assert record(made, Console(file=output, width=400))
    return output.getvalue()


def test_it_records_makes_a_set_and_goes_on_when_more_are_wanted(tmp_path: Path) -> None:
    told = recorded(settings(tmp_path, demos=2))
    assert "recording/spool.sqlite: a new recording" in told
    assert "1 of 2 demonstrations" in told
    assert "by place of the cube" in told
    assert "the next one is worth most at x " in told
    (first,) = list_demo_sets(tmp_path)
    assert f"{first.folder}: demo set lift, 2 demonstrations, {first.facts.steps} steps" in told
    assert open_demo_set(first.folder).facts.episodes == 2

    again = recorded(settings(tmp_path, demos=2))  # nothing is missing: no arm is opened, no other set made
    assert "goes on; " in again
    assert "2 sound demonstrations" in again
    assert "by place of" not in again
    assert list_demo_sets(tmp_path) == [first]

    more = recorded(settings(tmp_path, demos=3))
    assert "3 of 3 demonstrations" in more
    assert sorted(made.facts.episodes for made in list_demo_sets(tmp_path)) == [2, 3]
    with closing(ExperienceFile(recording_path(tmp_path, "lift"))) as file:
        chosen = file.outcomes(EpisodeSelection(demonstrations=True))
    assert [outcome.success for outcome in chosen].count(True) == 3


def test_what_the_checks_forbid_is_told_with_the_cure_and_nothing_is_lost(tmp_path: Path) -> None:
    made = settings(tmp_path, demos=1)
    whole = made.checks.whole.model_copy(update={"still_share": 0.9})
    strict = made.model_copy(update={"checks": made.checks.model_copy(update={"whole": whole})})
    with pytest.raises(
        DemosRefused, match=r"(?s)still: the set: got joint.*Nothing is lost.*--record\.allow"
    ) as refused:
        recorded(strict)
    assert "findings that forbid learning" in str(refused.value)
    assert list_demo_sets(tmp_path) == []
    allowed = strict.record.model_copy(update={"allow": ("still",)})
    recorded(strict.model_copy(update={"record": allowed}))
    (found,) = list_demo_sets(tmp_path)
    assert {finding.check for finding in found.facts.findings} >= {"still"}


def test_a_person_needs_a_world_that_waits(tmp_path: Path) -> None:
    made = settings(tmp_path)
    person = made.model_copy(update={"teleop": made.teleop.model_copy(update={"device": "keyboard"})})
    with pytest.raises(ConsoleError, match=r"set loop\.pace to realtime"):
        recorded(person)


def test_a_classifier_judges_demonstrations_too_and_each_step_keeps_what_it_thought(tmp_path: Path) -> None:
    quick = settings(tmp_path, demos=1)
    learner = quick.learner.model_copy(
        update={"encoder": quick.learner.encoder.model_copy(update={"source": "random:0"})}
    )
    judged = {"task": quick.task.model_copy(update={"judge": "classifier"}), "learner": learner, "runs": tmp_path}
    paid = quick.model_copy(update=judged)
    with pytest.raises(ArtefactError, match=r"task\.judge: got classifier, and there is none in .*demo/classifier"):
        recorded(paid)
    save_classifier(made_classifier(paid.contract, load_encoder(learner.encoder), HELD_UP), paid.classifier_folder)
    told = recorded(paid)
    assert "rewards are paid by the classifier " in told
    assert "demonstration 0: success by the classifier, p 0.98, in " in told
    (made,) = list_demo_sets(tmp_path)
    with closing(ExperienceFile(made.experience)) as experience:
        steps = experience.episode(experience.choose(EpisodeSelection()).ids[0])
    assert [step.judgement.pays for step in steps if step.judgement] == [False] * (len(steps) - 1) + [True]
