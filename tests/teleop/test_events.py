"""The latch: what is pressed between two ticks is heeded once, whoever presses it."""

from __future__ import annotations

import threading

from robot.safety.emergency import EmergencyStop
from teleop.events import EventLatch, TeleopEvent


def test_presses_are_handed_out_once_in_their_order() -> None:
    latch = EventLatch(lambda _: None)
    pressed = [TeleopEvent.TAKE_OVER, TeleopEvent.SUCCESS, TeleopEvent.TAKE_OVER]
    for event in pressed:
        latch.press(event, "key")
    assert latch.take() == pressed
    assert latch.take() == []


def test_an_emergency_stop_waits_for_no_tick() -> None:
    stopped: list[str] = []
    latch = EventLatch(stopped.append)
    latch.press(TeleopEvent.EMERGENCY_STOP, "gamepad: back")
    assert stopped == ["gamepad: back"]
    assert latch.take() == []


def test_a_pause_after_an_emergency_stop_lets_the_arm_move_again_and_pauses_nothing() -> None:
    emergency = EmergencyStop()
    latch = EventLatch(emergency.press, emergency.reset)
    latch.press(TeleopEvent.EMERGENCY_STOP, "esc")
    latch.press(TeleopEvent.PAUSE, "p")
    assert not emergency.is_pressed
    assert latch.take() == []
    latch.press(TeleopEvent.PAUSE, "p")
    assert latch.take() == [TeleopEvent.PAUSE]


def test_many_threads_lose_and_double_nothing() -> None:
    latch, taken = EventLatch(lambda _: None), list[TeleopEvent]()
    events = (TeleopEvent.SUCCESS, TeleopEvent.FAILURE, TeleopEvent.PAUSE)

    def press(event: TeleopEvent) -> None:
        for _ in range(2000):
            latch.press(event, "key")

    threads = [threading.Thread(target=press, args=(event,)) for event in events]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken += latch.take()
    taken += latch.take()
    assert [taken.count(event) for event in events] == [2000] * 3
