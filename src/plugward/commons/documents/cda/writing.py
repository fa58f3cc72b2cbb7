"""From values to XML. Everything people wrote is text to the writer, never markup."""

from datetime import datetime
from decimal import Decimal
from typing import Final
from xml.etree import ElementTree as Xml

from plugward.kernel.documents import (
    Amount,
    Coded,
    Element,
    Entry,
    Moment,
    Price,
    Section,
    Text,
    YesNo,
)
from plugward.kit.time import HOSPITAL_ZONE
from plugward.vocabulary import Sex

from .model import (
    CONFIDENTIALITY,
    DEPARTMENT_ROOT,
    DOCUMENT_ROOT,
    ELEMENT_CODES,
    KIND_CODES,
    LOCAL_CODES,
    LOINC,
    ORGANISATION_ROOT,
    PERSON_ROOTS,
    SEX_CODES,
    STAFF_ROOT,
    VISIT_ROOT,
    CdaDocument,
    Named,
)
from .tables import KINDS, sections_of

HL7: Final = "urn:hl7-org:v3"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
SEXES: Final = {Sex.MALE: "1", Sex.FEMALE: "2", Sex.OTHER: "9", Sex.UNKNOWN: "0"}
SEX_NAMES: Final = {"1": "男性", "2": "女性", "9": "未说明的性别", "0": "未知的性别"}
_FORBIDDEN = dict.fromkeys(c for c in range(32) if c not in (9, 10, 13)) | {
    0xFFFE: None,
    0xFFFF: None,
}


def write(document: CdaDocument) -> bytes:
    """The document as UTF-8 XML. The same values always give the same bytes."""
    Xml.register_namespace("", HL7)
    Xml.register_namespace("xsi", XSI)
    root = Xml.Element(_q("ClinicalDocument"))
    _identity(root, document)
    _people(root, document)
    _places(root, document)
    body = _sub(_sub(root, "component"), "structuredBody")
    for section in document.sections:
        _section(_sub(_sub(body, "component"), "section"), document.code, section)
    Xml.indent(root)
    content: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def _identity(root: Xml.Element, document: CdaDocument) -> None:
    kind = KINDS[document.code]
    _sub(root, "realmCode", code="CN")
    _sub(root, "typeId", root="2.16.840.1.113883.1.3", extension="POCD_MT000040")
    _sub(root, "templateId", root=kind.template)
    _sub(root, "id", root=DOCUMENT_ROOT, extension=document.id.hex)
    name = "卫生信息共享文档规范编码体系"
    _sub(root, "code", code=kind.code, codeSystem=KIND_CODES, codeSystemName=name)
    _sub(root, "title", kind.title)
    _sub(root, "effectiveTime", value=stamp(document.signed_at))
    _sub(root, "confidentialityCode", code="N", codeSystem=CONFIDENTIALITY)
    _sub(root, "languageCode", code="zh-CN")
    _sub(root, "setId", root=DOCUMENT_ROOT, extension=document.set.hex)
    _sub(root, "versionNumber", value=str(document.version))


def _people(root: Xml.Element, document: CdaDocument) -> None:
    person = document.person
    target = _sub(root, "recordTarget", typeCode="RCT", contextControlCode="OP")
    role = _sub(target, "patientRole", classCode="PAT")
    for number, value in person.numbers:
        _sub(role, "id", root=PERSON_ROOTS[number], extension=value)
    if person.phone:
        _sub(role, "telecom", value=f"tel:{person.phone}")
    patient = _sub(role, "patient", classCode="PSN", determinerCode="INSTANCE")
    _sub(patient, "name", person.name)
    sex = SEXES[person.sex]
    _sub(
        patient,
        "administrativeGenderCode",
        code=sex,
        codeSystem=SEX_CODES,
        displayName=SEX_NAMES[sex],
    )
    if person.birth_date is not None:
        _sub(patient, "birthTime", value=person.birth_date.strftime("%Y%m%d"))
    _signer(_sub(root, "author", typeCode="AUT"), "assignedAuthor", document.author, document)


def _places(root: Xml.Element, document: CdaDocument) -> None:
    keeper = _sub(_sub(root, "custodian", typeCode="CST"), "assignedCustodian")
    house = _sub(keeper, "representedCustodianOrganization")
    _organisation(house, document.custodian.code, document.custodian.name)
    legal = _sub(root, "legalAuthenticator")
    _signer(legal, "assignedEntity", document.verifier or document.author, document)
    if document.replaces is not None:
        related = _sub(root, "relatedDocument", typeCode="RPLC")
        _sub(
            _sub(related, "parentDocument"),
            "id",
            root=DOCUMENT_ROOT,
            extension=document.replaces.hex,
        )
    visit = _sub(_sub(root, "componentOf"), "encompassingEncounter")
    _sub(visit, "id", root=VISIT_ROOT, extension=document.visit.number)
    _sub(visit, "id", root=LOCAL_CODES, extension=document.encounter.hex)
    began = document.visit.began_at
    _sub(visit, "effectiveTime", **({"value": stamp(began)} if began else {"nullFlavor": "UNK"}))
    if document.visit.doctor:
        doctor = _sub(_sub(visit, "responsibleParty"), "assignedEntity")
        _sub(doctor, "id", nullFlavor="UNK")
        _sub(_sub(doctor, "assignedPerson"), "name", document.visit.doctor)
    place = _sub(_sub(_sub(visit, "location"), "healthCareFacility"), "serviceProviderOrganization")
    _sub(place, "id", root=DEPARTMENT_ROOT, extension=document.department.id)
    _sub(place, "name", document.department.name)


