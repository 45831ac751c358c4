"""The drawing helpers of the report."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.web.svg import Axes, drawing, nice_ticks, number, spread, text


def test_data_maps_to_the_drawing_with_y_upwards() -> None:
    axes = Axes(left=10, top=20, width=100, height=50, x_low=0, x_high=200, y_low=0, y_high=1)
    # x: 10 + 100·50/200; y: 20 + 50·(1 − 1)/1 at the top, 20 + 50 at the bottom
    assert (axes.x(50), axes.y(1), axes.y(0)) == (35, 20, 70)


def test_a_line_leaves_out_what_is_not_finite() -> None:
    axes = Axes(left=0, top=0, width=10, height=10, x_low=0, x_high=10, y_low=0, y_high=10)
    line = axes.line(np.array([0.0, 5.0, 10.0]), np.array([0.0, np.nan, 10.0]), "policy-line")
    assert line == '<polyline class="policy-line" points="0.0,10.0 10.0,0.0"/>'


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 5700, [0, 1000, 2000, 3000, 4000, 5000]), (-0.08, 0.08, [-0.05, 0, 0.05]), (3, 3, [3])],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high, 6 if high > 1 else 4) == pytest.approx(ticks)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 9))
def test_ticks_lie_in_the_range_and_are_few(low: float, extent: float, about: int) -> None:
    ticks = nice_ticks(low, low + extent, about)
    assert len(ticks) <= about + 1
    assert all(low - 1e-6 * extent - 1e-9 <= tick <= low + extent * (1 + 1e-6) + 1e-9 for tick in ticks)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=5))
def test_labels_keep_their_distance_and_order(wanted: list[float]) -> None:
    placed = spread(wanted, 18, 0, 100)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    ordered = [placed[index] for index in order]
    assert all(after - before >= 18 - 1e-9 for before, after in pairwise(ordered))
    assert all(-1e-9 <= place <= 100 for place in placed)


def test_labels_that_do_not_collide_stay_where_they_are() -> None:
    assert spread([80, 10, 40], 18, 0, 100) == [80, 10, 40]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5714.0, "5,714"),
        (0.012345, "0.0123"),
        (-0.5, "−0.5"),
        (1.04, "1.04"),
        (0.00002, "2.0e−05"),
        (None, "–"),
        (0, "0"),
    ],
)
def test_numbers_read_as_people_write_them(value: float | None, words: str) -> None:
    assert number(value) == words


def test_text_from_outside_is_escaped() -> None:
    svg = drawing(10, 10, text(0, 0, "<script>", "tick"), 'a "label"')
    assert "&lt;script&gt;" in svg
    assert "<script>" not in svg
    assert 'aria-label="a &#34;label&#34;"' in svg
