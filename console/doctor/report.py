"""A diagnosis for people and programs: a table in the terminal, one JSON object, and a page that needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from console.doctor.findings import Finding, Level, worst
from console.errors import ConsoleError
from console.main import DISTRIBUTION
from console.report.main import machine
from console.run_folder import DOCTOR_FILE
from console.settings import Settings
from console.web.templates import page_template
from learner.disk import DiskFull, write_atomically
from robot.cameras.contact_sheet import SHEET_FILE

Rows = list[tuple[str, ...]]

MARKS = {
    Level.GREEN: ("✓", "green"),
    Level.AMBER: ("!", "yellow"),
    Level.RED: ("✗", "bold red"),
    Level.SKIPPED: ("–", "dim"),
}
VERDICTS = {
    Level.GREEN: "This station works.",
    Level.AMBER: "This station works; mind what is amber.",
    Level.RED: "Do not run like this: mend what is red first.",
    Level.SKIPPED: "Nothing was looked at.",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `nudge doctor` tells.

    titles: check -> what it looks at, in the order of the checks
    tables: title -> rows, the header first
    sheet: PNG of what the cameras see, if they show anything
    """

    settings: Settings
    findings: tuple[Finding, ...]
    titles: Mapping[str, str]
    seconds: float
    tables: Mapping[str, Rows]
    sheet: bytes | None

    @property
    def verdict(self) -> Level:
        """The worst level found."""
        return worst(self.findings)

    @property
    def told(self) -> str:
        """The verdict in words, with how many lines have which colour."""
        levels = [finding.level for finding in self.findings]
        counts = ", ".join(f"{levels.count(level)} {level.value}" for level in Level if level in levels)
        return f"{VERDICTS[self.verdict]} {counts}, in {self.seconds:.0f} s."

    def as_json(self) -> dict[str, Any]:
        """The same as a tree of plain values; the keys are those of docs/doctor.md."""
        return {
            "verdict": self.verdict.value,
            "version": version(DISTRIBUTION),
            "machine": machine(),
            "preset": self.settings.preset_name,
            "run": self.settings.run,
            "arm": self.settings.arm.kind,
            "contract_hash": self.settings.contract.hash,
            "seconds": round(self.seconds, 1),
            "findings": [
                {
                    "check": it.check,
                    "title": self.titles[it.check],
                    "level": it.level.value,
                    "got": it.got,
                    "expected": it.expected,
                    "cure": it.cure,
                    "values": dict(it.values),
                }
                for it in self.findings
            ],
            "tables": {title: [list(row) for row in rows] for title, rows in self.tables.items()},
        }


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """A line for each finding; beneath those that are not green what was expected, and the cure."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for it in found.findings:
        mark, style = MARKS[it.level]
        table.add_row(Text(mark, style), Text(it.check, style), _lines(it))
    console.print(table)
    for title, rows in found.tables.items():
        console.print(f"\n{title}", highlight=False)
        console.print(_figures(rows))
    mark, style = MARKS[found.verdict]
    console.print(Text(f"\n{mark} {found.told}", style))


def save(found: Diagnosis) -> Path:
    """Write the page, and what the cameras see, into the run folder; the page's path.

    Raises `ConsoleError` where nothing can be written there.
    """
    folder = found.settings.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if found.sheet is not None:
            write_atomically(folder / SHEET_FILE, found.sheet)
        write_atomically(folder / DOCTOR_FILE, render(found).encode())
    except (OSError, DiskFull) as error:
        raise ConsoleError(
            f"{folder}: the page of the doctor cannot be written: {error}; make room or choose a folder with --runs"
        ) from error
    return folder / DOCTOR_FILE


def render(found: Diagnosis) -> str:
    """The page: one HTML document that needs no network."""
    sheet = None if found.sheet is None else base64.b64encode(found.sheet).decode()
    return page_template("doctor.html.j2").render(
        found=found,
        settings=found.settings,
        marks={level: mark for level, (mark, _) in MARKS.items()},
        counts=[(level, sum(it.level is level for it in found.findings)) for level in Level],
        verdict=VERDICTS[found.verdict],
        version=version(DISTRIBUTION),
        machine=machine(),
        sheet=sheet,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
    )


def _lines(finding: Finding) -> Text:
    text = Text(finding.got, "dim" if finding.level is Level.SKIPPED else "")
    if finding.level in (Level.AMBER, Level.RED):
        if finding.expected:
            text.append(f"\nexpected {finding.expected}", "dim")
        if finding.cure:
            text.append(f"\n→ {finding.cure}", MARKS[finding.level][1])
    return text


def _figures(rows: Rows) -> Table:
    table = Table(*rows[0], box=None, pad_edge=False)
    for row in rows[1:]:
        table.add_row(*row)
    return table
