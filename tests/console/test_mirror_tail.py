"""What the mirror finds new in a run folder, and what it remembers; no service is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.mirror.sent import Sent, SentFile
from console.mirror.sink import SinkError
from console.mirror.tail import new_episodes, new_evaluations, new_readings
from console.report.data import Evaluation, Grid, Trial
from console.run_folder import METRICS_FILE
from learner.checkpoint_folder import CHECKPOINTS, META, checkpoint_name
from learner.rollback import roll_back
from policy.experience import Source
from shown_run import append, episode, finished_run, reading, settings_of

POLICY, HUMAN = Source.POLICY, Source.HUMAN


def write(folder: Path, *updates: int, mode: str = "a") -> None:
    with (folder / METRICS_FILE).open(mode) as file:
        file.writelines(reading(each, q_mean=each / 100) for each in updates)


def checkpoint(folder: Path, updates: int) -> Path:
    made = folder / CHECKPOINTS / checkpoint_name(updates)
    made.mkdir(parents=True)
    (made / META).write_text("{}")
    return made


def evaluation(version: int, *, success: bool = True) -> Evaluation:
    trial = Trial(
        row=0, column=0, cube_x_m=0.2, cube_y_m=0.0, cube_yaw_rad=0.0, success=success, steps=30, robot_time_s=3.0
    )
    grid = Grid(rows=1, columns=1, x_low_m=0.1, x_high_m=0.3, y_low_m=-0.1, y_high_m=0.1)
    failed = trial.model_copy(update={"success": False})
    return Evaluation(trials=(trial, failed), grid=grid, policy_version=version, deterministic=True, label="simulator")


class TestReadings:
    def test_go_once_over_their_updates_and_a_line_without_its_end_waits(self, tmp_path: Path) -> None:
        write(tmp_path, 200, 400)
        with (tmp_path / METRICS_FILE).open("a") as file:
            file.write(reading(600)[:-1])
        points, sent = new_readings(tmp_path, Sent())
        assert [(point.axis, point.at) for point in points] == [("updates", 200), ("updates", 400)]
        assert points[1].values == {"learner/env_steps": 100.0, "learner/q_mean": 4.0}
        assert new_readings(tmp_path, sent) == ([], sent)
        with (tmp_path / METRICS_FILE).open("a") as file:
            file.write("\n")
        points, _ = new_readings(tmp_path, sent)
        assert [point.at for point in points] == [600]

    def test_what_a_killed_learner_did_again_goes_as_it_came_first(self, tmp_path: Path) -> None:
        write(tmp_path, 200, 400, 600)
        _, sent = new_readings(tmp_path, Sent())
        write(tmp_path, 400, 600, 800)
        points, after = new_readings(tmp_path, sent)
        assert [point.at for point in points] == [800]
        assert (after.line, after.updates) == (1, 800)

    def test_before_the_first_is_sent_what_lasts_goes(self, tmp_path: Path) -> None:
        write(tmp_path, 200, 400, 600, 400, 500)
        points, _ = new_readings(tmp_path, Sent())
        assert [point.at for point in points] == [200, 400, 500]

    def test_a_rollback_that_undoes_what_was_sent_begins_a_line_with_all_that_lasts(self, tmp_path: Path) -> None:
        for updates in (400, 800):
            checkpoint(tmp_path, updates)
        write(tmp_path, 200, 400, 600, 800)
        _, sent = new_readings(tmp_path, Sent(episode_row=7))
        roll_back(tmp_path / CHECKPOINTS, tmp_path / CHECKPOINTS / checkpoint_name(400), env_steps=100)
        assert new_readings(tmp_path, sent)[0] == []  # nothing was learned since
        write(tmp_path, 600, 800, 1000)
        points, after = new_readings(tmp_path, sent)
        assert [point.at for point in points] == [200, 400, 600, 800, 1000]
        assert (after.line, after.episode_row) == (2, 0)  # its episodes go there, too
        write(tmp_path, 1200)
        points, after = new_readings(tmp_path, after)
        assert ([point.at for point in points], after.line) == ([1200], 2)

    def test_a_file_that_is_shorter_than_what_was_sent_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path, 200, 400)
        _, sent = new_readings(tmp_path, Sent())
        write(tmp_path, 200, mode="w")
        with pytest.raises(SinkError, match="expected a file that only grows"):
            new_readings(tmp_path, sent)

    def test_a_line_that_is_no_reading_is_named(self, tmp_path: Path) -> None:
        (tmp_path / METRICS_FILE).write_text("noise\n")
        with pytest.raises(SinkError, match="not a metrics record after byte 0; remove the line"):
            new_readings(tmp_path, Sent())


class TestEpisodes:
    def test_go_when_they_end_over_the_steps_by_then_and_demonstrations_do_not(self, tmp_path: Path) -> None:
        settings = finished_run(tmp_path)
        points, sent = new_episodes(settings.folder, Sent())
        # two demonstrations and three episodes of 4 steps each: the episodes end at 12, 16 and 20
        assert [(point.axis, point.at) for point in points] == [("env_steps", at) for at in (12, 16, 20)]
        told = [
            tuple(point.values[f"episode/{name}"] for name in ("success", "success_alone", "human_share"))
            for point in points
        ]
        assert told == [(0, 0, 0), (1, 0, 0.5), (1, 1, 0)]
        assert new_episodes(settings.folder, sent) == ([], sent)

    def test_one_that_ends_after_a_later_one_goes_once_too(self, tmp_path: Path) -> None:
        settings = settings_of(tmp_path)
        settings.folder.mkdir()
        early, late = episode(0, 3 * [POLICY]), episode(1, 2 * [POLICY])
        append(settings, early[:2])
        append(settings, late)
        points, sent = new_episodes(settings.folder, Sent())
        assert ([point.at for point in points], sent.open_rows) == ([4], (1,))
        append(settings, early[2:])
        points, sent = new_episodes(settings.folder, sent)
        assert ([point.at for point in points], sent.open_rows) == ([3], ())
        assert new_episodes(settings.folder, sent) == ([], sent)

    def test_a_run_without_a_store_has_none(self, tmp_path: Path) -> None:
        assert new_episodes(tmp_path, Sent()) == ([], Sent())


class TestEvaluations:
    def test_go_once_wherever_they_lie(self, tmp_path: Path) -> None:
        evaluation(400).save(checkpoint(tmp_path, 400))
        points, sent = new_evaluations(tmp_path, Sent())
        assert [(point.axis, point.at) for point in points] == [("policy_version", 400)]
        assert points[0].values["evaluation/success_rate"] == 0.5
        assert points[0].values["evaluation/cycle_s"] == 3.0
        evaluation(400).model_copy(update={"checkpoint": "again"}).save(tmp_path)  # the same trials
        assert new_evaluations(tmp_path, sent) == ([], sent)
        evaluation(800, success=False).save(tmp_path)
        points, _ = new_evaluations(tmp_path, sent)
        assert [point.at for point in points] == [800]
        assert "evaluation/cycle_s" not in points[0].values


class TestMemory:
    def test_keeps_an_id_for_the_run_and_how_far_each_destination_is(self, tmp_path: Path) -> None:
        file = SentFile(tmp_path, "wandb")
        file.remember("here", Sent(points=3, updates=600))
        again = SentFile(tmp_path, "wandb")
        assert again.sent("here") == Sent(points=3, updates=600)
        assert again.sent("there") == Sent()
        first = again.identity("lift", Sent())
        assert first == file.identity("lift", Sent())
        second = again.identity("lift", Sent(line=2))
        assert (first.name, second.name, second.group) == ("lift", "lift-2", "lift")
        assert second.id == f"{first.id}-2"
        assert SentFile(tmp_path, "trackio").identity("lift", Sent()).id != first.id

    def test_a_file_that_says_something_else_is_refused_with_the_cure(self, tmp_path: Path) -> None:
        (tmp_path / "mirror-wandb.json").write_text("{}")
        with pytest.raises(SinkError, match="move it away, and all of the run goes out again as a new one"):
            SentFile(tmp_path, "wandb")
