"""The codec: what senders really send, read without loss, and answered in their own terms."""

import doctest
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugward.commons.hub import hl7
from plugward.commons.hub.hl7 import (
    Acknowledgement,
    ErrorCode,
    Hl7Error,
    Message,
    Separators,
    acknowledge,
    build,
    escape,
    from_text,
    header,
    parse,
    parse_path,
    read_answer,
    refuse_unread,
    unescape,
)

AT = datetime(2026, 11, 22, 2, 15, 1, tzinfo=UTC)  # 10:15:01 in the hospital

REGISTRATION = (
    "MSH|^~\\&|REG|C1|HUB|C1|20261122080010||ADT^A28^ADT_A05|REG000001|P|2.5.1|||AL|NE|CHN|{}\r"
    "EVN|A28|20261122080010\r"
    "PID|1||P0000001^^^C1&1.2.3&ISO^PI~440300199001010011^^^CN^NI||张示例||19900101|M\r"
    "PV1|1|N\r"
    "AL1|1|DA|ALG-PEN^青霉素^L|SV|皮疹|20200101\r"
)
RESULT = (
    "MSH|^~\\&|LIS|C1|HUB|C1|20261122101500||ORU^R01^ORU_R01|LIS000001|P|2.5.1\r"
    "PID|1||P0000001^^^C1^PI||ZHANG\r"
    "OBR|1|LO1|LR1|CBC^CBC^L\r"
    "OBX|1|NM|6690-2^WBC^LN||13.2|10*9/L|3.5-9.5|H|||F\r"
    "OBX|2|NM|718-7^HGB^LN||141|g/L|130-175|N|||F\r"
    "OBR|2|LO2|LR2|CRP^CRP^L\r"
    "OBX|1|TX|X^X^L||a \\T\\ b & c^d\r"
)

plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
marks = (
    st.lists(st.sampled_from(list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")), min_size=5, max_size=6,
             unique=True)
    .map(lambda chosen: Separators(*chosen))
)  # fmt: skip
leaf = st.one_of(st.none(), plain)
repetition = st.one_of(leaf, st.lists(leaf, min_size=1, max_size=4).map(tuple))


def registration(charset: str = "UNICODE UTF-8") -> Message:
    return parse(REGISTRATION.format(charset).encode("utf-8"))


# Reading


def test_a_path_names_component_repetition_and_subcomponent() -> None:
    message = registration()
    assert message["MSH-1"] == "|"
    assert message["MSH-2"] == "^~\\&"
    assert message["MSH-9.2"] == "A28"
    assert message["PID-3.1"] == "P0000001"
    assert message["PID-3[2].1"] == "440300199001010011"
    assert message["PID-3[2].5"] == "NI"
    assert message["PID-3.4.2"] == "1.2.3"
    assert message["PID-5"] == message["PID-5.1"] == message["PID-5[1].1.1"] == "张示例"
    assert message.count("PID-3") == 2
    assert message.count("OBX") == 0


@pytest.mark.parametrize("absent", ["PID-99", "PID-3[9]", "PID-3.9", "PID-5.1.2", "ZZZ-1", "PV2-3"])
def test_what_is_not_there_reads_as_empty(absent: str) -> None:
    assert registration()[absent] == ""


def test_the_third_result_is_found_by_its_number_and_by_its_group() -> None:
    message = parse(RESULT.encode())
    assert message["OBX[2]-5"] == "141"
    assert message["OBX[2]-3.2"] == "HGB"
    assert message["OBX-5"] == "13.2"
    first, second = message.groups("OBR")
    assert [segment.name for segment in first] == ["OBR", "OBX", "OBX"]
    assert first[2]["3.2"] == "HGB"
    assert str(second[1].at("5")) == "OBX[3]-5"


def test_a_finding_with_unescaped_delimiters_is_not_cut() -> None:
    """老系统的结论里常有未转义的 & 和 ^。"""
    message = parse(RESULT.encode())
    assert message.whole_text("OBX[3]-5") == "a & b & c^d"
    assert message.groups("OBR")[1][1].whole_text("5") == "a & b & c^d"


@pytest.mark.parametrize(
    "wrong", ["", "PID", "pid-1", "PID-0", "PID-1.", "PID[0]-1", "PID-1.1.1.1"]
)
def test_a_path_that_is_none_is_a_programming_error(wrong: str) -> None:
    if wrong == "PID":
        assert parse_path(wrong).field == 0
        return
    with pytest.raises(ValueError, match="not an HL7 path"):
        parse_path(wrong)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_every_way_senders_end_a_segment_is_read(end: str) -> None:
    message = parse(REGISTRATION.format("UNICODE UTF-8").replace("\r", end).encode())
    assert [segment.name for segment in message.segments()] == ["MSH", "EVN", "PID", "PV1", "AL1"]
    assert message["PID-8"] == "M"
    assert message["MSH-18"] == "UNICODE UTF-8"


def test_a_line_feed_inside_a_value_does_not_end_a_segment() -> None:
    message = parse(b"MSH|^~\\&|A|B|C|D|||ORU^R01|1|P|2.5.1\rOBX|1|TX|||first\nsecond\r")
    assert message["OBX-5"] == "first\nsecond"


def test_a_byte_order_mark_is_read_over_and_kept() -> None:
    raw = b"\xef\xbb\xbf" + REGISTRATION.format("").encode()
    assert parse(raw)["PID-5"] == "张示例"
    assert parse(raw).edit({"PID-5": "李示例"}).raw[:6] == b"\xef\xbb\xbfMSH"


# Character sets


@pytest.mark.parametrize("name", ["玕", "玘", "珅", "珇"])
@pytest.mark.parametrize("label", ["GB 18030-2000", "GB18030", "GBK", "GB2312", "CHINESE", ""])
def test_a_gb18030_second_byte_that_looks_like_a_delimiter_does_not_cut(
    name: str, label: str
) -> None:
    raw = REGISTRATION.format(label).replace("张示例", f"陈{name}^乙").encode("gb18030")
    message = parse(raw)
    assert message["PID-5"] == f"陈{name}"
    assert message["PID-5.2"] == "乙"
    assert message["PID-8"] == "M"
    assert message.raw == raw


@pytest.mark.parametrize("application", ["检验珅", "玘玘", "珇珇"])
def test_a_chinese_application_name_does_not_hide_the_character_set(application: str) -> None:
    text = REGISTRATION.format("GB 18030-2000").replace("|REG|", f"|{application}|")
    message = parse(text.encode("gb18030"))
    assert (message["MSH-3"], message["PID-5"]) == (application, "张示例")


def test_undeclared_bytes_are_utf8_if_they_can_be_and_gb18030_if_not() -> None:
    text = REGISTRATION.format("")
    assert parse(text.encode("utf-8")).codec == "utf-8"
    assert parse(text.encode("gb18030")).codec == "gb18030"
    assert parse(text.encode("gb18030"))["PID-5"] == "张示例"


def test_a_connection_may_force_the_character_set_of_a_sender_that_lies() -> None:
    raw = REGISTRATION.format("UNICODE UTF-8").encode("gb18030")
    assert parse(raw, charset="GB18030")["PID-5"] == "张示例"


def test_bytes_that_do_not_decode_are_refused_and_never_replaced() -> None:
    raw = REGISTRATION.format("UNICODE UTF-8").encode("gb18030")
    with pytest.raises(Hl7Error) as refused:
        parse(raw)
    assert str(refused.value.at) == "MSH[1]-18"


def test_an_unknown_character_set_is_refused_by_name_of_the_field() -> None:
    with pytest.raises(Hl7Error) as refused:
        registration("EBCDIC")
    assert refused.value.code is ErrorCode.TABLE_VALUE_NOT_FOUND
    assert str(refused.value.at) == "MSH[1]-18"


def test_latin_1_is_read_as_declared() -> None:
    raw = REGISTRATION.format("8859/1").replace("张示例", "Ünal").replace("青霉素", "")
    assert parse(raw.replace("皮疹", "").encode("iso-8859-1"))["PID-5"] == "Ünal"


# Escapes


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
        (r"one\.br\two", "one\ntwo"),
        (r"\X0D0A\x", "\r\nx"),
        (r"\XE5BCA0\三", "张三"),
        (r"\Zlocal\ \H\big\N\ \.sp+2\ ", r"\Zlocal\ \H\big\N\ \.sp+2\ "),
        (r"C:\temp\new", r"C:\temp\new"),
        (r"\XFF\ ", r"\XFF\ "),
        (r"\E\F\E\ ", r"\F\ "),
        ("\\", "\\"),
    ],
)
def test_escapes_are_read_as_the_standard_says(written: str, meant: str) -> None:
    assert unescape(written) == meant


def test_hexadecimal_data_is_in_the_senders_character_set() -> None:
    raw = REGISTRATION.format("GBK").replace("张示例", r"\XD5C5\三").encode("gb18030")
    assert parse(raw)["PID-5"] == "张三"


@settings(deadline=None)
@given(text=plain, separators=marks)
def test_any_text_survives_escaping_whatever_the_delimiters(
    text: str, separators: Separators
) -> None:
    escaped = escape(text, separators)
    assert unescape(escaped, separators) == text
    bare = escaped.replace(separators.escape, "")
    assert not set(bare) & set(separators.field + separators.component + separators.repetition)
    assert not set(escaped) & {"\r", "\n", "\x0b", "\x1c"}


# Writing


