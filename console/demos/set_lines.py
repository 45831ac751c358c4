"""Findings, maps and demo sets as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from demos.coverage import Coverage
from demos.demo_set import HASH_DIGITS, DemoSet
from demos.findings import Finding, Severity

_STYLES = {Severity.REFUSE: "red", Severity.MIND: "yellow"}


def finding_line(finding: Finding) -> tuple[str, str]:
    """Style and text of a finding."""
    return _STYLES[finding.severity], f"{finding.severity.value}: {finding}"


def map_lines(covered: Coverage) -> Iterator[str]:
    """How many demonstrations took place in each cell of the field: x downwards, y to the right; where the next may."""
    (low_m, high_m), rows = covered.field_x_m, len(covered.counts)
    left_m, right_m = covered.field_y_m
    yield f"by place of {covered.told_by}, y {left_m:g} to {right_m:g} m:"
    for row, counts in enumerate(covered.counts):
        middle_m = low_m + (row + 0.5) * (high_m - low_m) / rows
        yield f"  x {middle_m:.3f} m  " + " ".join(f"{count or '.':>3}" for count in counts)
    beyond = f"; {covered.outside} beyond the field" if covered.outside else ""
    x_m, y_m = covered.next_m
    yield f"  the next one is worth most at x {x_m:.3f}, y {y_m:.3f} m{beyond}"


def set_lines(made: DemoSet) -> Iterator[str]:
    """Where a set is, what it holds, and what was found in it."""
    facts = made.facts
    yield f"{made.folder}: demo set {facts.name}, {facts.episodes} demonstrations, {facts.steps} steps"
    yield f"  hash {facts.hash}"
    yield f"  contract {facts.contract_hash[:HASH_DIGITS]}, made {facts.created:%Y-%m-%d %H:%M} UTC"
    for finding in facts.findings:
        yield f"  {finding_line(finding)[1]}"
    if not facts.findings:
        yield "  nothing was found in it"
