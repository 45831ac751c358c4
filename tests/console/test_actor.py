"""`nudge actor` as a process: killed and started again, it goes on; and what the terminal says of its link."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from actor.link import LearnerLink, LinkError, LinkSettings, LinkState, LinkStatus, Pause, PauseCause, Spool
from console.run_folder import READY_FILE, SPOOL_FILE, STORE_FILE
from console.terminal.link_lines import LinkLines, told
from learner.store import StoreReader
from nudge.v1 import learner_pb2 as pb
from policy.fakes import fake_contract
from waiting import eventually

STEPS = 90
START_S = 120.0


def start(verb: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    # Demonstrations only: no policy is waited for.
    small = ("--loop.demo-episodes", "1000", "--loop.max-env-steps", str(STEPS), "--learner.encoder.source", "random:0")
    alone = ("--dashboard.with-learner", "False")
    return subprocess.Popen(
        [sys.executable, "-m", "console.main", verb, "--runs", str(folder), "--run", "small", *small, *alone, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_a_killed_actor_goes_on_where_it_was_and_delivers_what_it_had(tmp_path: Path) -> None:
    run = tmp_path / "small"
    learner = start("learner", tmp_path, "--service.port", "0")
    try:
        eventually(lambda: (run / READY_FILE).is_file() or learner.poll() is not None, "the learner", START_S)
        address = json.loads((run / READY_FILE).read_text())["address"]
        actor = start("actor", tmp_path, "--link.address", address)
        store = StoreReader(run / STORE_FILE)
        eventually(lambda: store.counts().env_steps > 20, "a few steps", START_S)
        actor.send_signal(signal.SIGKILL)
        actor.communicate()
        again = start("actor", tmp_path, "--link.address", address)
        output, _ = again.communicate(timeout=200)
        assert again.returncode == 0, output
        assert "left by a process that was killed" in output
        with store:
            episodes = store.episodes()
        assert len({episode.session for episode in episodes}) == 1
        assert [episode.index for episode in episodes] == list(range(len(episodes)))
        assert sum(episode.steps for episode in episodes) == STEPS
        starts = {episode.sim_only for episode in episodes}
        assert len(starts) == len(episodes)  # no start comes again
        assert f"small/{SPOOL_FILE}: session" in output
        assert episodes[0].session not in output  # it is a secret
    finally:
        learner.terminate()
        learner.communicate(timeout=60)


def test_an_actor_that_waits_for_its_learner_stops_when_it_is_asked_to(tmp_path: Path) -> None:
    nobody = "127.0.0.1:9"
    actor = start("actor", tmp_path, "--link.address", nobody, "--link.connect-timeout-s", "600")
    eventually((tmp_path / "small" / SPOOL_FILE).is_file, "its spool", START_S)
    time.sleep(1.0)  # now it is connecting
    actor.send_signal(signal.SIGTERM)
    output, _ = actor.communicate(timeout=60)
    assert actor.returncode == 0, output
    assert f"stopped before the learner at {nobody} had answered" in output


def test_a_line_is_printed_when_the_link_changes_and_not_otherwise(tmp_path: Path) -> None:
    settings = LinkSettings()
    output = io.StringIO()
    with Spool(tmp_path / "spool.sqlite", fake_contract(), settings) as spool:
        link = LearnerLink(settings, fake_contract(), spool)
        with LinkLines(link, Console(file=output, width=200), interval_s=0.02):
            time.sleep(0.2)
            assert output.getvalue() == ""
            for index in range(5):
                link._ledger.broken(LinkError(f"the cable is out, {index}"))
            link._ledger.acknowledged(pb.Ack())
            eventually(lambda: "\n" in output.getvalue(), "a line")
            time.sleep(0.2)
        link.close()
    (line,) = output.getvalue().splitlines()
    assert line.endswith("  learner connected; 0 steps wait, the spool is 0% full")


def test_what_the_terminal_says_of_a_link() -> None:
    assert told(LinkState(LinkStatus.CONNECTED, 0.0, waiting_steps=7, fill=0.85, filling=True)) == (
        "learner connected; the spool is filling: bring the learner back before the actor must pause; 7 steps wait, "
        "the spool is 85% full"
    )
    full = LinkState(LinkStatus.AWAY, 0.0, "no route", 9, 1.01, True, Pause(PauseCause.SPOOL_FULL, "do this"))
    assert told(full) == (
        "learner away: no route; paused, the spool is full: do this; 9 steps wait, the spool is 101% full"
    )
    away = LinkState(LinkStatus.AWAY, 0.0, "no route", pause=Pause(PauseCause.AWAY, ""))
    assert told(away).startswith("learner away: no route; the actor pauses at the end of the episode until it is back")
