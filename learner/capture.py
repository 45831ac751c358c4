"""An update as CUDA graphs: hundreds of small kernels, launched by one call instead of one by one.

Recording follows PyTorch's notes on whole-network capture: the inputs lie where they lie for ever, a few updates run
unrecorded on the stream of the recording, and everything that changes is an input. HIP graphs (ROCm) are reached by
the same calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch

from learner.inputs import Inputs, Kind
from policy.errors import NudgeError

WARM_UPS = 3  # updates of a kind before it is recorded: libraries choose kernels, optimisers make their state

Step = Callable[[Kind, Inputs], None]
Work = Callable[[], None]


class CaptureError(NudgeError):
    """The update could not be recorded as a graph."""


class Recorder(Protocol):
    """What a device does to repeat work."""

    def aside(self, work: Work) -> None:
        """Do the work now, where it will be recorded."""
        ...

    def record(self, work: Work) -> Work:
        """Record the work without doing it; what is returned does it, on whatever its tensors hold by then."""
        ...


class RecordedStep:
    """Runs a step of the update: each kind for itself at first as it stands, then recorded, then from the record.

    step: reads nothing that changes but its inputs, and never waits for the device
    """

    def __init__(self, step: Step, recorder: Recorder) -> None:
        self._step = step
        self._recorder = recorder
        self._inputs: dict[Kind, Inputs] = {}
        self._warm_ups: dict[Kind, int] = {}
        self._records: dict[Kind, Work] = {}

    def __call__(self, kind: Kind, inputs: Inputs) -> None:
        """One step."""
        if kind in self._inputs:
            self._inputs[kind].overwrite(inputs)
        else:
            self._inputs[kind], self._warm_ups[kind] = inputs.copy(), 0
        if kind in self._records:
            self._records[kind]()
        elif self._warm_ups[kind] < WARM_UPS:
            self._warm_ups[kind] += 1
            self._recorder.aside(lambda: self._step(kind, self._inputs[kind]))
        else:
            self._records[kind] = self._recorder.record(lambda: self._step(kind, self._inputs[kind]))
            self._records[kind]()

    def forget(self) -> None:
        """Record anew: the tensors that the step works on were replaced."""
        for held in (self._inputs, self._warm_ups, self._records):
            held.clear()


class GraphRecorder:
    """CUDA or HIP graphs on one device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # One stream for warming up and recording: on ROCm, libraries make their handles per stream, and may not do so
        # while it is recorded.
        self._stream = torch.cuda.Stream(device)

    def aside(self, work: Work) -> None:
        """Do the work on the side stream, in order with what the current stream does before and after."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def record(self, work: Work) -> Work:
        """Record the work as a graph. Raise `CaptureError` when the device cannot."""
        graph = torch.cuda.CUDAGraph()
        try:
            # Thread-local: the thread that encodes may take memory of the device meanwhile.
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"),
            ):
                work()
        except RuntimeError as error:
            raise CaptureError(
                f"the update cannot be recorded as a graph on {torch.cuda.get_device_name(self._device)}: {error}; set "
                f"sac.capture to 'off', which is slower, and report this"
            ) from error
        return graph.replay
