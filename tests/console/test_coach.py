"""What the coach gathers from a run's files, and what `nudge coach` prints of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from actor.camera_watch import EVERY_STEPS
from console.coach.advice import Coaching, Curve, Histogram
from console.coach.evidence import JudgeAgreement
from console.coach.gather import gather_evidence
from console.coach.main import curve_line, histogram_lines, tell
from console.coach.rules import advise
from console.main import main
from console.presets.load import dump_settings, load_preset
from console.settings import Settings
from demonstrations import CAMERA, contract, sound_set
from learner.checkpoint_folder import checkpoint_name
from learner.store import ExperienceStore
from policy.experience import Clipped, Judgement, Observation, Reason, Source, Step, StepId
from policy.wire import pack_step
from robot.cameras.reference import Reference

CONTRACT = contract()
FAST = load_preset(Settings, "fast")


def settings_of(runs: Path) -> Settings:
    return Settings.model_validate(
        FAST.model_dump()
        | {
            "contract": CONTRACT.model_dump(),
            "runs": runs,
            "run": "taught",
            "coach": {"operator": {"guided_episodes": 0}},  # it is too short a run to begin by leading
        }
    )


def practised(steps: list[Step], index: int, helped: range, *, success: bool) -> list[Step]:
    """A demonstration's steps as those of a training episode, with a hand in some of them."""
    made = [
        replace(
            step,
            id=StepId("cd" * 16, index, number),
            source=Source.HUMAN if number in helped else Source.POLICY,
            policy_version=1 + index // 2,
        )
        for number, step in enumerate(steps)
    ]
    if not success:
        made[-1] = replace(made[-1], reward=0.0, terminated=False, truncated=True)
    return made


