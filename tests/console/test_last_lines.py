"""Lines that stay at the bottom of a terminal: in a real one, however narrow, and nowhere else."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.text import Text

from console.terminal.key_lines import WIDE, key_lines
from console.terminal.key_numbers import KeyNumber
from console.terminal.last_lines import LastLines, fitted, line_ended
from console.terminal.steady_console import SteadyConsole
from terminals import Window
from waiting import eventually

NUMBERS = [
    KeyNumber("succeeds alone", "95 %", "of the last 20 episodes", "good"),
    KeyNumber("you drive", "3 %", "of the steps of the last 20 episodes"),
    KeyNumber("Q", "1.4", "at most 1 is possible, and more of it than fits into a narrow terminal", "bad"),
]


@contextmanager
def console_in(window: Window) -> Iterator[Console]:
    with open(window.fd, "w", closefd=False) as terminal:
        yield SteadyConsole(terminal)


def test_numbers_stand_below_each_other_and_from_some_width_on_beside() -> None:
    narrow = [line.plain for line in key_lines(NUMBERS, 60)]
    assert narrow[0] == "succeeds alone  95 %      of the last 20 episodes"
    assert narrow[2] == "Q               1.4       at most 1 is possible, and more o…"
    assert max(map(len, narrow)) == 60
    wide = [line.plain for line in key_lines(NUMBERS, WIDE)]
    assert [line[66:81].strip() for line in wide] == ["Q", ""]  # the second column begins at half of it
    assert len(wide[0]) == WIDE


def test_too_many_lines_leave_the_last_ones_and_room_to_scroll() -> None:
    lines = [Text("first"), Text("a fault\nwith a cure"), Text("x" * 70)]
    assert fitted(lines, ConsoleDimensions(60, 24)).plain.splitlines() == [
        "first",
        "a fault",
        "with a cure",
        "x" * 59 + "…",
    ]
    assert fitted(lines, ConsoleDimensions(60, 6)).plain.splitlines() == ["with a cure", "x" * 59 + "…"]


def test_all_else_scrolls_above_and_in_the_end_they_vanish() -> None:
    state = ["step 1"]
    with Window(columns=60, rows=10) as window:
        with console_in(window) as console:
            with LastLines(console, lambda _: [Text("the run"), Text(state[0])], 0.01):
                for index in range(12):  # more than the terminal has lines
                    console.print(f"episode {index}")
                state[0] = "step 2"
                eventually(lambda: window.lines[-1] == "step 2", "the change")
                assert window.lines == [*(f"episode {index}" for index in range(12)), "the run", "step 2"]
            console.print("done")
        eventually(lambda: "done" in window.lines, "the end")
        assert [line for line in window.lines if line] == [*(f"episode {index}" for index in range(12)), "done"]


def test_threads_that_print_at_the_same_time_leave_no_part_of_the_lines_behind() -> None:
    looks = iter(range(1 << 30))

    def lines(_: ConsoleDimensions) -> list[Text]:
        return [Text("the run")] * (1 + next(looks) % 4)  # more and less

    def told(name: str) -> None:
        for index in range(50):
            console.print(f"{name} {index}")

    with Window(columns=60, rows=10) as window, console_in(window) as console:
        with LastLines(console, lines, 0.0):
            threads = [threading.Thread(target=told, args=(name,)) for name in "ab"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        console.print("done")
        eventually(lambda: "done" in window.lines, "the end")
        left = [line for line in window.lines if line]
        assert sorted(left) == sorted([*(f"{name} {index}" for name in "ab" for index in range(50)), "done"])


def test_what_goes_to_stderr_stands_above_where_that_is_the_same_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with Window(columns=60) as window, console_in(window) as console:
        monkeypatch.setattr(sys, "stderr", console.file)
        with LastLines(console, lambda _: [Text("the run")], 0.01):
            eventually(lambda: window.lines[-1] == "the run", "the lines")
            print("a warning", file=sys.stderr)
            eventually(lambda: window.lines == ["a warning", "the run"], "the warning")


def test_a_redirected_stderr_gets_what_goes_there(capsys: pytest.CaptureFixture[str]) -> None:
    with Window(columns=60) as window, console_in(window) as console, LastLines(console, lambda _: [Text("run")], 0.01):
        print("a warning", file=sys.stderr)
    assert capsys.readouterr().err == "a warning\n"


def test_lines_that_are_as_before_are_not_drawn_again() -> None:
    looks = threading.Semaphore(0)

    def lines(_: ConsoleDimensions) -> list[Text]:
        looks.release()
        return [Text("the same")]

    with Window(columns=60) as window, console_in(window) as console, LastLines(console, lines, 0.01):
        for _ in range(10):
            looks.acquire()
        assert window.shown.count(b"the same") == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_lines_that_cannot_be_made_any_longer_do_not_stay_there() -> None:
    good = [True]

    def lines(_: ConsoleDimensions) -> list[Text]:
        if not good[0]:
            raise RuntimeError("out of order")
        return [Text("you drive")]

    with Window(columns=60) as window, console_in(window) as console, LastLines(console, lines, 0.01):
        eventually(lambda: window.lines[-1] == "you drive", "the lines")
        good[0] = False
        eventually(lambda: not any(window.lines), "nothing that is no longer true")


def test_what_was_shown_live_ends_its_line_in_a_file() -> None:
    output = io.StringIO()
    console = Console(file=output)
    with line_ended(console), Live(console=console) as live:
        live.update(Text("steps 700"))
    console.print("evaluating")
    assert output.getvalue() == "steps 700\nevaluating\n"
