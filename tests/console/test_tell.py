"""`nudge tell` to a real `nudge actor`: it pauses, goes on, records anew, and parks."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from console.commands import CommandClient
from console.main import main
from console.presets.load import load_preset
from console.settings import DEFAULT_PRESET, Settings
from learner.publisher import PolicyPublisher
from learner.service import LearnerServer
from learner.service_settings import ServiceSettings
from learner.store import ExperienceStore
from nudge.v1 import learner_pb2 as pb
from policies import ENCODER
from policy.commands import Outcome, Verb
from policy.encoder import load_encoder
from policy.network import make_spec
from policy.settings import EncoderSettings
from waiting import eventually

START_S = 120.0


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[tuple[ExperienceStore, int]]:
    """One that stores, and trains nothing."""
    settings = load_preset(Settings, DEFAULT_PRESET)
    encoder = load_encoder(EncoderSettings(source=ENCODER))
    spec = make_spec(
        settings.contract, encoder, settings.learner.features.reduced_channels, settings.learner.network
    ).model_dump_json()
    with ExitStack() as stack:
        store = stack.enter_context(ExperienceStore(tmp_path / "experience.sqlite", settings.contract))
        service = ServiceSettings(port=0)
        server = LearnerServer(service, settings.contract, "small", store, PolicyPublisher(), spec, pb.StatusReply)
        stack.callback(server.stop, 0)
        yield store, server.start()


def test_an_actor_pauses_goes_on_records_anew_and_parks_as_it_is_told(
    tmp_path: Path, learner: tuple[ExperienceStore, int], capsys: pytest.CaptureFixture[str]
) -> None:
    store, port = learner
    link = ("--link.address", f"127.0.0.1:{port}")
    command = [sys.executable, "-m", "console.main", "actor", "--runs", str(tmp_path), "--run", "small", *link]
    endless = ("--loop.demo-episodes", "1000", "--loop.max-env-steps", "100000", "--learner.encoder.source", ENCODER)
    # Not as fast as it goes: an episode is to last while somebody judges it.
    slow = ("--loop.pace", "realtime", "--loop.niceness", "0", "--loop.realtime-priority", "0")
    actor = subprocess.Popen([*command, *endless, *slow], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    client = CommandClient(load_preset(Settings, DEFAULT_PRESET).link.model_copy(update={"address": link[1]}))

    def state() -> pb.ActorState:
        actors = client.status().actors
        return actors[0].state if actors else pb.ActorState()

    def tell(word: str) -> tuple[int, str]:
        status = main(["tell", word, *link])
        said = capsys.readouterr()
        return status, said.out + said.err

    try:
        eventually(lambda: store.counts().env_steps > 3 or actor.poll() is not None, "a few steps", START_S)
        assert tell("pause") == (
            0,
            "pause: actor 'actor': done; the episode ends in order, and the arm holds still\n",
        )
        eventually(lambda: (state().control, state().paused) == (pb.CONTROL_NOBODY, "by the operator"), "the pause")
        time.sleep(0.3)
        steps = store.counts().env_steps
        assert tell("success") == (1, "nudge: success: actor 'actor': refused; no episode runs\n")
        assert store.counts().env_steps == steps

        assert tell("resume") == (0, "resume: actor 'actor': done; the arm goes on\n")
        eventually(lambda: store.counts().env_steps > steps, "it goes on")
        eventually(lambda: client.send(Verb.RERECORD).outcome is Outcome.DONE, "an episode that runs")
        eventually(lambda: any(episode.rejected for episode in store.episodes()), "the episode that is recorded anew")

        status, said = tell("stop")
        assert (status, said) == (
            0,
            "stop: actor 'actor': done; the episode ends in order, the arm parks, and the actor leaves\n",
        )
        output, _ = actor.communicate(timeout=60)
        assert actor.returncode == 0, output
        assert "cut: paused by the operator" in output
        assert "stop, told from elsewhere: done;" in output
        assert "cut: stopped" in output
    finally:
        client.close()
        actor.kill()
        actor.wait()
