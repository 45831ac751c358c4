"""From a person's tool over a real learner to an actor on a real link: once, in time, and what became of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from actor.link import LinkSettings, LinkStatus
from bench.proxy import Proxy
from commanded import CommandedActor
from console.commands import CommandClient
from console.errors import ConsoleError
from links import SOON_S, Bench
from nudge.v1 import learner_pb2 as pb
from policy.commands import Answer, Outcome, Verb
from policy.errors import SecurityError
from teleop.events import TeleopEvent
from waiting import eventually

EVENTS = {
    Verb.PAUSE: TeleopEvent.PAUSE_AFAR,
    Verb.RESUME: TeleopEvent.RESUME_AFAR,
    Verb.SUCCESS: TeleopEvent.SUCCESS,
    Verb.FAILURE: TeleopEvent.FAILURE,
    Verb.RERECORD: TeleopEvent.RERECORD,
}


class Site:
    """A learner's place, a client of it, and actors."""

    def __init__(self, bench: Bench, stack: ExitStack) -> None:
        self.bench, self._stack = bench, stack
        self.client = self.client_at(f"127.0.0.1:{bench.port}")

    def client_at(self, address: str, **settings: object) -> CommandClient:
        link = LinkSettings.model_validate({"address": address} | settings)
        return self._stack.enter_context(CommandClient(link))

    def actor(self, actor_id: str = "actor", **link: Any) -> CommandedActor:
        """One whose link is open, and which the learner knows to take commands."""
        made = CommandedActor()
        opened = self.bench.link(actor_id=actor_id, **link)
        opened.attend(made.desk)
        opened.open()
        eventually(lambda: self.connected(actor_id), "its watch for commands")
        self._stack.callback(opened.close)
        return made

    def proxy(self) -> Proxy:
        return self._stack.enter_context(Proxy(self.bench.port))

    def state(self, actor_id: str = "actor") -> pb.ActorStatus | None:
        found = [each for each in self.client.status().actors if each.actor_id == actor_id]
        return found[0] if found else None

    def connected(self, actor_id: str = "actor") -> bool:
        state = self.state(actor_id)
        return state is not None and state.connected


