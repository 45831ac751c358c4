"""How many threads an update gets: tried on a clock of its own, and once for real."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch

from learner.settings import LearnerSettings
from learner.threads import HOPELESS, RETRY_S, TRIED_UPDATES, WARM_UP_UPDATES, ThreadChoice, arithmetic
from waiting import Clock

CPU = torch.device("cpu")
TRIAL = WARM_UP_UPDATES + TRIED_UPDATES


class Machine:
    """Updates that take as long as `update_s` says for a number of threads, on a clock of their own."""

    def __init__(self, update_s: Mapping[int, float]) -> None:
        self.update_s = dict(update_s)
        self.clock = Clock()
        self.threads = 0
        self.done: list[int] = []
        self.choice = ThreadChoice("auto", CPU, use=self._use, now_s=lambda: self.clock.now_s)

    def _use(self, threads: int) -> None:
        self.threads = threads

    def update(self, times: int = 1) -> None:
        for _ in range(times):
            with self.choice.update():
                self.clock.now_s += self.update_s[self.threads]
            self.done.append(self.threads)


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[int, float]], Machine]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    return Machine


def test_each_number_is_tried_and_the_fastest_taken(four_cores: Callable[[Mapping[int, float]], Machine]) -> None:
    machine = four_cores({1: 0.1, 2: 0.06, 4: 0.08})
    machine.update(3 * TRIAL)
    assert machine.done == [1] * TRIAL + [2] * TRIAL + [4] * TRIAL
    machine.update(5)
    assert machine.done[-5:] == [2] * 5
    assert machine.choice.chosen == 2


def test_a_thread_more_must_be_worth_its_core(four_cores: Callable[[Mapping[int, float]], Machine]) -> None:
    machine = four_cores({1: 0.1, 2: 0.095, 4: 0.09001})
    machine.update(3 * TRIAL + 1)
    assert machine.done[-1] == 1


def test_a_hopeless_number_costs_one_counted_update_and_spares_the_larger_ones(
    four_cores: Callable[[Mapping[int, float]], Machine],
) -> None:
    machine = four_cores({1: 0.1, 2: 0.1 * HOPELESS + 0.01, 4: 9.0})
    machine.update(TRIAL + WARM_UP_UPDATES + 1 + 1)
    assert machine.done == [1] * TRIAL + [2] * (WARM_UP_UPDATES + 1) + [1]


def test_it_tries_again_after_a_while_as_others_come_and_go(
    four_cores: Callable[[Mapping[int, float]], Machine],
) -> None:
    machine = four_cores({1: 0.1, 2: 0.06, 4: 0.2})
    machine.update(4 * TRIAL)
    assert machine.choice.chosen == 2
    machine.update_s[2] = 0.15  # somebody has taken a core
    machine.update(round(RETRY_S / 0.15) + 3 * TRIAL)
    assert machine.choice.chosen == 1


@pytest.mark.parametrize(("asked", "device"), [(3, CPU), ("auto", torch.device("cuda"))])
def test_a_fixed_number_and_a_gpu_try_nothing(asked: int, device: torch.device) -> None:
    used: list[int] = []
    choice = ThreadChoice(asked, device, use=used.append)
    for _ in range(4):
        with choice.update():
            pass
    assert not choice.trying
    assert used == [3 if asked == 3 else 1]


@pytest.fixture
def torch_threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def test_the_process_has_its_own_arithmetic_again_afterwards(torch_threads: int) -> None:
    settings = LearnerSettings()
    with arithmetic(settings) as choice, choice.update():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == torch_threads
