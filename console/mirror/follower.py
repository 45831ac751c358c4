"""Sends what is new in a run to one service, again and again; what fails is said once and tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from console.mirror.sent import Sent, SentFile
from console.mirror.settings import Service
from console.mirror.sink import Identity, Sink, destination, open_sink
from console.mirror.tail import new_episodes, new_evaluations, new_readings
from console.settings import Settings
from policy.errors import NudgeError
from policy.file_lock import FileLock

SOURCES = (new_readings, new_episodes, new_evaluations)
# What lets two runs be compared. Addresses, key files, cameras and ports of this station are nobody's business.
TOLD_SECTIONS = ("task", "operator", "loop", "learner", "evaluation")


def told_settings(settings: Settings) -> dict[str, Any]:
    """What a service is told of the settings of a run."""
    told = settings.model_dump(mode="json", include={"preset_name", "run", "seed", *TOLD_SECTIONS})
    return {**told, "contract_hash": settings.contract.hash, "control_hz": settings.contract.control_hz}


class Mirror:
    """A run at one service. Raise `NudgeError` for what the service or a file of the run refuses.

    The run is opened there only when there is something to tell. One at a time: `LockHeld` for another one.
    patient: its end may take as long as it takes
    """

    def __init__(self, service: Service, settings: Settings, *, patient: bool) -> None:
        self.service, self.settings, self._patient = service, settings, patient
        self.where = destination(service, settings.mirror)
        self._lock = FileLock(
            settings.folder / f".mirror-{service}.lock",
            f"mirror: another process sends run {settings.run} to {service} already, perhaps beside its learner; two "
            f"would send everything twice: end that one first",
        )
        self._file = SentFile(settings.folder, service)
        self._sink: Sink | None = None
        self._identity: Identity | None = None

    def look(self) -> int:
        """Send what is new; returns how many points that was."""
        count = 0
        for news in SOURCES:
            before = self._file.sent(self.where)
            points, after = news(self.settings.folder, before)
            if after == before:
                continue
            if points:
                sink = self._open(after)
                for number, point in enumerate(points, start=after.points):
                    sink.send(number, point)
                sink.settle()
            after = after.model_copy(update={"points": after.points + len(points)})
            self._file.remember(self.where, after)
            count += len(points)
        return count

    def close(self) -> None:
        """Return when all of it is where it belongs; others may send then."""
        try:
            self._close_sink()
        finally:
            self._lock.close()

    def _close_sink(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.close()

    def _open(self, sent: Sent) -> Sink:
        identity = self._file.identity(self.settings.run, sent)
        if self._sink is None or identity != self._identity:
            self._close_sink()
            self._sink = open_sink(
                self.service,
                self.settings.mirror,
                self.settings.folder,
                identity,
                told_settings(self.settings),
                patient=self._patient,
            )
            self._identity = identity
        return self._sink


def follow(mirror: Mirror, stop: threading.Event, say: Callable[[str], None]) -> None:
    """Send until somebody says stop, and then what is left. Raises what goes wrong at the very end."""
    chosen, told = mirror.settings.mirror, ""
    while not stop.is_set():
        wait_s = chosen.every_s
        try:
            mirror.look()
        except NudgeError as error:
            wait_s = chosen.retry_s
            if str(error) != told:
                told = str(error)
                say(f"{told}\nit is tried again every {chosen.retry_s:g} s")
        else:
            if told:
                told = ""
                say("it goes on")
        stop.wait(wait_s)
    mirror.look()
    mirror.close()