@settings(deadline=None)
@given(
    fields=st.dictionaries(
        st.integers(min_value=1, max_value=30),
        st.one_of(repetition, st.lists(repetition, min_size=1, max_size=3)),
        max_size=6,
    ),
    separators=marks,
    charset=st.sampled_from(["UNICODE UTF-8", "GB 18030-2000"]),
)
def test_sec_hub_06_no_value_can_start_a_field_a_segment_or_a_frame(
    fields: dict[int, hl7.Value], separators: Separators, charset: str
) -> None:
    msh = header("ADT^A28", sender=("A", "C1"), receiver=("B", "C1"), control_id="7", at=AT)
    message = build([("MSH", msh), ("PID", fields)], charset=charset, separators=separators)
    assert message.raw.count(b"\r") == 2
    assert not set(message.raw) & {0x0A, 0x0B, 0x1C}
    again = parse(message.raw)
    assert again.separators[:5] == separators[:5]
    assert [segment.name for segment in again.segments()] == ["MSH", "PID"]
    for number, value in fields.items():
        repeats = value if isinstance(value, list) else [value]
        for place, repeat in enumerate(repeats, 1):
            leaves = repeat if isinstance(repeat, tuple) else (repeat,)
            for component, text in enumerate(leaves, 1):
                assert again[f"PID-{number}[{place}].{component}"] == (text or "")


@pytest.mark.parametrize("evil", ["x|y^z~a&b\\c", "x\rPID|2||P9", "x\nOBX|1", "\x1c\r\x0bMSH|"])
def test_sec_hub_06_a_name_with_delimiters_round_trips_and_injects_nothing(evil: str) -> None:
    message = registration().edit({"PID-5.1": evil, "PID-3[2].1": evil, "AL1-5": (evil, (evil,))})
    again = parse(message.raw)
    assert again["PID-5.1"] == again["PID-3[2].1"] == again["AL1-5.2.1"] == evil
    assert again.count("PID") == 1
    assert again["PID-8"] == "M"


@settings(deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"\r", b"\n", b"\r\n"]))
def test_what_was_read_goes_out_byte_for_byte(noise: bytes, end: bytes) -> None:
    raw = b"MSH|^~\\&|A|B|C|D|||ADT^A28|7|P|2.5.1" + end + b"PID|" + noise
    try:
        message = parse(raw)
    except Hl7Error:
        return  # refused bytes are kept by the ledger, not by the codec
    _ = message["PID-3.1"], message["PID-5"], list(message.segments())
    assert bytes(message) == raw


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("charset", ["UNICODE UTF-8", "GB 18030-2000"])
def test_an_edit_changes_its_place_and_no_other_byte(end: str, charset: str) -> None:
    text = REGISTRATION.format(charset).replace("\r", end)
    codec = "utf-8" if "UTF" in charset else "gb18030"
    edited = parse(text.encode(codec)).edit({"PID-8": "F", "PID-3[2].5": "SI", "PID-13": "139"})
    expected = text.replace("|19900101|M", "|19900101|F|||||139").replace("CN^NI", "CN^SI")
    assert edited.raw == expected.encode(codec)


def test_an_edit_of_a_missing_segment_or_of_the_delimiters_is_refused() -> None:
    with pytest.raises(Hl7Error):
        registration().edit({"OBX-5": "x"})
    with pytest.raises(ValueError, match="cannot be edited"):
        registration().edit({"MSH-2": "x"})


def test_a_character_the_receiver_cannot_read_is_refused_not_replaced() -> None:
    latin = parse(b"MSH|^~\\&|A|B|C|D|||ADT^A28|7|P|2.5.1||||||8859/1\rPID|1\r")
    with pytest.raises(Hl7Error, match="U\\+5F20"):
        latin.edit({"PID-5": "张"})


# Acknowledgements


@pytest.mark.parametrize("charset", ["UNICODE UTF-8", "GB 18030-2000", "GBK", ""])
def test_the_answer_goes_back_in_the_senders_character_set(charset: str) -> None:
    codec = "gb18030" if "GB" in charset else "utf-8"
    message = parse(REGISTRATION.format(charset).replace("|REG|", "|挂号|").encode(codec))
    answer = acknowledge(message, control_id="ACK1", at=AT)
    expected = (
        "MSH|^~\\&|HUB|C1|挂号|C1|20261122101501||ACK^A28^ACK|ACK1|P|2.5.1|||||CHN"
        + (f"|{charset}" if charset else "")
        + "\rMSA|AA|REG000001\r"
    )
    assert answer == expected.encode(codec)
    assert read_answer(answer).is_accepted