def _signer(parent: Xml.Element, role: str, who: Named, document: CdaDocument) -> None:
    _sub(parent, "time", value=stamp(document.signed_at))
    if role == "assignedEntity":
        _sub(parent, "signatureCode", code="S")
    signer = _sub(parent, role, classCode="ASSIGNED")
    _sub(signer, "id", root=STAFF_ROOT, extension=who.id)
    _sub(_sub(signer, "assignedPerson"), "name", who.name)


def _organisation(parent: Xml.Element, code: str, name: str) -> None:
    if code:
        _sub(parent, "id", root=ORGANISATION_ROOT, extension=code)
    else:
        _sub(parent, "id", nullFlavor="UNK")
    _sub(parent, "name", name)


def _section(parent: Xml.Element, kind: str, section: Section) -> None:
    rule = sections_of(kind).get(section.code)
    title = rule.title_en if rule else section.code
    _sub(
        parent,
        "code",
        code=section.code,
        codeSystem=LOINC,
        codeSystemName="LOINC",
        displayName=title,
    )
    if rule is not None:
        _sub(parent, "title", rule.title)
    narrative = _sub(_sub(parent, "text"), "list")
    for entry in section.entries:
        _sub(narrative, "item", "；".join(f"{e.name}：{_said(e)}" for e in entry.elements))
    for entry in section.entries:
        _entry(_sub(parent, "entry"), entry)


def _entry(parent: Xml.Element, entry: Entry) -> None:
    group = _sub(parent, "organizer", classCode="CLUSTER", moodCode="EVN")
    _sub(group, "statusCode", code="completed")
    for element in entry.elements:
        observation = _sub(_sub(group, "component"), "observation", classCode="OBS", moodCode="EVN")
        name = "卫生信息数据元目录"
        _sub(
            observation,
            "code",
            code=element.code,
            codeSystem=ELEMENT_CODES,
            codeSystemName=name,
            displayName=element.name,
        )
        _value(observation, element)


def _value(parent: Xml.Element, element: Element) -> None:
    value = element.value
    match value:
        case Text():
            _typed(parent, "ST").text = _clean(value.text)
        case Coded():
            system = value.system or LOCAL_CODES
            _typed(parent, "CD", code=value.code, codeSystem=system, displayName=value.name)
        case Amount():
            unit = {"unit": value.unit} if value.unit else {}
            _typed(parent, "PQ", value=str(value.value), **unit)
            if value.low is not None or value.high is not None:
                _range(parent, value)
        case Moment():
            _typed(parent, "TS", value=stamp(value.at))
        case YesNo():
            _typed(parent, "BL", value="true" if value.is_so else "false")
        case Price():
            yuan = Decimal(value.money.fen).scaleb(-2)
            _typed(parent, "MO", value=f"{yuan:.2f}", currency="CNY")


def _range(parent: Xml.Element, amount: Amount) -> None:
    reference = _sub(_sub(parent, "referenceRange"), "observationRange")
    interval = _typed(reference, "IVL_PQ")
    for tag, limit in (("low", amount.low), ("high", amount.high)):
        if limit is not None:
            _sub(interval, tag, value=str(limit))


def _said(element: Element) -> str:
    value = element.value
    match value:
        case Text():
            return value.text
        case Coded():
            return value.name or value.code
        case Amount():
            return f"{value.value} {value.unit}".strip()
        case Moment():
            return _read_aloud(value.at)
        case YesNo():
            return "是" if value.is_so else "否"
        case Price():
            return f"{value.money} 元"


def _read_aloud(at: object) -> str:
    if isinstance(at, datetime):
        return at.astimezone(HOSPITAL_ZONE).strftime("%Y-%m-%d %H:%M")
    return str(at)


def stamp(at: object) -> str:
    """``20261122103000`` in hospital time, or ``20261122`` for a day."""
    if isinstance(at, datetime):
        return at.astimezone(HOSPITAL_ZONE).strftime("%Y%m%d%H%M%S")
    return str(at).replace("-", "")


def _typed(parent: Xml.Element, type: str, **attributes: str) -> Xml.Element:
    return Xml.SubElement(parent, _q("value"), {f"{{{XSI}}}type": type} | _all_clean(attributes))


def _sub(
    parent: Xml.Element, name: str, text: str | None = None, /, **attributes: str
) -> Xml.Element:
    made = Xml.SubElement(parent, _q(name), _all_clean(attributes))
    if text is not None:
        made.text = _clean(text)
    return made


def _all_clean(attributes: dict[str, str]) -> dict[str, str]:
    return {key: _clean(value) for key, value in attributes.items()}


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold at all."""
    return text.translate(_FORBIDDEN)


def _q(name: str) -> str:
    return f"{{{HL7}}}{name}"
