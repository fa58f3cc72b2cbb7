"""From XML back to values. What comes in is hostile until read: no DTD, no entity, bounded."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final
from uuid import UUID
from xml.etree import ElementTree as Xml

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from plugward.kernel.documents import (
    Amount,
    Coded,
    Element,
    Entry,
    Moment,
    Person,
    Price,
    Section,
    Text,
    Value,
    Visit,
    YesNo,
)
from plugward.kit.money import Money
from plugward.kit.time import HOSPITAL_ZONE, Instant
from plugward.vocabulary import Sex

from .model import (
    DOCUMENT_ROOT,
    LOCAL_CODES,
    ORGANISATION_ROOT,
    PERSON_ROOTS,
    VISIT_ROOT,
    CdaDocument,
    Named,
    Organisation,
)
from .writing import HL7, SEXES, XSI

BYTES_MAX: Final = 4_000_000
DEPTH_MAX: Final = 64
DIGITS_MAX: Final = 18
YEARS: Final = range(1850, 2200)
_NUMBERS = {root: number for number, root in PERSON_ROOTS.items()}
_SEXES = {code: sex for sex, code in SEXES.items()}
_SHAPES = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


class Unreadable(ValueError):
    """The content is no document of this form; ``at`` names the place."""

    def __init__(self, at: str, words: str) -> None:
        super().__init__(f"{at}: {words}")
        self.at = at
        self.words = words


def parse(content: bytes) -> Xml.Element:
    """The XML tree. Raises ``Unreadable`` for anything but plain, bounded, DTD-free XML."""
    if len(content) > BYTES_MAX:
        raise Unreadable("/", f"超过 {BYTES_MAX:,} 字节")
    try:
        root: Xml.Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise Unreadable("/", "含有 DTD 或实体声明，拒收") from None
    except (Xml.ParseError, UnicodeError, ValueError, LookupError) as error:
        raise Unreadable("/", f"不是有效的 XML（{type(error).__name__}）") from None
    if root.tag != f"{{{HL7}}}ClinicalDocument":
        raise Unreadable("/", "不是 ClinicalDocument")
    if _depth(root) > DEPTH_MAX:
        raise Unreadable("/", f"嵌套超过 {DEPTH_MAX} 层")
    return root


def _depth(root: Xml.Element) -> int:
    deepest, waiting = 0, [(root, 1)]
    while waiting:
        element, level = waiting.pop()
        deepest = max(deepest, level)
        waiting += [(child, level + 1) for child in element]
    return deepest


def read(content: bytes) -> CdaDocument:
    """The document as values. Raises ``Unreadable`` where the header or a value cannot be read."""
    root = parse(content)
    return CdaDocument(
        code=_need(root, "code").get("code", ""),
        id=_uuid(root, "id"),
        set=_uuid(root, "setId"),
        version=_whole(_need(root, "versionNumber").get("value", ""), "versionNumber"),
        signed_at=_instant(_need(root, "effectiveTime").get("value", ""), "effectiveTime"),
        person=_person(_need(root, "recordTarget/patientRole")),
        author=_signer(_need(root, "author/assignedAuthor")),
        custodian=_custodian(
            _need(root, "custodian/assignedCustodian/representedCustodianOrganization")
        ),
        department=_department(root),
        visit=_visit(_need(root, "componentOf/encompassingEncounter")),
        encounter=_encounter(root),
        sections=tuple(_sections(root)),
        replaces=_replaces(root),
        verifier=_verifier(root),
    )


def _person(role: Xml.Element) -> Person:
    patient = _need(role, "patient")
    birth = patient.find(_path("birthTime"))
    telecom = role.find(_path("telecom"))
    sex = _need(patient, "administrativeGenderCode").get("code", "")
    return Person(
        name=_text(_need(patient, "name")),
        sex=_SEXES.get(sex, Sex.UNKNOWN),
        birth_date=None if birth is None else _day(birth.get("value", ""), "birthTime"),
        numbers=tuple(
            (_NUMBERS[root], id.get("extension", ""))
            for id in role.findall(_path("id"))
            if (root := id.get("root", "")) in _NUMBERS
        ),
        phone="" if telecom is None else telecom.get("value", "").removeprefix("tel:"),
    )


def _signer(who: Xml.Element) -> Named:
    return Named(_need(who, "id").get("extension", ""), _text(_need(who, "assignedPerson/name")))


def _verifier(root: Xml.Element) -> Named | None:
    """The legal authenticator, when it is somebody else than the author."""
    who = root.find(_path("legalAuthenticator/assignedEntity"))
    if who is None:
        return None
    found = _signer(who)
    return None if found == _signer(_need(root, "author/assignedAuthor")) else found


def _custodian(house: Xml.Element) -> Organisation:
    id = _need(house, "id")
    code = id.get("extension", "") if id.get("root") == ORGANISATION_ROOT else ""
    return Organisation(code, _text(_need(house, "name")))


def _department(root: Xml.Element) -> Named:
    place = _need(
        root,
        "componentOf/encompassingEncounter/location/healthCareFacility/serviceProviderOrganization",
    )
    return Named(_need(place, "id").get("extension", ""), _text(_need(place, "name")))


def _visit(visit: Xml.Element) -> Visit:
    began = _need(visit, "effectiveTime").get("value", "")
    doctor = visit.find(_path("responsibleParty/assignedEntity/assignedPerson/name"))
    return Visit(
        number=_extension(visit, VISIT_ROOT),
        began_at=_instant(began, "encompassingEncounter/effectiveTime") if began else None,
        doctor="" if doctor is None else _text(doctor),
    )


def _encounter(root: Xml.Element) -> UUID:
    visit = _need(root, "componentOf/encompassingEncounter")
    return _as_uuid(_extension(visit, LOCAL_CODES), "encompassingEncounter/id")


def _replaces(root: Xml.Element) -> UUID | None:
    for related in root.findall(_path("relatedDocument")):
        if related.get("typeCode") == "RPLC":
            return _as_uuid(
                _need(related, "parentDocument/id").get("extension", ""), "relatedDocument"
            )
    return None


# ── sections ────────────────────────────────────────────────────────────────────────────────
def _sections(root: Xml.Element) -> Iterator[Section]:
    for section in root.findall(_path("component/structuredBody/component/section")):
        code = _need(section, "code").get("code", "")
        yield Section(code, tuple(_entries(section, code)))


def _entries(section: Xml.Element, at: str) -> Iterator[Entry]:
    for entry in section.findall(_path("entry")):
        yield Entry(tuple(_element(o, at) for o in entry.iter(f"{{{HL7}}}observation")))


def _element(observation: Xml.Element, at: str) -> Element:
    code = _need(observation, "code")
    identifier = code.get("code", "")
    place = f"section {at} · {identifier}"
    return Element(
        identifier,
        code.get("displayName", ""),
        _value(observation, _need(observation, "value"), place),
    )


def _value(observation: Xml.Element, value: Xml.Element, at: str) -> Value:
    match value.get(f"{{{XSI}}}type", ""):
        case "ST":
            return Text(value.text or "")
        case "CD":
            system = value.get("codeSystem", "")
            return Coded(
                value.get("code", ""),
                value.get("displayName", ""),
                "" if system == LOCAL_CODES else system,
            )
        case "PQ":
            return _amount(observation, value, at)
        case "TS":
            return Moment(_moment(value.get("value", ""), at))
        case "BL":
            return YesNo(value.get("value") == "true")
        case "MO":
            yuan = _decimal(value.get("value", ""), at)
            return Price(Money(fen=int(yuan.scaleb(2))))
        case other:
            raise Unreadable(at, f"数据类型 {other[:20]!r} 无法识别")


def _amount(observation: Xml.Element, value: Xml.Element, at: str) -> Amount:
    limits = observation.find(_path("referenceRange/observationRange/value"))
    low, high = None, None
    if limits is not None:
        lowest, highest = limits.find(_path("low")), limits.find(_path("high"))
        low = None if lowest is None else _decimal(lowest.get("value", ""), at)
        high = None if highest is None else _decimal(highest.get("value", ""), at)
    return Amount(_decimal(value.get("value", ""), at), value.get("unit", ""), low, high)


# ── small values ────────────────────────────────────────────────────────────────────────────
def _path(path: str) -> str:
    return "/".join(f"{{{HL7}}}{name}" for name in path.split("/"))


def _need(parent: Xml.Element, path: str) -> Xml.Element:
    found = parent.find(_path(path))
    if found is None:
        raise Unreadable(path, "缺少")
    return found


def _text(element: Xml.Element) -> str:
    return element.text or ""


def _extension(parent: Xml.Element, root: str) -> str:
    for id in parent.findall(_path("id")):
        if id.get("root") == root:
            return id.get("extension", "")
    raise Unreadable("id", f"缺少 {root}")


def _uuid(root: Xml.Element, path: str) -> UUID:
    id = _need(root, path)
    if id.get("root") != DOCUMENT_ROOT:
        raise Unreadable(path, f"root 须为 {DOCUMENT_ROOT}")
    return _as_uuid(id.get("extension", ""), path)


def _as_uuid(text: str, at: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Unreadable(at, "编号无法识别") from None


def _whole(text: str, at: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise Unreadable(at, "不是整数")
    return int(text)


def _decimal(text: str, at: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise Unreadable(at, "不是数值") from None
    if not found.is_finite() or len(text) > 2 * DIGITS_MAX or abs(found.adjusted()) > DIGITS_MAX:
        raise Unreadable(at, "不是数值")
    return found


def _day(text: str, at: str) -> date:
    found = _moment(text[:8], at)
    return found if not isinstance(found, datetime) else found.date()


def _instant(text: str, at: str) -> Instant:
    found = _moment(text, at)
    if not isinstance(found, datetime):
        raise Unreadable(at, "缺少时间")
    return found


def _moment(text: str, at: str) -> Instant | date:
    shape = _SHAPES.get(len(text))
    if shape is None or not (text.isascii() and text.isdigit()):
        raise Unreadable(at, "日期时间无法识别")
    try:
        found = datetime.strptime(text, shape).replace(tzinfo=HOSPITAL_ZONE)
    except ValueError:
        raise Unreadable(at, "日期时间无法识别") from None
    if found.year not in YEARS:
        raise Unreadable(at, "年份不合理")
    return found.date() if shape == _SHAPES[8] else found.astimezone(UTC)