def test_a_refusal_names_segment_field_code_and_text() -> None:
    error = Hl7Error(
        "no such patient",
        code=ErrorCode.UNKNOWN_KEY,
        at=parse_path("PID-3[2].1"),
        shown="查无此患者 A|B",
    )
    answer = parse(
        acknowledge(registration(), Acknowledgement.REJECTED, control_id="2", at=AT, errors=[error])
    )
    assert answer["MSA-1"] == "AR"
    assert answer["MSA-2"] == "REG000001"
    assert answer.raw_text("ERR-2") == "PID^1^3^2^1"
    assert answer.raw_text("ERR-3") == "204^Unknown key identifier^HL70357"
    assert (answer["ERR-4"], answer["ERR-7"]) == ("E", "no such patient")
    assert answer["ERR-8"] == "查无此患者 A|B"


def test_an_old_version_gets_the_error_in_its_old_form() -> None:
    old = from_text(REGISTRATION.format("").replace("2.5.1", "2.4"))
    error = Hl7Error("x", code=ErrorCode.REQUIRED_FIELD_MISSING, at=parse_path("PID-5"))
    answer = parse(acknowledge(old, "AE", control_id="2", at=AT, errors=[error]))
    assert answer.raw_text("ERR-1") == "PID^1^5^101&Required field missing&HL70357"


def test_other_delimiters_are_answered_with_the_same() -> None:
    raw = b"MSH#*@!%#LIS#C1#HUB#C1###ADT*A28#7#P#2.5.1\rPID#1##P1***C1*PI@N2\r"
    message = parse(raw)
    assert (message["PID-3.5"], message["PID-3[2]"]) == ("PI", "N2")
    assert acknowledge(message, control_id="A", at=AT).startswith(b"MSH#*@!%#HUB#C1#LIS#C1#")


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "MSH[1]"),
        (b"", "MSH[1]"),
        (b"MSH", "MSH[1]-2"),
        (b"MSH|", "MSH[1]-2"),
        (b"MSH|||||||", "MSH[1]-2"),
        (b"MSHA^~\\&ALIS", "MSH[1]-2"),
        (b"MSH|^^\\&|LIS", "MSH[1]-2"),
        (b"MSH|^~\\&\x01|LIS", "MSH[1]-2"),
    ],
)
def test_bytes_that_are_no_message_are_refused_and_still_answered(raw: bytes, place: str) -> None:
    with pytest.raises(Hl7Error) as refused:
        parse(raw)
    assert str(refused.value.at).replace("MSH-", "MSH[1]-") == place.replace("MSH-", "MSH[1]-")
    answer = parse(refuse_unread(raw, refused.value, code="AR", control_id="9", at=AT))
    assert answer["MSA-1"] == "AR"
    assert answer["ERR-2.1"] == "MSH"


def test_an_undecodable_message_is_answered_with_its_control_id() -> None:
    raw = REGISTRATION.format("UNICODE UTF-8").replace("|REG|", "|挂号|").encode("gb18030")
    with pytest.raises(Hl7Error) as refused:
        parse(raw)
    answer = parse(refuse_unread(raw, refused.value, code="AE", control_id="9", at=AT))
    assert (answer["MSA-1"], answer["MSA-2"]) == ("AE", "REG000001")
    assert answer["MSH-5"] == ""  # its name cannot be read, so it is not guessed
    assert answer["MSH-6"] == "C1"
    assert answer.raw_text("ERR-2") == "MSH^1^18"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_arrives_gets_an_answer_or_is_read(raw: bytes) -> None:
    for attempt in (raw, b"MSH|^~\\&|" + raw, b"MSH" + raw):
        try:
            message = parse(attempt)
            message.check()
        except Hl7Error as error:
            answer = refuse_unread(attempt, error, code="AR", control_id="9", at=AT)
            assert read_answer(answer).code == "AR"
            assert not set(answer) & {0x0B, 0x1C}
        else:
            assert acknowledge(message, control_id="9", at=AT)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (REGISTRATION.format("").replace("|REG000001|", "||"), "MSH[1]-10"),
        (REGISTRATION.format("").replace("ADT^A28^ADT_A05", ""), "MSH[1]-9"),
        (REGISTRATION.format("") + REGISTRATION.format(""), "MSH[2]"),
        (REGISTRATION.format("") + "free text that lost its segment\r", "None"),
    ],
)
def test_a_broken_skeleton_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(Hl7Error) as refused:
        from_text(text).check()
    assert str(refused.value.at) == place


def test_nothing_of_the_patient_is_in_a_messages_name() -> None:
    assert "张" not in repr(registration())
    assert "P0000001" not in repr(registration())


def test_the_example_in_the_package_is_true() -> None:
    assert doctest.testmod(hl7).failed == 0


def test_the_codec_can_be_used_alone() -> None:
    code = (
        "import sys, plugward.commons.hub.hl7; "
        "print([m for m in sys.modules if m.startswith(('plugward.', 'msgspec', 'sqlalchemy')) "
        "and not m.startswith('plugward.commons')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