@pytest.fixture
def site(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr("actor.command_link.LOOK_S", 0.02)
    with ExitStack() as stack:
        yield Site(bench, stack)


def test_each_verb_arrives_as_its_event_exactly_once(site: Site) -> None:
    site.bench.serve(commands_per_s=100)
    actor = site.actor()
    actor.episode(0)
    with actor.ticking():
        eventually(lambda: (state := site.state()) is not None and state.state.control == pb.CONTROL_POLICY)
        for episode, verb in enumerate(EVENTS):
            actor.episode(episode)
            named = episode if verb.judges else None
            answer = site.client.send(verb, episode=named)
            assert (answer.outcome, answer.actor_id) == (Outcome.DONE, "actor"), answer
    assert actor.pressed == list(EVENTS.values())
    assert site.client.send(Verb.EMERGENCY_STOP).outcome is Outcome.DONE  # no loop ticks any more
    assert site.client.send(Verb.STOP).outcome is Outcome.DONE
    assert actor.emergency.is_pressed
    assert actor.stop.is_set()
    eventually(lambda: len(actor.told) == len(EVENTS) + 2, "a line for each at the arm")


def test_the_episode_that_a_verdict_means_is_looked_up_and_another_one_is_refused(site: Site) -> None:
    site.bench.serve()
    actor = site.actor()
    assert site.client.send(Verb.SUCCESS) == Answer(Outcome.REFUSED, "no episode runs", "actor")
    actor.episode(7)
    eventually(lambda: (state := site.state()) is not None and state.state.episode == 7, "its state")
    with actor.ticking():
        over = site.client.send(Verb.FAILURE, episode=6)
        assert (over.outcome, over.reason) == (Outcome.REFUSED, "it means episode 6, but 7 runs")
        done = site.client.send(Verb.SUCCESS)
        assert done.outcome is Outcome.DONE
        assert done.reason.startswith("episode 7 ends with step")


def test_nobody_there_and_too_many_there_are_said(site: Site) -> None:
    site.bench.serve()
    assert site.client.send(Verb.PAUSE).outcome is Outcome.NO_ACTOR
    site.actor("one")
    two = site.actor("two")
    assert site.client.send(Verb.STOP) == Answer(Outcome.REFUSED, "say which actor; connected: one, two")
    assert site.client.send(Verb.STOP, actor_id="two").outcome is Outcome.DONE
    assert two.stop.is_set()


def test_what_an_actor_is_at_is_known_while_it_changes(site: Site) -> None:
    site.bench.serve()
    actor = site.actor()
    actor.desk.board.operator_awaited("press the button")
    eventually(lambda: (state := site.state()) is not None and state.state.awaited == "press the button")
    actor.episode(2)
    actor.tick()
    eventually(lambda: (state := site.state()) is not None and state.state.control == pb.CONTROL_POLICY)
    state = site.state()
    assert state is not None
    assert (state.state.episode, state.state.awaited, state.state.paused) == (2, "", "")
    eventually(lambda: (state := site.state()) is not None and state.state.step == 1, "the step, with the next report")
    assert state.age_s < 5


def test_a_retry_is_answered_and_not_done_again(site: Site) -> None:
    site.bench.serve()
    actor = site.actor()
    actor.episode(0)
    request_id = uuid.uuid4().hex
    with actor.ticking():
        first = site.client.send(Verb.SUCCESS, episode=0, request_id=request_id)
        actor.episode(1)
        assert site.client.send(Verb.SUCCESS, episode=0, request_id=request_id) == first
        with pytest.raises(ConsoleError, match="came before with success"):
            site.client.send(Verb.PAUSE, request_id=request_id)
    assert first.outcome is Outcome.DONE
    assert actor.pressed == [TeleopEvent.SUCCESS]


def test_a_retry_after_the_learner_was_started_anew_is_not_done_again_either(site: Site) -> None:
    first = site.bench.serve()
    actor = site.actor()
    request_id = uuid.uuid4().hex
    with actor.ticking():
        assert site.client.send(Verb.PAUSE, request_id=request_id).outcome is Outcome.DONE
        eventually(lambda: actor.pressed == [TeleopEvent.PAUSE_AFAR])
        first.stop(0)
        site.bench.serve()
        eventually(site.connected, "its watch for commands")
        assert site.client.send(Verb.PAUSE, request_id=request_id).outcome is Outcome.DONE
        assert site.client.send(Verb.RESUME).outcome is Outcome.DONE
    assert actor.pressed == [TeleopEvent.PAUSE_AFAR, TeleopEvent.RESUME_AFAR]


def test_what_sleeps_on_its_way_to_the_actor_is_not_done_when_it_wakes_up(site: Site) -> None:
    site.bench.serve(command_max_age_s=0.3)
    proxy = site.proxy()
    actor = site.actor(address=proxy.address)
    actor.episode(0)
    with actor.ticking(), ThreadPoolExecutor(1) as pool:
        proxy.freeze()
        sent = pool.submit(site.client.send, Verb.FAILURE, episode=0)
        time.sleep(0.4)
        proxy.thaw()
        assert sent.result().outcome is Outcome.TOO_LATE
    assert actor.pressed == []


def test_what_sleeps_on_its_way_to_the_learner_is_not_done_when_it_wakes_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.bench.serve(command_max_age_s=0.3)
    proxy, actor = site.proxy(), site.actor()
    far = site.client_at(proxy.address)

    def status_before_it_sleeps() -> pb.StatusReply:
        reply = CommandClient.status(far)
        proxy.freeze()
        return reply

    monkeypatch.setattr(far, "status", status_before_it_sleeps)
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(far.send, Verb.STOP)
        time.sleep(0.4)
        proxy.thaw()
        assert sent.result().outcome is Outcome.TOO_LATE
    assert not actor.stop.is_set()


def test_a_link_that_breaks_for_a_moment_delivers_what_was_pressed_meanwhile(site: Site) -> None:
    site.bench.serve()
    near_actor = site.proxy()
    actor = site.actor(address=near_actor.address)
    near_actor.refuse()
    near_actor.cut()
    eventually(lambda: not site.connected(), "the learner notices")
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(site.client.send, Verb.EMERGENCY_STOP)
        near_actor.accept()
        assert sent.result().outcome is Outcome.DONE
    assert actor.emergency.is_pressed


def test_an_emergency_stop_comes_through_where_everything_else_waits(site: Site) -> None:
    site.bench.serve(max_waiting_commands=1, commands_per_s=1, command_max_age_s=1)
    actor = site.actor()  # whose loop does not tick
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(site.client.send, Verb.RESUME)
        eventually(lambda: bool(actor.desk._waiting), "it has come")
        with pytest.raises(ConsoleError, match=r"more than 1 commands a second|1 commands wait for their answer"):
            site.client.send(Verb.RESUME)
        assert site.client.send(Verb.EMERGENCY_STOP).outcome is Outcome.DONE
        assert waiting.result().outcome is Outcome.TOO_LATE


def test_who_tells_an_actor_to_leave_is_answered_before_it_does(site: Site) -> None:
    site.bench.serve()
    actor = site.actor()
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(site.client.send, Verb.STOP)
        assert actor.stop.wait(SOON_S)
        assert actor.desk.wait_delivered(SOON_S)
        site.bench.links[-1].close()
        assert sent.result().outcome is Outcome.DONE


def test_experience_flows_on_where_commands_do_not(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learner.servicer.PROTOCOL_VERSION", "1.2")
    site.bench.serve()
    made, link = CommandedActor(), site.bench.link()
    link.attend(made.desk)
    link.open()
    eventually(lambda: bool(made.told))
    assert made.told == ["the learner is older than this actor, and passes no commands on; install the same version"]
    assert link.state.status is LinkStatus.CONNECTED
    assert site.client.send(Verb.PAUSE).outcome is Outcome.NO_ACTOR


def test_a_client_without_the_token_is_refused_as_an_actor_is(site: Site, keys: Path) -> None:
    site.bench.serve(token_file=str(keys / "ours" / "token"))
    with pytest.raises(SecurityError, match="the token is missing"):
        site.client.send(Verb.STOP)
    known = site.client_at(f"127.0.0.1:{site.bench.port}", token_file=str(keys / "ours" / "token"))
    assert known.send(Verb.STOP).outcome is Outcome.NO_ACTOR


def test_a_learner_that_is_not_there_is_said_with_its_address(site: Site) -> None:
    with pytest.raises(ConsoleError, match=f"no learner answers at 127.0.0.1:{site.bench.port}"):
        site.client.send(Verb.PAUSE)
    site.bench.serve()
    assert site.client.send(Verb.PAUSE).outcome is Outcome.NO_ACTOR  # found as soon as it is there
