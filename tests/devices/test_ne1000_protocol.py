from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdl.devices._ne1000_protocol import (
    RATE_UNITS,
    PumpReply,
    basic_packet,
    crc16,
    format_number,
    format_rate,
    parse_reply,
    rate_limits,
    safe_packet,
    unpack_safe,
)

TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=250)


def test_crc_of_the_manual() -> None:
    """The packet that the manual prints for leaving safe mode comes out byte for byte (§10.2.2)."""
    assert safe_packet("SAF0") == b"\x02\x08SAF0\x55\x43\x03"


def test_crc_check_value() -> None:
    """The CRC is CRC-16/XMODEM: its published check value over 123456789 is 0x31C3."""
    assert crc16(b"123456789") == 0x31C3


def test_basic_packet_ends_with_a_carriage_return() -> None:
    """Basic mode has no frame but the carriage return."""
    assert basic_packet("00RAT") == b"00RAT\r"


@given(TEXT)
def test_safe_packets_round_trip(text: str) -> None:
    """What is packed comes out, and the length byte counts what remains, itself included."""
    packet = safe_packet(text)
    assert packet[1] == len(packet) - 1
    assert unpack_safe(packet[2:]) == text


@given(TEXT, st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_packet_is_refused(text: str, position: int, damage: int) -> None:
    """One wrong byte anywhere after the length is noticed."""
    rest = bytearray(safe_packet(text)[2:])
    rest[position % len(rest)] ^= damage
    with pytest.raises(ValueError, match=r"CRC|ETX"):
        unpack_safe(bytes(rest))


def test_too_long_a_packet_is_refused() -> None:
    """The length is one byte."""
    with pytest.raises(ValueError, match="251 characters"):
        safe_packet("A" * 251)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("00S", PumpReply(0, "S")),
        ("07I25.00UM", PumpReply(7, "I", data="25.00UM")),
        ("99A?R", PumpReply(99, "A", alarm="R")),
        ("00S?", PumpReply(0, "S", error="")),
        ("00S?OOR", PumpReply(0, "S", error="OOR")),
    ],
)
def test_replies(text: str, reply: PumpReply) -> None:
    """Address, status, alarm, error and data are told apart."""
    assert parse_reply(text) == reply


@pytest.mark.parametrize("text", ["", "S", "0S", "00", "00Q", "00A?Z", "xyz"])
def test_nonsense_is_no_reply(text: str) -> None:
    """What is not an address and a status is refused."""
    with pytest.raises(ValueError, match="not an address"):
        parse_reply(text)


@given(st.floats(0, 9999, allow_nan=False))
def test_numbers_have_four_digits(value: float) -> None:
    """At most four digits, at most three decimals, and as near as these allow."""
    text = format_number(value)
    digits = text.replace(".", "")
    assert digits.isdigit()
    assert len(digits) <= 4
    assert len(text.partition(".")[2]) <= 3
    assert float(text) == pytest.approx(value, abs=max(0.0005, value * 0.5e-3) * 1.001)


@pytest.mark.parametrize("value", [-1.0, 9999.6, 1e9, float("nan")])
def test_numbers_that_do_not_fit(value: float) -> None:
    """What four digits cannot hold is refused."""
    with pytest.raises(ValueError, match="four digits"):
        format_number(value)


@given(st.floats(0.05, 30_000))
def test_rates_keep_three_figures(rate: float) -> None:
    """Some unit writes every rate a pump can make to one part in two thousand."""
    number, unit = format_rate(rate)
    assert float(number) * RATE_UNITS[unit] == pytest.approx(rate, rel=5.1e-4)


@pytest.mark.parametrize(
    ("rate", "written"),
    [(25, ("25.00", "UM")), (0.1234, ("7.404", "UH")), (12_340, ("12.34", "MM"))],
)
def test_rates_prefer_microlitres_a_minute(rate: float, written: tuple[str, str]) -> None:
    """The unit is uL/min unless its four digits are too coarse or too small."""
    assert format_rate(rate) == written


def test_limits_of_the_manual() -> None:
    """A 60 mL syringe (26.59 mm) reaches 1699 mL/h, a 1 mL syringe (4.699 mm) goes down to 0.73 uL/h."""
    assert rate_limits(26.59)[1] * 60 / 1000 == pytest.approx(1699, rel=1e-3)
    assert rate_limits(4.699)[0] * 60 == pytest.approx(0.73, rel=5e-3)
