"""The codec alone: what is written reads back the same, and what comes in is hostile."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugward.commons.documents.cda import (
    KINDS,
    CdaDocument,
    Named,
    Organisation,
    Severity,
    Unreadable,
    check,
    read,
    write,
)
from plugward.kernel.documents import (
    Amount,
    Coded,
    Element,
    Entry,
    Moment,
    Person,
    PersonNumber,
    Price,
    Section,
    Text,
    Value,
    Visit,
    YesNo,
)
from plugward.kit.money import Money
from plugward.vocabulary import Sex

NOTE = UUID("01a21100-0000-7000-8000-000000000001")
AT = datetime(2026, 3, 2, 2, 30, 5, tzinfo=UTC)
COMPLAINT = Section("10154-3", (Entry((Element("DE04.01.119.00", "主诉", Text("头晕 3 天")),)),))
ALLERGY = Section(
    "48765-2",
    (
        Entry(
            (
                Element("DE02.10.023.00", "过敏史标志", YesNo(True)),
                Element("DE02.10.022.00", "过敏史", Text("青霉素")),
            )
        ),
    ),
)
DIAGNOSIS = Section(
    "29548-5",
    (
        Entry(
            (
                Element(
                    "DE05.01.024.00",
                    "初步诊断-西医诊断编码",
                    Coded("I10", "原发性高血压", "2.16.156.10011.2.3.3.11"),
                ),
                Element("DE05.01.025.00", "初步诊断-西医诊断名称", Text("原发性高血压 3 级")),
            )
        ),
    ),
)


def outpatient_record(**changes: object) -> CdaDocument:
    made = CdaDocument(
        code="C0002",
        id=UUID("01a21100-0000-7000-8000-00000000000a"),
        set=NOTE,
        version=1,
        signed_at=AT,
        person=Person(
            name="周建民",
            sex=Sex.MALE,
            birth_date=date(1959, 5, 4),
            numbers=((PersonNumber.ID_CARD, "440300195905040011"), (PersonNumber.LOCAL, "C1-7")),
            phone="13800000000",
        ),
        author=Named("staff:1", "林予安"),
        custodian=Organisation("45575571X", "示范市第一医院"),
        department=Named("C1-CARD", "心血管内科"),
        visit=Visit(number="V1", began_at=AT, doctor="林予安"),
        encounter=UUID("01a21100-0000-7000-8000-00000000000e"),
        sections=(ALLERGY, COMPLAINT, DIAGNOSIS),
    )
    return msgspec.structs.replace(made, **changes)


def test_a_document_reads_back_as_it_was_written() -> None:
    document = outpatient_record()
    content = write(document)
    assert read(content) == document
    assert write(read(content)) == content
    assert check(content) == ()


def test_a_correction_names_what_it_replaces() -> None:
    first = outpatient_record()
    second = outpatient_record(id=UUID(int=11), version=2, replaces=first.id)
    assert read(write(second)).replaces == first.id
    assert check(write(second)) == ()
    orphan = outpatient_record(version=2)
    assert [f.at for f in check(write(orphan))] == ["relatedDocument"]


def test_header_is_the_standards() -> None:
    content = write(outpatient_record()).decode()
    assert 'templateId root="2.16.156.10011.2.1.1.22"' in content
    assert '<code code="C0002" codeSystem="2.16.156.10011.2.4"' in content
    assert 'id root="2.16.156.10011.1.3" extension="440300195905040011"' in content
    assert '<effectiveTime value="20260302103005" />' in content  # hospital time
    assert {kind.template[-2:] for kind in KINDS.values()} == {"22", "24", "27"}


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"sections": (ALLERGY, COMPLAINT)}, "section 29548-5"),
        ({"sections": (ALLERGY, COMPLAINT, DIAGNOSIS, DIAGNOSIS)}, "section 29548-5"),
        ({"sections": (ALLERGY, Section("10154-3", ()), DIAGNOSIS)}, "section 10154-3"),
        (
            {"sections": (ALLERGY, COMPLAINT, DIAGNOSIS, Section("99999-9", COMPLAINT.entries))},
            "section 99999-9",
        ),
        ({"author": Named("staff:1", "")}, "author"),
        ({"custodian": Organisation("X", " ")}, "custodian"),
        ({"code": "C0099"}, "code"),
    ],
)
def test_what_the_standard_objects_to_is_named_by_its_place(
    changes: dict[str, object], at: str
) -> None:
    content = write(outpatient_record())
    if "code" in changes:
        content = content.replace(b'code="C0002"', b'code="C0099"')
    else:
        content = write(outpatient_record(**changes))
    errors = [f for f in check(content) if f.severity is Severity.ERROR]
    assert at in {f.at for f in errors}


@pytest.mark.parametrize(
    ("element", "severity"),
    [
        (Element("DE04.01.119.00", "主诉", Text("头" * 101)), Severity.ERROR),
        (Element("DE04.01.119.00", "主诉", Text("  ")), Severity.ERROR),
        (Element("DE04.01.119.00", "主诉", Moment(AT)), Severity.ERROR),
        (Element("DE99.99.999.00", "主诉", Text("x")), Severity.ERROR),
        (Element("DE04.01.119.00", "病人说", Text("头晕")), Severity.WARNING),
        (Element("DE02.01.040.00", "性别代码", Coded("M", "男")), Severity.WARNING),
        (Element("DE02.01.005.01", "出生日期", Moment(AT)), Severity.ERROR),
    ],
)
def test_elements_keep_their_type_and_length(element: Element, severity: Severity) -> None:
    sections = (ALLERGY, Section("10154-3", (Entry((element,)),)), DIAGNOSIS)
    found = check(write(outpatient_record(sections=sections)))
    assert severity in {f.severity for f in found}
    assert not any("头" in f.words or "晕" in f.words for f in found), (
        "a finding quotes the patient"
    )


# ── hostile content ─────────────────────────────────────────────────────────────────────────
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    b'<ClinicalDocument xmlns="urn:hl7-org:v3">&b;</ClinicalDocument>'
)
DEEP = b'<ClinicalDocument xmlns="urn:hl7-org:v3">%s</ClinicalDocument>' % (
    b"<a>" * 70 + b"</a>" * 70
)
OUTSIDE = (
    b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/hostname">]>'
    b'<ClinicalDocument xmlns="urn:hl7-org:v3">&f;</ClinicalDocument>'
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe",
        b"<a/>",
        b"<ClinicalDocument/>",
        b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>',
        LAUGHS,
        OUTSIDE,
        DEEP,
        b'<?xml version="1.0" encoding="no-such-code"?><a/>',
        b"<" + b"a" * 4_000_001 + b"/>",
    ],
    ids=lambda content: f"{content[:24]!r}",
)  # fmt: skip
def test_sec_hub_09_hostile_content_is_refused_with_a_place(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read(content)
    assert [f.severity for f in check(content)] == [Severity.ERROR]


@pytest.mark.parametrize(
    ("pattern", "put"),
    [
        (rb'value="20260302103005"', b'value="20261302103005"'),
        (rb'value="20260302103005"', b'value="00010101000000"'),
        (rb'versionNumber value="1"', b'versionNumber value="1e9"'),
        (rb'extension="01a211000000700080000000000000(0a)"', b'extension="../../etc"'),
        (rb'xsi:type="ST"', b'xsi:type="EVIL"'),
    ],
)
def test_values_out_of_all_bounds_are_refused(pattern: bytes, put: bytes) -> None:
    broken, count = re.subn(pattern, put, write(outpatient_record()), count=1)
    assert count == 1
    with pytest.raises(Unreadable):
        read(broken)


def test_a_number_of_a_billion_digits_is_not_computed() -> None:
    price = Element("DE07.00.004.00", "处方药品金额", Price(Money(fen=1250)))
    section = Section("48768-6", (Entry((price,)),))
    content = write(outpatient_record(code="C0004", sections=(section,)))
    assert read(content).sections == (section,)
    with pytest.raises(Unreadable):
        read(content.replace(b'value="12.50"', b'value="1E+999999999"'))


def test_markup_in_what_people_wrote_stays_text() -> None:
    evil = "<script>alert(1)</script>&amp;]]>"
    section = Section("10154-3", (Entry((Element("DE04.01.119.00", "主诉", Text(evil)),)),))
    content = write(outpatient_record(sections=(ALLERGY, section, DIAGNOSIS)))
    assert b"<script>" not in content
    assert read(content).sections[1] == section


# ── any value at all ────────────────────────────────────────────────────────────────────────
printable = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"),
    max_size=60,
)
decimals = st.decimals(-10_000, 10_000, allow_nan=False, allow_infinity=False, places=3)
values: st.SearchStrategy[Value] = st.one_of(
    st.builds(Text, printable),
    st.builds(Coded, printable, printable, st.sampled_from(["", "2.16.156.10011.2.3.3.11"])),
    st.builds(Amount, decimals, printable, st.none() | decimals, st.none() | decimals),
    st.builds(Moment, st.dates(date(1900, 1, 1), date(2100, 1, 1))),
    st.builds(
        Moment,
        st.integers(694_224_000, 4_102_444_800).map(lambda s: datetime.fromtimestamp(s, UTC)),
    ),
    st.builds(YesNo, st.booleans()),
    st.builds(Price, st.builds(Money, fen=st.integers(-(10**9), 10**9))),
)
entries = st.builds(
    Entry, st.lists(st.builds(Element, printable, printable, values), max_size=3).map(tuple)
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.builds(Section, printable, st.lists(entries, max_size=3).map(tuple)), max_size=4)
)
def test_any_content_survives_the_round_trip(sections: list[Section]) -> None:
    document = outpatient_record(sections=tuple(sections))
    assert read(write(document)) == document


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 4_000), st.integers(0, 40))
def test_damaged_content_is_read_or_refused_and_never_more(junk: bytes, at: int, cut: int) -> None:
    whole = write(outpatient_record())
    damaged = whole[:at] + junk + whole[at + cut :]
    for finding in check(damaged):
        assert finding.words


def test_decimals_are_exact() -> None:
    section = Section(
        "30954-2",
        (Entry((Element("DE04.30.015.00", "检验定量结果", Amount(Decimal("0.10"), "g")),)),),
    )
    found = read(write(outpatient_record(sections=(section,)))).sections[0].entries[0].elements[0]
    assert found.value == Amount(Decimal("0.10"), "g")
    assert isinstance(found.value, Amount)
    assert str(found.value.value) == "0.10"
