"""The log of a process: JSON lines in a file that is rotated, and warnings in the terminal."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from console.logs.logged import BehindQueue, logged
from console.logs.settings import LogSettings
from console.terminal.telling import TOLD, tell
from disks import no_file_larger_than
from policy.errors import NudgeError
from waiting import eventually

SETTINGS = LogSettings()
FILE = "logs/learner.jsonl"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def messages(path: Path) -> list[str]:
    return [line["message"] for line in lines(path)]


def test_each_line_is_an_object_with_time_level_logger_message_and_process(tmp_path: Path) -> None:
    before = time.time()
    with logged(tmp_path, "learner", SETTINGS):
        logging.getLogger("actor.link").info("%d steps, then – a\nbreak", 7)
    (line,) = [each for each in lines(tmp_path / FILE) if each["logger"] == "actor.link"]
    assert (line["level"], line["message"], line["process"]) == ("info", "7 steps, then – a\nbreak", "learner")
    told = datetime.fromisoformat(line["time"])
    assert told.utcoffset() == datetime.now(UTC).utcoffset()
    assert before - 0.001 <= told.timestamp() <= time.time()


def test_of_other_libraries_warnings_are_kept_and_nothing_of_anybody_afterwards(tmp_path: Path) -> None:
    other, ours = logging.getLogger("grpc.somewhere"), logging.getLogger("robot.cameras")
    with logged(tmp_path, "learner", SETTINGS):
        other.info("chatter")
        other.warning("odd")
        ours.debug("detail")
        ours.info("opened")
    ours.warning("later")
    assert messages(tmp_path / FILE)[1:-1] == ["odd", "opened"]


def test_the_terminal_gets_warnings_and_the_file_an_exception_with_its_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = logging.getLogger("learner.store")
    with logged(tmp_path, "learner", SETTINGS):
        log.info("not for a person")
        try:
            raise ValueError("got 3, expected 4")
        except ValueError:
            log.exception("it broke")
        log.warning("mind this")
    assert capsys.readouterr().err.splitlines()[-1] == "mind this"
    assert "not for a person" not in capsys.readouterr().err
    (broke,) = [line for line in lines(tmp_path / FILE) if line["message"] == "it broke"]
    assert broke["exception"].startswith("Traceback")
    assert broke["exception"].endswith("ValueError: got 3, expected 4")


def test_what_ended_the_process_or_a_thread_stands_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    def run() -> None:
        raise RuntimeError("no more")

    def learn() -> None:
        with logged(tmp_path, "learner", SETTINGS):
            thread = threading.Thread(target=run, name="reader")
            thread.start()
            thread.join()
            raise NudgeError("the store is damaged")

    with pytest.raises(NudgeError):
        learn()
    of_thread, of_process = lines(tmp_path / FILE)[1:]
    assert (of_thread["level"], of_thread["message"]) == ("error", "the thread 'reader' ended: no more")
    assert of_process["message"] == "learner ends: the store is damaged"
    assert "NudgeError: the store is damaged" in of_process["exception"]
    assert len(seen) == 1  # who was told before is told as well


def test_a_line_for_the_operator_is_printed_and_logged_once_and_quiet_leaves_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logged(tmp_path, "learner", SETTINGS):
        for console in (Console(), Console(quiet=True)):
            tell(console, "connected [to] run 'lift'")
            tell(console, Text.from_markup("episode 3: [green]success[/]"))
            tell(console, "the lamp has changed", logging.WARNING)
    said = capsys.readouterr()
    all_of_it = ["connected [to] run 'lift'", "episode 3: success", "the lamp has changed"]
    assert said.out.splitlines() == [*all_of_it, "the lamp has changed"]
    assert said.err == ""
    assert messages(tmp_path / FILE)[1:-1] == 2 * all_of_it


def test_a_line_told_without_a_log_is_printed_and_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Console(), "the arm is stiff", logging.ERROR)
    assert capsys.readouterr() == ("the arm is stiff\n", "")


def test_files_are_put_aside_when_they_are_full_and_the_oldest_goes(tmp_path: Path) -> None:
    log = logging.getLogger("learner")
    with logged(tmp_path, "learner", LogSettings(file_bytes=10_000, files=3)):
        for index in range(300):  # of some 180 bytes each: 54 KB, in files of 10 KB
            log.info("line %d", index)
    files = sorted((tmp_path / "logs").iterdir())
    assert [file.name for file in files] == ["learner.jsonl", "learner.jsonl.1", "learner.jsonl.2"]
    assert all(file.stat().st_size <= 10_000 for file in files)
    kept = [message for file in reversed(files) for message in messages(file)][:-1]
    assert kept == [f"line {index}" for index in range(300 - len(kept), 300)]


def test_a_full_disk_costs_lines_and_the_next_that_fits_tells_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, path = logging.getLogger("learner"), tmp_path / FILE
    with logged(tmp_path, "learner", SETTINGS):
        log.info("there is room")
        eventually(lambda: path.is_file() and "there is room" in path.read_text(), "the line")
        with no_file_larger_than(path.stat().st_size + 10):
            for index in range(20):
                log.info("lost %d", index)
            told: list[str] = []

            def is_told() -> bool:
                told.append(capsys.readouterr().err)
                return "cannot be written: disk full" in "".join(told)

            eventually(is_told, "the warning")
            log.info("lost as well")
            time.sleep(0.2)
        log.info("room again")
    found = lines(path)
    assert [line["message"] for line in found[1:]] == [
        "there is room",
        "22 lines are missing here: they could not be written",  # 20, the warning, and one more
        "room again",
        "learner ends in order",
    ]
    assert "".join(told).count("cannot be written") == 1
    assert capsys.readouterr().err == ""


def test_what_a_killed_process_left_of_a_line_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / FILE).write_text('{"message": "whole"}\n{"mess')
    with logged(tmp_path, "learner", SETTINGS):
        pass
    assert messages(tmp_path / FILE)[0::2] == ["whole", "learner ends in order"]


def test_who_logs_never_waits_and_what_came_too_fast_is_counted() -> None:
    queue = BehindQueue(3)
    for index in range(5):  # nobody takes them
        queue.handle(logging.makeLogRecord({"msg": f"{index}"}))
    taken = [queue.waiting.get().getMessage() for _ in range(3)]
    queue.handle(logging.makeLogRecord({"msg": "5"}))
    taken += [queue.waiting.get().getMessage() for _ in range(2)]
    assert taken == ["0", "1", "2", "2 lines are missing here: they came faster than they could be written", "5"]


def test_nobody_hears_what_is_told_once_the_log_is_closed(tmp_path: Path) -> None:
    with logged(tmp_path, "learner", SETTINGS):
        pass
    assert not any(isinstance(handler, BehindQueue) for handler in (*TOLD.handlers, *logging.getLogger().handlers))
