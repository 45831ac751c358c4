"""What lies behind an advice, as pages show it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from console.coach.advice import Chart, Curve, FieldMap, Histogram
from console.coach.figures import chart_drawing
from console.report.data import CellResult, Grid

GRID = Grid(rows=2, columns=2, x_low_m=0.2, x_high_m=0.3, y_low_m=-0.1, y_high_m=0.1)
CHARTS: list[tuple[Chart, str]] = [
    (Histogram(title="Length", x_name="steps", edges=(0, 5, 10), counts=(3, 1), limit=5), "policy-fill"),
    (Histogram(title="Length", x_name="steps", edges=(0, 5), counts=(0,)), "base"),
    (Curve(title="Q", x_name="updates", x=(0, 10), y=(1.0, 2.0), limit=3.0), "metric-line"),
    (Curve(title="Q", x_name="updates", x=(5,), y=(1.0,)), "metric-line"),
    (FieldMap(title="Where", grid=GRID, cells={"1,0": CellResult(successes=1, n=2, rate=0.5)}), "cell-fill"),
]


@pytest.mark.parametrize(("chart", "css"), CHARTS)
def test_each_chart_is_a_drawing(chart: Chart, css: str) -> None:
    root = ET.fromstring(chart_drawing(chart))
    assert root.tag == "svg"
    assert root.attrib["aria-label"]
    assert any(element.attrib.get("class") == css for element in root.iter())


def test_a_bar_is_as_high_as_its_count() -> None:
    root = ET.fromstring(chart_drawing(CHARTS[0][0]))
    bars = [element for element in root.iter() if element.attrib.get("class") == "policy-fill"]
    assert [float(bar.attrib["height"]) for bar in bars] == [150.0, 50.0]
