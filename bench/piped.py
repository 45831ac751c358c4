"""A process of a benchmark at the end of a pipe: it answers each question with one message, and ends when told to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from bench.forking import forking
from bench.turns import BenchError

ANSWER_S = 300.0  # a busy machine imports torch in a minute
END_S = 30.0


class Piped:
    """The parent's end. The process says something when it is ready: `ready`; None tells it to end.

    serve: called in the process with `arguments` and its end of the pipe, so it must be importable there
    """

    def __init__(self, name: str, serve: Callable[..., None], *arguments: Any) -> None:
        context = forking()
        self._name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(*arguments, theirs), daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.ready = self.receive()
        except BaseException:
            self.close()
            raise

    def send(self, question: Any) -> None:
        """Ask for something; `receive` gets the answer."""
        self._pipe.send(question)

    def receive(self) -> Any:
        """The next answer; raise `BenchError` when there will be none."""
        try:
            if self._pipe.poll(ANSWER_S):
                return self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise BenchError(f"{self._name}: its process ended unasked; its own message stands above") from error
        raise BenchError(f"{self._name}: no answer within {ANSWER_S:.0f} s; is this machine busy?")

    def close(self) -> None:
        """End the process: asked to, and killed if it does not listen."""
        with suppress(BrokenPipeError):  # it has ended already
            self._pipe.send(None)
        self._process.join(timeout=END_S)
        self._process.kill()
        self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
