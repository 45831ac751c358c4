"""What terminals send: keys, reports and answers, whole or in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from teleop.keyboard.decode import Attributes, Decoder, FocusReport, ModeReport, Token, Typed

SENT: dict[bytes, Token] = {
    b"\x1b[A": Typed("up"),
    b"\x1bOB": Typed("down"),  # application mode
    b"\x1b[1;2C": Typed("right"),  # with Shift
    b"\x1b[1;5D": Typed(""),  # with Ctrl: the desktop's, not ours
    b"\x1b[5~": Typed("page_up"),
    b"\x1b[15~": Typed(""),  # F5
    b"w": Typed("w"),
    b"W": Typed("w"),
    "ц".encode(): Typed("ц"),
    b" ": Typed("space"),
    b"\r": Typed("enter"),
    b"\n": Typed("enter"),
    b"\x7f": Typed("backspace"),
    b"\b": Typed("backspace"),
    b"\t": Typed("tab"),
    b"\x13": Typed(""),  # Ctrl+S
    b"\x1b[I": FocusReport(focused=True),
    b"\x1b[O": FocusReport(focused=False),
    b"\x1b[?1004;2$y": ModeReport(known=True),
    b"\x1b[?1004;0$y": ModeReport(known=False),
    b"\x1b[?64;1;2c": Attributes(),
}


@pytest.mark.parametrize(("sent", "token"), SENT.items())
def test_each_sequence_has_its_meaning(sent: bytes, token: Token) -> None:
    decoder = Decoder()
    assert decoder.feed(sent) == [token]
    assert not decoder.waiting


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(SENT)), max_size=8), st.data())
def test_cut_into_any_pieces_it_means_the_same(sent: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    decoder = Decoder()
    tokens = [
        token
        for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
        for token in decoder.feed(whole[begin:end])
    ]
    assert tokens == [SENT[one] for one in sent]


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_at_all_break_it_and_nothing_waits_after_a_flush(noise: bytes) -> None:
    decoder = Decoder()
    decoder.feed(noise)
    decoder.flush()
    assert not decoder.waiting


def test_a_lone_esc_is_the_key_once_no_more_comes() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.waiting
    assert decoder.flush() == [Typed("esc")]


@pytest.mark.parametrize("among", [b"\x1b\x1b[A", b"\x1ba", b"\x1b\x1b"])
def test_no_esc_is_lost_among_other_keys(among: bytes) -> None:
    decoder = Decoder()
    assert Typed("esc") in decoder.feed(among) + decoder.flush()
