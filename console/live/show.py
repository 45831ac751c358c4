"""What is seen and thought at the control rate, in a thread of its own; pages look at what it holds up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from actor.clock import Deadlines
from console.live.watch import Seen, Watched
from console.web.page_parts import png_url
from policy.errors import NudgeError
from policy.wire import encode_png

PAUSE_S = 1.0  # between two episodes, so that one sees how the first ended
RATE_TICKS = 20  # over so many the rate is measured


@dataclass(frozen=True, slots=True)
class Point:
    """A tick of the curve."""

    probability: float
    pays: bool
    begins: bool


@dataclass(frozen=True, slots=True)
class Held:
    """The newest tick.

    number: from 1; pictures: camera -> URL; points: of the curve, the newest last
    rate_hz: ticks per second lately; 0 before there are two
    """

    number: int
    watched: Watched
    pictures: dict[str, str]
    points: tuple[Point, ...]
    rate_hz: float


class LiveShow(threading.Thread):
    """Watches until it is stopped, or until there is nothing more to see.

    latest: None before the first tick; trouble: what ended it, None while all is well
    points: of how many ticks the curve is
    """

    def __init__(
        self,
        watched: Callable[[Generator[Seen]], Generator[Watched]],
        source: Generator[Seen],
        hz: float,
        history_s: float,
    ) -> None:
        super().__init__(name="live", daemon=True)
        self.hz = hz
        self.latest: Held | None = None
        self.points = round(history_s * hz)
        self._points: deque[Point] = deque(maxlen=self.points)
        self.trouble: BaseException | None = None
        self._watched, self._source = watched, source
        self._begun, self._stopping = threading.Event(), threading.Event()
        self._times_s: deque[float] = deque(maxlen=RATE_TICKS)

    def run(self) -> None:
        """One tick after the other. All that the source opens it opens, uses and closes in this thread."""
        try:
            with closing(self._source), closing(self._paced()) as paced, closing(self._watched(paced)) as watched:
                for each in watched:
                    if self._stopping.is_set():
                        break
                    self._hold_up(each)
        except NudgeError as error:
            self.trouble = error
        except BaseException as error:
            self.trouble = error
            raise
        finally:
            self._begun.set()

    def await_first(self) -> None:
        """Wait for the first tick; raise what has prevented it."""
        self._begun.wait()
        if self.trouble is not None:
            raise self.trouble

    def stop(self) -> None:
        """End, and wait until everything is closed."""
        self._stopping.set()
        self.join()

    def _paced(self) -> Generator[Seen]:
        """The source's ticks at the control rate, with a pause before each new episode."""
        deadlines = Deadlines(self.hz)
        for number, seen in enumerate(self._source):
            if seen.begins and number:
                self._stopping.wait(PAUSE_S)
                deadlines.start()
                self._times_s.clear()
            yield seen
            deadlines.wait()

    def _hold_up(self, watched: Watched) -> None:
        pictures = {name: png_url(encode_png(frame)) for name, frame in watched.seen.observation.frames.items()}
        number = 1 if self.latest is None else self.latest.number + 1
        self._points.append(Point(watched.opinion.probability, watched.opinion.pays, watched.seen.begins))
        self._times_s.append(time.monotonic())
        times_s = self._times_s
        rate_hz = (len(times_s) - 1) / (times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0
        self.latest = Held(number, watched, pictures, tuple(self._points), rate_hz)
        self._begun.set()
