"""The link against real servers: late, dying, restarted, strange, slow; no step is lost and none comes twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from pydantic import ValidationError

import links
from actor.link import (
    ExperienceRefused,
    LearnerLink,
    LinkError,
    LinkSettings,
    LinkStatus,
    SpoolFull,
)
from learner.store import ExperienceStore
from links import SOON_S, Bench, step
from nudge.v1 import learner_pb2 as pb
from nudge.v1 import learner_pb2_grpc as pb_grpc
from policy.errors import InvalidExperience
from policy.experience import StepId
from tiny import CONTRACT, SIZE
from waiting import eventually

# For processes that import `links`.
WITH_SUPPORT = {**os.environ, "PYTHONPATH": str(Path(links.__file__).parent)}


def test_steps_arrive_once_in_order_and_bit_equal(bench: Bench) -> None:
    bench.serve()
    link = bench.link()
    welcome = link.open()
    assert (welcome.run_id, welcome.policy_version, welcome.policy_spec_json, welcome.last_durable) == (
        "trial",
        0,
        "{}",
        None,
    )
    assert link.state.status is LinkStatus.CONNECTED
    for episode in range(3):
        for index in range(10):
            link.send(step(link.session, episode, index, last=index == 9))
    assert link.flush(SOON_S)
    assert link.unacknowledged == 0
    assert bench.places() == [(episode, index) for episode in range(3) for index in range(10)]
    (_, got), *_ = bench.store.read_after(3, 1)
    np.testing.assert_array_equal(got.observation.frames["wrist"], np.full((SIZE, SIZE, 3), 3, np.uint8))


def test_a_learner_that_starts_late_is_found(bench: Bench) -> None:
    link = bench.link()
    late = threading.Timer(0.4, bench.serve)
    late.start()
    assert link.open().run_id == "trial"
    late.join()


def test_no_learner_at_the_deadline_is_said_with_the_address(bench: Bench) -> None:
    with pytest.raises(LinkError, match=f"no learner at 127.0.0.1:{bench.port} within 0.3 s"):
        bench.link(connect_timeout_s=0.3).open()


def test_steps_taken_while_the_learner_is_away_follow_when_it_is_back(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link()
    link.open()
    for index in range(5):
        link.send(step(link.session, 0, index))
    assert link.flush(SOON_S)
    first.stop(0.5)
    eventually(lambda: link.state.status is LinkStatus.AWAY)
    assert link.state.error
    for index in range(5, 12):
        link.send(step(link.session, 0, index))
    assert link.unacknowledged == 7
    assert not link.flush(0.05)
    bench.serve()
    assert link.flush(SOON_S)
    assert bench.places() == [(0, index) for index in range(12)]
    assert link.state.status is LinkStatus.CONNECTED
    assert link.state.error == ""


def test_a_learner_that_dies_again_and_again_mid_stream_loses_and_doubles_nothing(bench: Bench) -> None:
    server = bench.serve()
    link = bench.link()
    link.open()
    stop = threading.Event()
    sent = 0

    def drive() -> None:
        nonlocal sent
        while not stop.is_set():
            link.send(step(link.session, sent // 20, sent % 20, last=sent % 20 == 19))
            sent += 1
            time.sleep(0.002)

    driver = threading.Thread(target=drive)
    driver.start()
    for grace_s in (0.0, 0.0, 0.5):  # 0: streams are cut while steps are under way
        goal = len(bench.places()) + 15
        eventually(partial(bench.holds, goal))
        server.stop(grace_s)
        server = bench.serve()
    stop.set()
    driver.join()
    assert link.flush(SOON_S)
    assert bench.places() == [(number // 20, number % 20) for number in range(sent)]


def test_a_restarted_actor_delivers_what_its_former_self_could_not_and_goes_on_behind_it(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link(spool="kept")
    link.open()
    for index in range(4):
        link.send(step(link.session, 0, index))
    assert link.flush(SOON_S)
    first.stop(0.5)
    eventually(lambda: link.state.status is LinkStatus.AWAY)
    for index in range(4, 9):
        link.send(step(link.session, 0, index))
    session = link.session
    bench.end(link, "kept")
    assert (link.unacknowledged, link.unwritten) == (5, 0)
    bench.serve()
    again = bench.link(spool="kept")
    assert (again.session, again.progress.next_episode, again.progress.env_steps) == (session, 1, 9)
    assert again.unacknowledged == 5
    again.open()
    with pytest.raises(InvalidExperience, match="episode 1 or later"):
        again.send(step(session, 0, 9))  # the cut episode stays as it is
    again.send(step(session, 1, 0))
    assert again.flush(SOON_S)
    assert bench.places() == [*((0, index) for index in range(9)), (1, 0)]


def test_steps_that_are_not_on_disk_are_not_sent(bench: Bench) -> None:
    bench.serve()
    link = bench.link(spool="slow")
    link.open()
    with bench.spools["slow"]._write_lock:  # as a disk that takes its time
        link.send(step(link.session, 0, 0))
        assert not link.flush_to_disk(0.5)
        assert (bench.places(), link.progress.env_steps) == ([], 0)
    assert link.flush_to_disk(SOON_S)
    assert link.progress.newest == StepId(link.session, 0, 0)
    assert link.flush(SOON_S)
    assert bench.places() == [(0, 0)]


def test_a_malformed_stream_of_one_actor_leaves_another_undisturbed(bench: Bench) -> None:
    bench.serve()
    link = bench.link(actor_id="good")
    link.open()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)
    since_s = link.state.since_s
    session = "d" * 32
    with grpc.insecure_channel(f"127.0.0.1:{bench.port}") as channel:
        stub = pb_grpc.LearnerStub(channel)
        request = pb.HelloRequest(
            protocol_version="1.0",
            contract_hash=CONTRACT.hash,
            contract_json=CONTRACT.canonical_json(),
            actor_id="bad",
            session=session,
        )
        stub.Hello(request)
        bad = pb.Step(id=pb.StepId(session=session))
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.StreamExperience(iter([bad]), metadata=(("nudge-session", session),)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    link.send(step(link.session, 0, 1))
    assert link.flush(SOON_S)
    assert (link.state.status, link.state.since_s) == (LinkStatus.CONNECTED, since_s)


def test_a_step_that_the_learner_refuses_for_good_is_raised_to_the_caller(bench: Bench) -> None:
    bench.serve()
    link = bench.link()
    link.open()
    beyond_float32 = replace(step(link.session, 0, 0), reward=1e300)  # finite here, infinite on the wire
    link.send(beyond_float32)
    with pytest.raises(ExperienceRefused, match="reward"):
        link.flush(SOON_S)
    with pytest.raises(ExperienceRefused):
        link.send(step(link.session, 0, 1))
    with pytest.raises(ExperienceRefused):
        _ = link.steps_behind


def test_steps_that_do_not_follow_are_refused_at_once(bench: Bench) -> None:
    link = bench.link()
    for wrong in (step("e" * 32, 0, 0), step(link.session, 0, 1), step(link.session, -1, 0)):
        with pytest.raises(InvalidExperience, match="does not follow the beginning"):
            link.send(wrong)
    link.send(step(link.session, 0, 0))
    link.send(step(link.session, 0, 1, last=True))
    for wrong in (step(link.session, 0, 2), step(link.session, 1, 1), step(link.session, 0, 0)):
        with pytest.raises(InvalidExperience, match="does not follow"):
            link.send(wrong)
    link.send(step(link.session, 1, 0))
    link.send(step(link.session, 2, 0))  # an episode may stay unfinished
    with pytest.raises(InvalidExperience, match="action"):
        link.send(replace(step(link.session, 2, 1), action=np.array([3.0], np.float32)))


def test_a_full_queue_is_an_error_that_tells_why(bench: Bench) -> None:
    link = bench.link(queue_steps=4)
    for index in range(4):
        link.send(step(link.session, 0, index))
    with pytest.raises(SpoolFull, match=r"4 steps wait in memory for .*sqlite, .* look for a `pause`"):
        link.send(step(link.session, 0, 4))
    bench.serve()
    link.open()
    assert link.flush(SOON_S)
    link.send(step(link.session, 0, 4))
    assert link.flush(SOON_S)
    assert bench.places() == [(0, index) for index in range(5)]


LEARNER = """
import pathlib, sys
import links as m
store = m.ExperienceStore(pathlib.Path(sys.argv[1]), m.CONTRACT)
settings = m.ServiceSettings(port=int(sys.argv[2]))
with m.LearnerServer(settings, m.CONTRACT, "trial", store, m.PolicyPublisher(), "{}", m.pb.StatusReply):
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_learner_that_stands_still_is_noticed_within_ten_seconds(bench: Bench, tmp_path: Path) -> None:
    command = [sys.executable, "-c", LEARNER, str(tmp_path / "far.sqlite"), str(bench.port)]
    learner = subprocess.Popen(command, stdin=subprocess.PIPE, env=WITH_SUPPORT)
    try:
        link = bench.link(connect_timeout_s=60)
        link.open()
        link.send(step(link.session, 0, 0))
        assert link.flush(SOON_S)
        learner.send_signal(signal.SIGSTOP)
        begun_s = time.monotonic()
        link.send(step(link.session, 0, 1))  # TCP takes it: the kernel behind the learner answers
        eventually(lambda: link.state.status is LinkStatus.AWAY)
        assert time.monotonic() - begun_s < 10
        link.send(step(link.session, 0, 2))
        learner.send_signal(signal.SIGCONT)
        assert link.flush(SOON_S)
    finally:
        learner.kill()
        learner.communicate()
    with ExperienceStore(tmp_path / "far.sqlite", CONTRACT) as store:
        assert [each.id.step for _, each in store.read_after(0, 10)] == [0, 1, 2]


