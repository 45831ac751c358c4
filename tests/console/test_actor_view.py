"""What the actor's terminal says above who drives: read from the link, the state board, the clock and the judge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import ConsoleDimensions

from actor.episode import EpisodeOutcome
from actor.link import LearnerLink, LinkError, LinkSettings, Spool
from actor.state_board import StateBoard
from actor.timing import LoopTiming
from console.terminal.actor_view import ActorView
from nudge.v1 import learner_pb2 as pb
from policy.fakes import fake_contract
from robot.errors import BusLost
from teleop.takeover import Control

SIZE = ConsoleDimensions(60, 40)


def outcome(*, success: bool = True, human_steps: int = 0, demonstration: bool = False) -> EpisodeOutcome:
    return EpisodeOutcome(0, demonstration, success, 10, human_steps, 100)


class Parts:
    """What the view reads."""

    def __init__(self, link: LearnerLink) -> None:
        self.link, self.board, self.timing = link, StateBoard(), LoopTiming(10.0)
        self.view = ActorView(link, self.board, self.timing, None)

    @property
    def lines(self) -> list[str]:
        return [line.plain for line in self.view.lines(SIZE)]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    settings, contract = LinkSettings(), fake_contract()
    with Spool(tmp_path / "spool.sqlite", contract, settings) as spool:
        link = LearnerLink(settings, contract, spool)
        yield Parts(link)
        link.close()


def test_before_the_first_episode_it_says_what_there_is(parts: Parts) -> None:
    policy, learner, spool = parts.lines
    assert policy == "policy          –         none has come yet"
    assert learner.startswith("learner         away      for ")
    assert spool == "spool           0         steps wait, the spool is 0% full"


def test_episode_rates_policy_and_link_as_they_are(parts: Parts) -> None:
    parts.link._ledger.acknowledged(pb.Ack())
    parts.link._receive(7, b"a policy")
    parts.board.episode_began(12, demonstrating=False)
    parts.board.control_changed(Control.POLICY)
    parts.board.ticked(paused=False)
    # 1 of 4 alone: one failed, in one the operator drove 5 of its 10 steps, one was a demonstration and rates nobody.
    for ended in (outcome(), outcome(success=False), outcome(human_steps=5), outcome(success=False)):
        parts.view.ended(ended)
    parts.view.ended(outcome(demonstration=True))
    episode, alone, by_hand, policy, learner, *_ = parts.lines
    assert episode == "episode         12        step 1"
    assert alone == "succeeds alone  25 %      of the last 4 episodes"
    assert by_hand == "operator drives 12 %      of the steps of the last 4 episod…"  # 5 of 40
    assert policy == "policy          7         came 0 s ago"
    assert learner == "learner         connected for 0 s"


def test_the_last_twenty_episodes_rate(parts: Parts) -> None:
    for success in 20 * [False] + 15 * [True]:
        parts.view.ended(outcome(success=success))
    assert "succeeds alone  75 %      of the last 20 episodes" in parts.lines


def test_a_fault_a_pause_and_a_lost_learner_are_told(parts: Parts) -> None:
    parts.link._ledger.broken(LinkError("no route to host"))
    parts.board.arm_faulty(BusLost("bus: unplugged"))
    parts.board.waited(paused=True)
    assert any(line.endswith(": no route to host") for line in parts.lines)
    assert parts.lines[-2:] == ["bus: unplugged", "paused by the operator"]
    parts.board.arm_sound()
    assert "bus: unplugged" not in parts.lines


def test_late_ticks_are_counted(parts: Parts) -> None:
    parts.timing.deadlines.start()
    parts.timing.deadlines._next_s -= 1.0  # a tick took a second too long
    parts.timing.deadlines.wait()
    assert parts.lines[-1] == "late ticks      1         of 1"


def test_the_end_is_a_line(parts: Parts) -> None:
    parts.view.ended(outcome())
    assert parts.view.line().startswith("succeeds alone 100 % of the last 1 episodes; operator drives 0 % of ")
