"""Recording without a learner: durable steps, and a session that the next process goes on with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from actor.errors import ActorError
from actor.link_settings import LinkSettings
from actor.link_state import PauseCause
from actor.recording import NoPolicy, RecordingLink, without_learner
from actor.spool import Spool
from links import SEEN, SOON_S, step
from policy.errors import InvalidExperience
from policy.experience_file import EpisodeSelection, ExperienceFile
from tiny import CONTRACT
from waiting import eventually

SETTINGS = without_learner(LinkSettings(when_away="pause"))


def test_what_is_on_disk_counts_and_the_next_process_goes_on_after_a_cut_episode(tmp_path: Path) -> None:
    path = tmp_path / "spool.sqlite"
    with Spool(path, CONTRACT, SETTINGS) as spool, RecordingLink(SETTINGS, CONTRACT, spool) as link:
        assert link.pause is None  # no learner is missed
        for index in range(3):
            link.send(step(link.session, 0, index, last=index == 2))
        link.send(step(link.session, 1, 0))
        assert link.flush_to_disk(SOON_S)
        assert (link.progress.env_steps, link.progress.in_episode) == (4, True)
        session = link.session
    with Spool(path, CONTRACT, SETTINGS) as spool, RecordingLink(SETTINGS, CONTRACT, spool) as link:
        assert (link.session, link.progress.next_episode) == (session, 2)
        with pytest.raises(InvalidExperience, match="does not follow"):
            link.send(step(session, 1, 1))  # the episode that was cut stays as it is
        link.send(step(session, 2, 0, last=True))
    file = ExperienceFile(path)
    found = file.find(EpisodeSelection())
    file.close()
    assert (len(found.ids), found.left_out["unfinished"]) == (2, 1)


def test_what_waits_at_the_end_is_written(tmp_path: Path) -> None:
    with Spool(tmp_path / "spool.sqlite", CONTRACT, SETTINGS) as spool:
        link = RecordingLink(SETTINGS, CONTRACT, spool)
        for index in range(9):
            link.send(step(link.session, 0, index))
        link.close()
        assert (link.unwritten, spool.progress.env_steps) == (0, 9)
        link.close()


def test_a_disk_that_takes_no_steps_asks_for_a_pause(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.sqlite", CONTRACT, SETTINGS)
    link = RecordingLink(SETTINGS, CONTRACT, spool)
    spool.close()
    link.send(step(link.session, 0, 0))
    eventually(lambda: link.pause is not None, "a pause")
    assert link.pause is not None
    assert link.pause.cause is PauseCause.DISK
    assert not link.flush_to_disk(0.1)
    link.close()
    assert link.unwritten == 1


def test_no_policy_is_ever_asked() -> None:
    with pytest.raises(ActorError, match="demonstrated ones only"):
        NoPolicy().select_action(SEEN, 0.0, torch.Generator())
    with pytest.raises(ActorError, match="expected none"):
        NoPolicy().load_snapshot(bytes(np.zeros(3, np.uint8)))