def test_steps_behind_is_what_the_learner_says(bench: Bench) -> None:
    bench.serve()
    bench.status.steps_behind = 9
    link = bench.link()
    link.open()
    assert link.steps_behind == 9
    bench.status.steps_behind = 0
    eventually(lambda: link.steps_behind == 0)  # without a step in between


def test_sending_never_waits_for_network_or_packing(bench: Bench) -> None:
    link = bench.link()
    slowest_s = 0.0
    for index in range(500):
        made = step(link.session, 0, index)
        begun_s = time.perf_counter()
        link.send(made)
        slowest_s = max(slowest_s, time.perf_counter() - begun_s)
    assert slowest_s < 0.1  # a tick's length; it takes some 20 us, the rest is a busy machine


def test_closing_does_not_hang_in_any_state(bench: Bench) -> None:
    def seconds_to_close(link: LearnerLink) -> float:
        begun_s = time.monotonic()
        link.close()
        link.close()
        return time.monotonic() - begun_s

    assert seconds_to_close(bench.link()) < 2  # never opened
    away = bench.link(backoff_first_s=30, backoff_max_s=30)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(away.open)
        eventually(lambda: "UNAVAILABLE" in away.state.error)
        assert seconds_to_close(away) < 2  # in the middle of a long pause
        with pytest.raises(LinkError, match="closed"):
            opening.result(SOON_S)
    bench.serve()
    connected = bench.link()
    connected.open()
    connected.send(step(connected.session, 0, 0))
    assert seconds_to_close(connected) < 2
    with pytest.raises(LinkError, match="closed"):
        connected.send(step(connected.session, 0, 1))


