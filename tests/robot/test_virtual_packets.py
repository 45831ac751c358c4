"""The bytes of the Feetech protocol: what LeRobot's SDK packs is read, and nothing on the wire can do harm."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lerobot.motors.encoding_utils import decode_sign_magnitude, encode_sign_magnitude
from lerobot.motors.feetech.tables import STS_SMS_SERIES_CONTROL_TABLE, STS_SMS_SERIES_ENCODINGS_TABLE

from robot.virtual.assembly import assemble
from robot.virtual.packets import LONGEST_PAUSE_S, Instruction, Packet, PacketReader
from robot.virtual.registers import REGISTERS, Register

PACKETS = st.builds(Packet, st.integers(0, 254), st.integers(0, 255), st.binary(max_size=248))
REQUESTS = st.builds(
    Packet, st.sampled_from([1, 6, 254]), st.sampled_from(Instruction) | st.integers(0, 255), st.binary(max_size=20)
)
BAUD = 1_000_000
few = settings(max_examples=40, deadline=None)


def test_a_packet_is_packed_as_the_protocol_says() -> None:
    # Read 2 bytes from address 56 of servo 1: ~(1 + 4 + 2 + 56 + 2) & 255 = ~65 & 255 = 190.
    assert Packet(1, 2, bytes((56, 2))).pack() == bytes((0xFF, 0xFF, 1, 4, 2, 56, 2, 190))


@few
@given(st.lists(PACKETS, max_size=4), st.data())
def test_packets_are_read_however_the_bytes_are_cut(packets: list[Packet], data: st.DataObject) -> None:
    sent, reader = b"".join(packet.pack() for packet in packets), PacketReader()
    read: list[Packet] = []
    while sent:
        cut = data.draw(st.integers(1, len(sent)))
        read += reader.feed(sent[:cut], 0.0)
        sent = sent[cut:]
    assert read == packets


@few
@given(PACKETS, st.data())
def test_a_wrong_bit_is_never_taken_for_the_packet(packet: Packet, data: st.DataObject) -> None:
    sent = bytearray(packet.pack())
    sent[data.draw(st.integers(0, len(sent) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert packet not in PacketReader().feed(bytes(sent), 0.0)


@few
@example(noise=b"\xff\xff\x01\xc8\x03", packet=Packet(1, 1))  # the beginning of 204 bytes
@given(noise=st.binary(max_size=300), packet=PACKETS)
def test_after_noise_and_a_pause_the_next_packet_is_read(noise: bytes, packet: Packet) -> None:
    reader = PacketReader()
    reader.feed(noise, 0.0)
    assert reader.feed(packet.pack(), 2 * LONGEST_PAUSE_S) == [packet]


def test_noise_before_a_packet_does_not_hide_it() -> None:
    packet = Packet(3, 1)
    for noise in (b"\xff", b"\xff\xff", b"\xff\xff\xff", b"\x00\xff\xff\x01\x01", b"\xff\xff\x01\xfb"):
        assert PacketReader().feed(noise + packet.pack(), 0.0) == [packet], noise


def test_the_registers_are_those_of_lerobots_table() -> None:
    ours = {it.name: (it.address, it.size) for it in REGISTERS}
    # Two names for one address: LeRobot lists both.
    theirs = {name: place for name, place in STS_SMS_SERIES_CONTROL_TABLE.items() if name != "Moving_Velocity"}
    assert ours == theirs
    signs = {it.name: it.sign_bit for it in REGISTERS if it.sign_bit is not None}
    assert signs == {name: bit for name, bit in STS_SMS_SERIES_ENCODINGS_TABLE.items() if name in ours}


@pytest.mark.parametrize("register", [it for it in REGISTERS if it.sign_bit is not None], ids=lambda it: it.name)
@few
@given(value=st.integers(-40_000, 40_000))
def test_signs_are_encoded_as_lerobot_decodes_them(register: Register, value: int) -> None:
    assert register.sign_bit is not None
    largest = (1 << register.sign_bit) - 1
    kept = max(-largest, min(largest, value))
    encoded = register.encode(value)
    assert decode_sign_magnitude(int.from_bytes(encoded, "little"), register.sign_bit) == kept
    assert register.decode(encode_sign_magnitude(kept, register.sign_bit).to_bytes(2, "little")) == kept


@few
@example(
    requests=[Packet(1, Instruction.READ, bytes((0, 255))), Packet(254, Instruction.SYNC_READ, bytes((0, 255, 1)))]
)
@given(requests=st.lists(REQUESTS, max_size=8))
def test_no_request_can_break_a_servo(requests: list[Packet]) -> None:
    bus = assemble("follower", random.Random(0))
    for request in requests:
        answer = bus.answer(request, BAUD)
        # Whatever is answered is packets, whole ones.
        assert b"".join(it.pack() for it in PacketReader().feed(answer.sent, 0.0)) == answer.sent
        for servo in bus.servos:
            servo.drive(0.005)
