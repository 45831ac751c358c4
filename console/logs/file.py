"""The log of a process as a file: a JSON object per line, rotated. A full disk costs it lines, and nothing else."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from console.logs.settings import LogSettings
from learner.disk import AppendedFile, DiskFull, drop_unfinished_line

_log = logging.getLogger(__name__)


class JsonLine(logging.Formatter):
    """A record as JSON: time (UTC, ISO 8601), level, logger, message, process, pid, thread, and the exception if any.

    process: its name for people
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        line: dict[str, str | int | None] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": self._process,
            "pid": record.process,
            "thread": record.threadName,
        }
        exception = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        if exception:
            line["exception"] = exception
        return json.dumps(line, ensure_ascii=False)


class LogFile(RotatingFileHandler):
    """Whole lines, whatever the disk does: one that finds no room is counted, and the next that does tells how many.

    The folder is made with the first line.
    """

    def __init__(self, path: Path, process: str, settings: LogSettings) -> None:
        # With `delay` the base class opens nothing: the lines go through a file that knows of full disks.
        super().__init__(path, maxBytes=settings.file_bytes, backupCount=settings.files - 1, delay=True)
        self.setFormatter(JsonLine(process))
        self._path = path
        self._file: AppendedFile | None = None
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, after others were put aside where they fill the file."""
        try:
            self._write(record)
        except (OSError, DiskFull) as error:
            self._lost += 1
            if self._lost == 1:  # on its way to the terminal; for this file it is one more that is lost
                _log.warning("the log %s cannot be written: %s; lines are lost until it can", self._path, error)
        except Exception:  # noqa: BLE001  # as every handler of the standard library
            self.handleError(record)

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file is not None:
            self._file.close()
        self._file = None
        super().close()

    def _write(self, record: logging.LogRecord) -> None:
        if self._lost:
            self._append(gap(self._lost, "they could not be written"))
            self._lost = 0
        self._append(record)

    def _append(self, record: logging.LogRecord) -> None:
        line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
        file = self._opened()
        if file.size_bytes and file.size_bytes + len(line) > self.maxBytes:
            file.close()
            self._file = None
            self.doRollover()
            file = self._opened()
        file.append(line)

    def _opened(self) -> AppendedFile:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            drop_unfinished_line(self._path)
            self._file = AppendedFile(self._path)
        return self._file


def gap(lost: int, why: str) -> logging.LogRecord:
    """What stands where lines are missing."""
    message = f"{lost} lines are missing here: {why}"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)
