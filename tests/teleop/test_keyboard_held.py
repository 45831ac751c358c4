"""Keys held, tapped and typed: none lost or doubled, and no motion without one, whatever the focus does."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from teleop.keyboard.held import REPEAT_S, TAP_S, HeldKeys
from waiting import Clock

KEYS = st.sampled_from(["up", "w", "r", "esc", "ctrl"])


class HandOnAKeyboard(RuleBasedStateMachine):
    """Held against what the history of presses says."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.keys = HeldKeys("esc", 0.2, self.clock)
        self.down: set[str] = set()
        self.history: list[tuple[str, str, float]] = []  # what happened to which key, and when

    @initialize(focused=st.booleans())
    def begin(self, focused: bool) -> None:
        self.note("focus" if focused else "blur")
        self.keys.focus(focused)

    def note(self, what: str, key: str = "") -> None:
        self.history.append((what, key, self.clock.now_s))

    @property
    def focused(self) -> bool:
        return next(what for what, _, _ in reversed(self.history) if what in ("focus", "blur")) == "focus"

    @rule(key=KEYS)
    def goes_down_or_repeats(self, key: str) -> None:
        free = "ctrl" not in self.down or key == "esc"
        expected = key not in self.down and self.focused and free
        assert self.keys.press(key) == expected
        self.down.add(key)
        if expected:
            self.note("counts", key)

    @rule(key=KEYS)
    def goes_up(self, key: str) -> None:
        known = key in self.down
        self.down.discard(key)
        self.keys.release(key)
        if known:
            self.note("up", key)
        elif key != "ctrl":
            for other in self.down:
                self.note("up", other)

    @rule(focused=st.booleans())
    def focus_changes(self, focused: bool) -> None:
        if focused != self.focused:
            self.down.discard("ctrl")
            self.note("focus" if focused else "blur")
        self.keys.focus(focused)

    @rule(seconds=st.sampled_from([0.03, 0.1, TAP_S + 0.1]))
    def time_passes(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule()
    def tick(self) -> None:
        assert self.keys.moving() == {key for key in ("up", "w", "r", "esc", "ctrl") if self.moves(key)}
        self.note("tick")

    def moves(self, key: str) -> bool:
        """Held since a press that counts, or pressed since the last tick and not long ago; never across the focus."""
        tapped, held = True, True
        for what, other, at_s in reversed(self.history):
            if what in ("focus", "blur"):
                return False
            if what == "tick":
                tapped = False
            elif other == key and what == "up":
                held = False
            elif other == key and what == "counts" and (held or (tapped and self.clock.now_s - at_s <= TAP_S)):
                return True
        return False

    @invariant()
    def focus_is_what_was_told(self) -> None:
        assert not self.history or self.keys.focused == self.focused


TestHandOnAKeyboard = HandOnAKeyboard.TestCase
TestHandOnAKeyboard.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def focused(clock: Clock) -> HeldKeys:
    keys = HeldKeys("esc", 0.2, clock)
    keys.focus(True)
    return keys


def test_a_tap_between_two_ticks_moves_one_tick_and_no_second_one() -> None:
    keys = focused(Clock())
    keys.press("up")
    keys.release("up")
    assert keys.moving() == {"up"}
    assert keys.moving() == frozenset()


def test_a_tap_that_no_tick_took_is_forgotten_but_a_key_still_held_moves() -> None:
    clock = Clock()
    keys = focused(clock)
    keys.press("up")
    keys.release("up")
    keys.press("w")
    clock.now_s += TAP_S + 0.1  # between two episodes
    assert keys.moving() == {"w"}


def test_before_any_proof_of_the_focus_presses_wait_and_then_count_in_their_order() -> None:
    keys = HeldKeys("esc", 0.2, Clock())
    assert not keys.press("space")
    keys.release("space")
    assert not keys.press("up")
    assert keys.moving() == frozenset()
    assert keys.prove() == ["space", "up"]
    assert keys.moving() == {"space", "up"}
    assert keys.moving() == {"up"}
    assert keys.prove() == []


def test_what_was_pressed_before_the_window_got_the_focus_was_meant_for_another() -> None:
    keys = HeldKeys("esc", 0.2, Clock())
    keys.press("up")
    keys.focus(True)
    assert keys.prove() == []
    assert not keys.press("up")  # it repeats, still held down from there
    assert keys.moving() == frozenset()
    keys.release("up")
    assert keys.press("up")


def test_a_typed_character_moves_for_its_time_and_repeats_prolong_it() -> None:
    clock = Clock()
    keys = HeldKeys("esc", 0.2, clock)
    assert keys.type("up")
    for _ in range(5):
        clock.now_s += 0.15
        assert not keys.type("up")  # the terminal repeats: one press
        assert keys.moving() == {"up"}
    clock.now_s += 0.21
    assert keys.moving() == frozenset()
    clock.now_s += REPEAT_S
    assert keys.type("up")


def test_a_typed_character_moves_one_tick_though_that_comes_late() -> None:
    clock = Clock()
    keys = HeldKeys("esc", 0.2, clock)
    keys.type("up")
    clock.now_s += 0.3
    assert keys.moving() == {"up"}
    assert keys.moving() == frozenset()


def test_losing_the_source_lets_go_of_all() -> None:
    keys = focused(Clock())
    keys.press("up")
    keys.forget()
    assert keys.moving() == frozenset()
    assert keys.press("up")
