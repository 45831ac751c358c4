"""What LeRobot 0.6 sends: its own service, streams and serialisation, over the proxy that counts for both sides.

Nothing of LeRobot is patched. It takes queues and an event of `multiprocessing`, or of threads when its setting
`concurrency` says so; here they are threads.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import torch
from lerobot.rl.actor import push_transitions_to_transport_queue, transitions_stream
from lerobot.rl.learner import push_actor_policy_to_queue
from lerobot.rl.learner_service import MAX_WORKERS, LearnerService
from lerobot.transport import services_pb2, services_pb2_grpc
from lerobot.transport.utils import MAX_MESSAGE_SIZE, bytes_to_state_dict, bytes_to_transitions, grpc_channel_options
from numpy.typing import NDArray
from torch import Tensor

from bench.lerobot_learner import build_algorithm
from bench.proxy import LOOPBACK, Proxy, Way
from policy.experience import Observation, Step

WAIT_S = 120.0
QUEUE_S = 0.02


def lerobot_bytes(steps: Sequence[Step], cameras: int, seed: int) -> tuple[float, float]:
    """Bytes that one transition of an episode and one push of weights take on the wire: (step, push).

    steps: one episode; LeRobot sends it as a whole, at its end
    """
    shutdown = threading.Event()
    transitions: queue.Queue[bytes] = queue.Queue()
    weights: queue.Queue[bytes] = queue.Queue()
    logging.getLogger().setLevel(logging.WARNING)
    with service(shutdown, transitions, weights) as port, Proxy(port) as proxy:
        options = grpc_channel_options(MAX_MESSAGE_SIZE, MAX_MESSAGE_SIZE)
        with grpc.insecure_channel(proxy.address, options) as channel:
            stub = services_pb2_grpc.LearnerServiceStub(channel)
            stub.Ready(services_pb2.Empty(), timeout=WAIT_S)
            outgoing: queue.Queue[bytes] = queue.Queue()
            before = proxy.bytes_forwarded(Way.UP)
            sending = stub.SendTransitions.future(transitions_stream(shutdown, outgoing, QUEUE_S))
            push_transitions_to_transport_queue(_transitions(steps), outgoing)
            arrived = bytes_to_transitions(transitions.get(timeout=WAIT_S))
            assert len(arrived) == len(steps)
            per_step = (proxy.bytes_forwarded(Way.UP) - before) / len(steps)

            before = proxy.bytes_forwarded(Way.DOWN)
            push_actor_policy_to_queue(weights, build_algorithm(cameras, seed))
            bytes_to_state_dict(_first_message(stub.StreamParameters(services_pb2.Empty(), timeout=WAIT_S)))
            per_push = float(proxy.bytes_forwarded(Way.DOWN) - before)
            shutdown.set()
            sending.result(WAIT_S)
    return per_step, per_push


@contextmanager
def service(shutdown: threading.Event, transitions: queue.Queue[bytes], weights: queue.Queue[bytes]) -> Iterator[int]:
    """LeRobot's learner service on a free port, as `lerobot.rl.learner.start_learner` sets it up."""
    server = grpc.server(
        ThreadPoolExecutor(MAX_WORKERS),
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_SIZE),
            ("grpc.max_send_message_length", MAX_MESSAGE_SIZE),
        ],
    )
    service = LearnerService(shutdown, weights, 0.0, transitions, queue.Queue(), queue_get_timeout=QUEUE_S)
    services_pb2_grpc.add_LearnerServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    try:
        yield port
    finally:
        shutdown.set()
        server.stop(grace=1.0).wait()


def _first_message(stream: Any) -> bytes:
    """The chunks of the first push, put together as `receive_bytes_in_chunks` does."""
    data = b""
    for part in stream:
        data += part.data
        if part.transfer_state == services_pb2.TransferState.TRANSFER_END:
            break
    stream.cancel()
    return data


def _transitions(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Transitions as `lerobot.rl.actor.act_with_policy` makes them, from our frames; they carry the next state too."""
    following = [step.observation for step in steps[1:]] + [_final(steps[-1])]
    return [
        {
            "state": observation(step.observation),
            "action": torch.from_numpy(step.action),
            "reward": step.reward,
            "next_state": observation(after),
            "done": step.terminated,
            "truncated": step.truncated,
            "complementary_info": {"discrete_penalty": torch.tensor([0.0]), "is_intervention": True},
        }
        for step, after in zip(steps, following, strict=True)
    ]


def _final(last: Step) -> Observation:
    assert last.final is not None  # a whole episode
    return last.final


def observation(seen: Observation) -> dict[str, Tensor]:
    """float32 in 0..1, channels first, with a batch dimension: what `VanillaObservationProcessorStep` hands on."""
    images = {f"observation.images.{name}": _image(frame) for name, frame in seen.frames.items()}
    return images | {"observation.state": torch.from_numpy(seen.proprioception)[None]}


def _image(frame: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float().contiguous() / 255.0
