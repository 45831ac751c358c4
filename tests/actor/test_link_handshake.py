"""Whom the link meets: another contract, version, run or actor of its name is refused, with the reason."""

from __future__ import annotations

import threading
import time

import pytest

from actor.link import (
    ActorIdTaken,
    OtherLearner,
)
from learner.store import ExperienceStore
from links import SOON_S, Bench, step
from policy.contract import Contract
from policy.errors import ContractMismatch
from tiny import CONTRACT
from waiting import eventually


def test_another_contract_is_refused_with_the_difference(bench: Bench) -> None:
    bench.serve()
    other = Contract.model_validate(CONTRACT.model_dump() | {"control_hz": 20.0})
    with pytest.raises(ContractMismatch, match=r"control_hz: 10.0 \(the learner\) != 20.0 \(the actor\)"):
        bench.link(contract=other).open()


def test_a_stranger_with_the_same_actor_id_is_refused_while_the_holder_lives(bench: Bench) -> None:
    bench.serve()
    holder = bench.link(actor_id="bench")
    holder.open()
    with pytest.raises(ActorIdTaken, match=r"'bench': session .* is connected with it"):
        bench.link(actor_id="bench", connect_timeout_s=0.4).open()
    bench.link(actor_id="other").open()
    holder.send(step(holder.session, 0, 0))
    assert holder.flush(SOON_S)


def test_a_new_spool_gets_the_actor_id_as_soon_as_its_holder_is_gone(bench: Bench) -> None:
    bench.serve(lease_s=0.1)
    first = bench.link(actor_id="bench")
    first.open()
    threading.Timer(0.3, first.close).start()
    second = bench.link(actor_id="bench")
    second.open()  # refused at first, and tries again
    second.send(step(second.session, 0, 0))
    assert second.flush(SOON_S)


def test_a_spool_goes_to_its_own_run_also_after_a_restart(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link(spool="kept")
    link.open()
    bench.end(link, "kept")
    first.stop(0.5)
    bench.serve(run_id="another")
    begun_s = time.monotonic()
    with pytest.raises(OtherLearner, match=r"serves run 'another', the steps in .*kept.sqlite belong to run 'trial'"):
        bench.link(spool="kept").open()
    assert time.monotonic() - begun_s < SOON_S / 2  # at once, and not when the time for connecting is over


def test_a_learner_that_has_lost_what_it_acknowledged_is_refused(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link(spool="kept")
    link.open()
    for index in range(3):
        link.send(step(link.session, 0, index))
    assert link.flush(SOON_S)
    bench.end(link, "kept")
    first.stop(0.5)
    bench.store.close()
    bench.store = ExperienceStore(bench.folder / "new.sqlite", CONTRACT)
    bench.serve()
    with pytest.raises(OtherLearner, match=r"up to None, but had acknowledged .*kept.sqlite does not keep"):
        bench.link(spool="kept").open()
    assert bench.places() == []


def test_an_older_copy_of_a_spool_is_refused(bench: Bench) -> None:
    bench.serve()
    link = bench.link(spool="kept")
    link.open()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)
    bench.end(link, "kept")
    copy = (bench.folder / "kept.sqlite").read_bytes()
    link = bench.link(spool="kept")
    link.open()
    link.send(step(link.session, 1, 0))
    assert link.flush(SOON_S)
    bench.end(link, "kept")
    (bench.folder / "kept.sqlite").write_bytes(copy)
    with pytest.raises(OtherLearner, match="an older copy of it"):
        bench.link(spool="kept").open()  # its next episode 1 would be taken for the one that is stored


def test_a_learner_of_another_run_gets_nothing(bench: Bench) -> None:
    first = bench.serve()
    link = bench.link()
    link.open()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)
    first.stop(0.5)
    stranger = bench.serve(run_id="another")
    link.send(step(link.session, 0, 1))
    eventually(lambda: "serves run 'another'" in link.state.error)
    assert bench.places() == [(0, 0)]
    stranger.stop(0.5)
    bench.serve()
    assert link.flush(SOON_S)
    assert bench.places() == [(0, 0), (0, 1)]


def test_a_learner_upgraded_to_a_newer_minor_version_in_the_middle_of_a_run_is_as_good(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.serve()
    link = bench.link()
    link.open()
    first.stop(0.5)
    for module in ("learner.handshake", "learner.servicer"):
        monkeypatch.setattr(f"{module}.PROTOCOL_VERSION", "1.7")
    bench.serve()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)


def test_a_learner_of_another_major_version_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("learner.handshake.PROTOCOL_VERSION", "2.0")
    bench.serve()
    with pytest.raises(ContractMismatch, match=r"the actor speaks 1\.\d+, this learner 2.0"):
        bench.link().open()