def test_a_listener_that_never_answers_does_not_hold_the_link(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", bench.port)):
        link = bench.link(connect_timeout_s=0.5, call_timeout_s=0.2)
        begun_s = time.monotonic()
        with pytest.raises(LinkError, match="no learner at"):
            link.open()
        assert time.monotonic() - begun_s < 5


def test_an_interrupt_ends_a_process_with_both_ends_soon(tmp_path: Path) -> None:
    program = (
        "import os, pathlib, signal, threading\n"
        "import links as m\n"
        f"store = m.ExperienceStore(pathlib.Path({str(tmp_path / 'x.sqlite')!r}), m.CONTRACT)\n"
        f"made = m.Bench(pathlib.Path({str(tmp_path)!r}), store, m.free_port(), m.PolicyPublisher(),"
        " m.pb.StatusReply(), [], [], {})\n"
        "server = m.LearnerServer(m.ServiceSettings(port=made.port), m.CONTRACT, 'trial', store, made.publisher, '{}',"
        " m.pb.StatusReply)\n"
        "with server, made.link() as link:\n"
        "    link.open()\n"
        "    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "    for index in range(10**6):\n"
        "        link.send(m.step(link.session, 0, index))\n"
        "        link.flush(5)\n"
    )
    # Most of it are imports; an end that hangs, hangs for ever.
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=180, env=WITH_SUPPORT
    )
    assert "KeyboardInterrupt" in ended.stderr


@pytest.mark.parametrize(
    "wrong", [{"address": "no port"}, {"actor_id": "a b"}, {"backoff_first_s": 9}, {"keepalive": 3}]
)
def test_wrong_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        LinkSettings.model_validate(wrong)
