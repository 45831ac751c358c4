"""Latest wins: a publisher never queues, and whoever waits is woken."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest

from learner.publisher import PolicyPublisher, Published, PublisherError


def test_versions_count_from_one_above_the_start() -> None:
    publisher = PolicyPublisher(start_version=7)
    assert publisher.latest() is None
    assert publisher.publish(b"weights") == 8
    assert publisher.publish(b"more") == 9
    assert publisher.latest() == Published(9, hashlib.sha256(b"more").digest(), b"more")


def test_only_newer_snapshots_are_given() -> None:
    publisher = PolicyPublisher()
    publisher.publish(b"one")
    newest = publisher.wait_newer(0, 0)
    assert newest is not None
    assert newest.version == 1
    assert publisher.wait_newer(1, 0) is None


def test_a_waiting_reader_wakes_at_the_next_snapshot() -> None:
    publisher = PolicyPublisher()
    threading.Timer(0.05, publisher.publish, (b"late",)).start()
    begun = time.monotonic()
    newest = publisher.wait_newer(0, 10.0)
    assert newest is not None
    assert newest.data == b"late"
    assert time.monotonic() - begun < 5


def test_closing_wakes_waiting_readers_at_once() -> None:
    publisher = PolicyPublisher()
    threading.Timer(0.05, publisher.close).start()
    begun = time.monotonic()
    assert publisher.wait_newer(0, 10.0) is None
    assert time.monotonic() - begun < 5
    assert publisher.closed


def test_many_writers_never_share_a_version() -> None:
    publisher = PolicyPublisher()
    versions: list[int] = []

    def publish() -> None:
        for _ in range(50):
            versions.append(publisher.publish(b"x"))  # noqa: PERF401  # each call is the point

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == list(range(1, 201))  # 4 threads, 50 snapshots each


def test_nothing_and_negative_versions_are_refused() -> None:
    with pytest.raises(PublisherError, match="0 bytes"):
        PolicyPublisher().publish(b"")
    with pytest.raises(PublisherError, match="-1"):
        PolicyPublisher(start_version=-1)