def darker(step: Step) -> Step:
    def seen(observation: Observation) -> Observation:
        return replace(observation, frames={CAMERA: observation.frames[CAMERA] // 2})

    return replace(step, observation=seen(step.observation), final=step.final and seen(step.final))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 12 demonstrations and 24 training episodes, each helped too early, in the dark."""
    runs = tmp_path_factory.mktemp("runs")
    settings = settings_of(runs)
    settings.folder.mkdir()
    dump_settings(settings, settings.folder / "settings.yaml")
    demos = sound_set(CONTRACT)
    online = [practised(steps, index, range(2, 6), success=index % 4 != 3) for index, steps in enumerate(demos * 2)]
    with ExperienceStore(settings.folder / "experience.sqlite", CONTRACT) as store:
        for steps in (*demos, *([darker(step) for step in steps] for steps in online)):
            store.append([pack_step(step) for step in steps])
    frames = np.stack([step.observation.frames[CAMERA] for steps in demos for step in steps])
    Reference.of(CONTRACT, {CAMERA: frames}).save(settings.folder / "reference")
    lines = [
        {
            "updates": 200 * n,
            "env_steps": 50 * n,
            "wall_s": n,
            "metrics": {"q_mean": 12.0, "q_max": 15.0, "health/q_above_bound": 1.0},
        }
        for n in range(1, 7)
    ]
    (settings.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for updates, successes, seed in ((10, 20, "4"), (20, 19, "3"), (30, 8, "3")):
        folder = settings.folder / "checkpoints" / checkpoint_name(updates)
        folder.mkdir(parents=True)
        (folder / "checkpoint.json").write_text("{}")
        trials = [{"success": number < successes} for number in range(20)]
        (folder / "evaluation.json").write_text(json.dumps({"trials": trials, "conditions": {"seed": seed}}))
    return runs


class TestGathering:
    def test_episodes_takeovers_and_weights(self, runs: Path) -> None:
        evidence = gather_evidence(settings_of(runs))
        assert [it.kind for it in evidence.episodes] == ["demo"] * 12 + ["online"] * 24
        assert [it.success for it in evidence.episodes[12:16]] == [True, True, True, False]
        first = evidence.episodes[12]
        # The first of `sound_set` has its cube at x 0.2167, y -0.06, and the tool ends above it.
        assert first.cube_m == pytest.approx((0.2167, -0.06), abs=1e-6)
        assert first.end_m == pytest.approx((0.2167, -0.06), abs=2e-3)
        assert [(it.episode, it.first_step, it.steps) for it in evidence.takeovers[:2]] == [(12, 2, 4), (13, 2, 4)]
        assert evidence.takeovers[0].begun_m is not None
        assert [use.version for use in evidence.weights] == list(range(1, 13))
        assert sum(use.steps for use in evidence.weights) == sum(it.steps for it in evidence.episodes[12:])

    def test_only_checkpoints_that_compare_with_the_newest(self, runs: Path) -> None:
        found = gather_evidence(settings_of(runs), cameras=False).checkpoints
        assert [(it.updates, it.successes) for it in found] == [(20, 19), (30, 8)]

    def test_cameras_only_where_they_are_asked_for(self, runs: Path) -> None:
        assert gather_evidence(settings_of(runs), cameras=False).cameras is None
        cameras = gather_evidence(settings_of(runs)).cameras
        assert cameras
        assert f"camera '{CAMERA}': brightness" in cameras[0].what

    def test_the_operators_keys_against_the_classifier_that_pays(self, runs: Path, tmp_path: Path) -> None:
        assert gather_evidence(settings_of(runs), cameras=False).judge is None  # nobody asked a classifier
        unlikely, success = Judgement(0.1, Reason.UNLIKELY), Judgement(0.9, Reason.SUCCESS)
        # Paid; missed, says the key; paid for nothing, says the key; out of time, and nobody says anything.
        ends = [(1.0, True, success), (1.0, True, unlikely), (0.0, True, success), (0.0, False, unlikely)]
        settings = settings_of(tmp_path)
        settings.folder.mkdir()
        with ExperienceStore(settings.folder / "experience.sqlite", CONTRACT) as store:
            for index, (reward, terminated, judgement) in enumerate(ends):
                steps = practised(sound_set(CONTRACT)[0], index, range(0), success=True)
                last = replace(
                    steps[-1], reward=reward, terminated=terminated, truncated=not terminated, judgement=judgement
                )
                store.append([pack_step(step) for step in [*steps[:-1], last]])
        judge = gather_evidence(settings, cameras=False).judge
        assert judge == JudgeAgreement(episodes=2, false_alarms=1, misses=1)

    def test_of_a_run_that_has_not_begun_little_is_known(self, tmp_path: Path) -> None:
        evidence = gather_evidence(settings_of(tmp_path))
        assert (evidence.episodes, evidence.metrics, evidence.cameras) == ((), (), None)
        assert advise(evidence).advice == ()

    def test_the_frames_of_a_look_are_there(self, runs: Path) -> None:
        evidence = gather_evidence(settings_of(runs))
        assert sum(it.steps for it in evidence.episodes[12:]) > EVERY_STEPS * FAST.coach.desk.camera_frames

    def test_how_often_the_guard_clipped_is_counted(self, tmp_path: Path) -> None:
        settings = settings_of(tmp_path)
        settings.folder.mkdir(parents=True)
        with ExperienceStore(settings.folder / "experience.sqlite", CONTRACT) as store:
            for index, made in enumerate(sound_set(CONTRACT)[:3]):
                clipped = Clipped(tool=index == 0, joints=index == 1)
                store.append([pack_step(replace(step, clipped=clipped)) for step in made])
        found = gather_evidence(settings, cameras=False).clipped
        assert found is not None
        assert 0.2 < found.tool < 0.45
        assert 0.2 < found.joints < 0.45


class TestTelling:
    def test_a_person_reads_what_was_seen_what_to_do_and_why(
        self, runs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["coach", "--runs", str(runs), "--run", "taught"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "1. urgent Success was higher, and has fallen" in said
        assert "the checkpoint of 20 updates came to 19/20, the newest evaluated one of 30 to 8/20" in said
        assert "urgent Values are above what the reward allows" in said
        assert "in 100% of the last 24 helped episodes the first takeover came before step 20" in said
        assert "arxiv.org/abs/2410.21845" in said
        assert "not judged:" in said
        assert "The guard clips many actions? no step says what was clipped" in said
        assert said.index("urgent") < said.index("important") < said.index("hint")

    def test_a_program_reads_the_same_with_its_evidence(self, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["coach", "--runs", str(runs), "--run", "taught", "--json"]) == 0
        coaching = Coaching.model_validate_json(capsys.readouterr().out)
        rules = {advice.rule: advice for advice in coaching.advice}
        assert {"collapse", "value_above_bound", "camera_drift", "explore_first", "few_demos"} <= rules.keys()
        assert isinstance(rules["value_above_bound"].evidence, Curve)

    def test_a_good_run_gets_one_line(self) -> None:
        output = io.StringIO()
        tell(Coaching(run="lift", advice=(), not_judged=(), content=("collapse",)), Console(file=output, width=100))
        assert output.getvalue().splitlines() == [
            "run lift: nothing to say. Go on like this.",
            "looked at, and well: collapse",
        ]

    def test_a_run_without_settings_needs_its_preset(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "old").mkdir()
        assert main(["coach", "--runs", str(tmp_path), "--run", "old"]) == 1
        assert "name its preset with --preset" in capsys.readouterr().err
        assert main(["coach", "--runs", str(tmp_path), "--run", "old", "--preset", "fast"]) == 0
        assert main(["coach", "--runs", str(tmp_path), "--run", "none"]) == 1
        assert "none: there is no such folder" in capsys.readouterr().err

    def test_bars_are_as_long_as_their_counts_and_marked_beyond_the_limit(self) -> None:
        chart = Histogram(title="Length", x_name="steps", edges=(0, 5, 10, 15), counts=(4, 2, 1), limit=10)
        assert histogram_lines(chart) == [
            "Length [steps]",
            "   0–4     " + "█" * 40 + " 4",
            "   5–9     " + "█" * 20 + " 2",
            "  10–…   ! " + "█" * 10 + " 1",
        ]

    def test_a_curve_is_a_line_of_blocks(self) -> None:
        line = curve_line(Curve(title="Q", x_name="updates", x=(0, 1), y=(0.0, 7.0), limit=5))
        assert line == f"Q: 0 {'▁' * 20}{'█' * 20} 7, limit 5"
