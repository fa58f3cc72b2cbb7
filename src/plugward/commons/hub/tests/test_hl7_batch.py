"""Batches: every message comes out byte for byte, whatever stands around it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugward.commons.hub.hl7 import Hl7Error, from_text, is_batch, parse, read_batch, write_batch


def adt(control_id: str, name: str = "张示例", end: str = "\r") -> bytes:
    lines = (
        f"MSH|^~\\&|REG|C1|HUB|C1|20261122||ADT^A28^ADT_A05|{control_id}|P|2.5.1||||||"
        "UNICODE UTF-8",
        f"PID|1||P1||{name}",
    )
    return "".join(line + end for line in lines).encode()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])), max_size=5))
def test_what_is_written_is_read_back_byte_for_byte(names: list[str]) -> None:
    messages = [
        from_text(adt(str(n)).decode()).edit({"PID-5": name}) for n, name in enumerate(names)
    ]
    batch = read_batch(write_batch(messages))
    batch.check()
    assert list(batch.messages) == [message.raw for message in messages]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_a_batch_of_any_line_ends_is_cut(end: str) -> None:
    head, tail = f"FHS|^~\\&|批量|C1{end}BHS|^~\\&|REG{end}", f"BTS|2{end}FTS|1{end}"
    raw = head.encode() + adt("1", end=end) + adt("2", end=end) + tail.encode()
    batch = read_batch(raw)
    assert is_batch(raw)
    assert [line.name for line in batch.envelopes] == ["FHS", "BHS", "BTS", "FTS"]
    assert batch.envelopes[0].field(3) == "批量"
    assert batch.messages == (adt("1", end=end), adt("2", end=end))
    assert [parse(one)["MSH-10"] for one in batch.messages] == ["1", "2"]


def test_a_trailer_that_counts_wrongly_is_refused() -> None:
    batch = read_batch(b"BHS|^~\\&|REG\r" + adt("1") + b"BTS|2\r")
    with pytest.raises(Hl7Error, match="BTS-1 says 2 messages, 1 are there"):
        batch.check()


def test_a_line_outside_of_every_message_is_refused() -> None:
    with pytest.raises(Hl7Error, match="line 2 belongs to no message"):
        read_batch(b"BHS|^~\\&|REG\rPID|1\r")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_batch_or_an_error(raw: bytes) -> None:
    for start in (b"", b"FHS", b"BHS|^~\\&|", b"MSH|^~\\&|"):
        try:
            read_batch(start + raw)
        except Hl7Error:
            continue
