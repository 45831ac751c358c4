"""A run keeps to the judge that it began with: real learners, and actors that come with this judge or another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from actor.link import LearnerLink, LinkError
from learner.store import ExperienceStore
from links import SOON_S, Bench, step
from policy.errors import ContractMismatch
from tiny import CONTRACT
from waiting import eventually

LIFT, OTHER = "3f" * 32, "ab" * 32  # of the weights of two classifiers


def deliver(link: LearnerLink) -> None:
    link.open()
    link.send(step(link.session, 0, 0))
    assert link.flush(SOON_S)
    link.close()


def known(bench: Bench) -> str | None:
    judge = bench.store.judge()
    return None if judge is None else judge.name


def test_the_first_step_that_comes_fixes_the_judge_and_a_greeting_does_not(bench: Bench) -> None:
    bench.serve()
    link = bench.link(judge=LIFT)
    link.open()
    assert known(bench) is None
    link.close()
    deliver(bench.link(judge="simulator", actor_id="second"))
    assert known(bench) == "simulator"


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (LIFT, OTHER, "got the classifier abababababab, expected the classifier 3f3f3f3f3f3f, which has paid"),
        (LIFT, "simulator", "got the simulator's truth, expected the classifier 3f3f3f3f3f3f"),
        (LIFT, "", "got an actor that does not say who pays, of an older Nudge, expected the classifier"),
        ("operator", LIFT, r"expected the operator's key alone.*start the actor with --task\.judge operator"),
        ("simulator", "operator", r"do not mix; start the actor with --task\.judge simulator; or begin a new run"),
    ],
)
def test_another_judge_is_refused_with_what_to_do(bench: Bench, first: str, then: str, told: str) -> None:
    bench.serve()
    deliver(bench.link(judge=first))
    with pytest.raises(ContractMismatch, match=told):
        bench.link(judge=then, actor_id="second").open()
    assert known(bench) == first


@pytest.mark.parametrize("first", ["simulator", "operator"])
def test_an_actor_that_does_not_say_is_taken_where_no_classifier_pays(bench: Bench, first: str) -> None:
    bench.serve()
    deliver(bench.link(actor_id="old"))
    assert known(bench) is None  # nothing is made up
    deliver(bench.link(judge=first, actor_id="new"))
    deliver(bench.link(actor_id="older"))
    assert known(bench) == first
    assert bench.store.counts().env_steps == 3


def test_it_is_kept_over_a_restart_of_the_learner(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "again.sqlite"
    with ExperienceStore(path, CONTRACT) as store:
        store.keep_to_judge(LIFT)
    with ExperienceStore(path, CONTRACT) as store:
        bench.store.close()
        bench.store = store
        bench.serve()
        with pytest.raises(ContractMismatch, match="expected the classifier"):
            bench.link(judge=OTHER).open()
        deliver(bench.link(judge=LIFT, actor_id="second"))
        bench.servers[0].stop(0)


def test_of_two_that_greet_at_once_the_one_whose_step_comes_first_is_right(bench: Bench) -> None:
    bench.serve()
    one, other = bench.link(judge=LIFT), bench.link(judge=OTHER, actor_id="second")
    one.open()
    other.open()
    one.send(step(one.session, 0, 0))
    assert one.flush(SOON_S)
    other.send(step(other.session, 0, 0))
    eventually(lambda: "rewards of two judges do not mix" in other.state.error)
    assert bench.store.counts().env_steps == 1


def test_a_judge_that_no_nudge_has_is_refused(bench: Bench) -> None:
    bench.serve()
    with pytest.raises(
        LinkError, match="judge: got 'my cat', expected simulator, operator, or 64 lower-case hex digits"
    ):
        bench.link(judge="my cat").open()
