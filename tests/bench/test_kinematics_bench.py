"""The kinematics benchmark: its figures are complete, and mink's side is named when it is missing."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bench.kinematics import Solves, compare, find_peer, reachable
from robot.kinematics import Kinematics
from robot.settings import ControllerSettings

SIDE = {"within_1mm", "residual_max_mm", "tilt_mean_deg", "solve_ms", "solve_p99_ms"}


def test_figures_are_shares_millimetres_degrees_and_milliseconds() -> None:
    figures = Solves(np.array([0.0005, 0.002]), np.array([0.0, np.pi / 2]), np.array([0.001, 0.003])).figures()
    assert figures["within_1mm"] == 0.5
    assert figures["residual_max_mm"] == pytest.approx(2.0)
    assert figures["tilt_mean_deg"] == pytest.approx(45)
    assert figures["solve_ms"] == pytest.approx(2.0)


def test_every_target_is_in_the_box() -> None:
    settings = ControllerSettings()
    targets = reachable(Kinematics(settings), settings, 20, seed=0)
    assert (targets >= settings.box_low_m).all()
    assert (targets <= settings.box_high_m).all()


def test_every_figure_is_measured_and_holds_what_is_promised() -> None:
    figures = compare(targets=20, resets=2, peer=find_peer())
    assert set(figures["near"]) == set(figures["far"]) == SIDE
    assert figures["within_1mm"] >= 0.99
    assert figures["reset_error_max_mm"] < 2.0
    assert set(figures["mink"]["near"]) == SIDE


def test_without_mink_the_run_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "mink", None)
    monkeypatch.delitem(sys.modules, "bench.mink_kinematics", raising=False)
    assert find_peer() is None
    assert "mink is not installed" in capsys.readouterr().out
