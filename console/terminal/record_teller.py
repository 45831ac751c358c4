"""What the terminal says while demonstrations are recorded: each one with its findings, the count, and the map."""

from __future__ import annotations

import threading

from rich.console import Console

from actor.episode import EpisodeOutcome
from actor.recording import RecordingLink
from console.demos.set_lines import finding_line, map_lines
from console.terminal.teller import Teller
from demos.recording import JudgedEpisode, Recording

DISK_S = 10.0  # a disk that takes longer for the last steps of an episode is told


class RecordTeller(Teller):
    """Tells each demonstration once it is on disk and judged; sets `stop` when there are as many as are wanted."""

    def __init__(
        self,
        console: Console,
        recording: Recording,
        link: RecordingLink,
        wanted: int,
        stop: threading.Event,
        *,
        person: bool,
    ) -> None:
        super().__init__(console, person=person)
        self._recording, self._link, self._wanted, self._stop = recording, link, wanted, stop

    def episode_ended(self, outcome: EpisodeOutcome) -> None:
        """Its line, what was found in it, how many count by now, and where the next one is worth most."""
        super().episode_ended(outcome)
        if not self._link.flush_to_disk(DISK_S):
            pause = self._link.pause
            self._say("red", f"it is not on disk yet: {'the disk is slow' if pause is None else pause.reason}")
            return
        for judged in self._recording.judge_new():
            self._tell(judged)
        if self._recording.sound >= self._wanted:
            self._stop.set()

    def _tell(self, judged: JudgedEpisode) -> None:
        for finding in judged.found:
            if finding.check != "success":  # which the line above has said
                style, line = finding_line(finding)
                self._say(style, f"        {line}")
        does_not = "" if judged.sound else "; this one does not count"
        self._say("", f"        {self._recording.sound} of {self._wanted} demonstrations{does_not}")
        covered = self._recording.coverage()
        if judged.sound and covered is not None:
            for line in map_lines(covered):
                self._say("", f"        {line}")
