"""What the standard would object to, each with its place and words somebody can act on."""

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from xml.etree import ElementTree as Xml

import msgspec

from plugward.kernel.documents import (
    Amount,
    Coded,
    Element,
    Moment,
    Person,
    Price,
    Text,
    Value,
    YesNo,
)
from plugward.kit.time import Instant

from .model import CdaDocument
from .reading import Unreadable, parse, read
from .tables import KINDS, ElementRule, Format, elements_of, sections_of
from .writing import HL7

_COUNTED = (Amount, Price)


class Severity(StrEnum):
    ERROR = "error"  # a receiver may refuse the document
    WARNING = "warning"  # to be mended, but readable


class Finding(msgspec.Struct, frozen=True):
    """One objection. ``words`` never hold a patient's value, so they may be logged."""

    severity: Severity
    at: str
    words: str


def check(content: bytes) -> tuple[Finding, ...]:
    """Every objection to a document; none means that it may be shared."""
    try:
        root = parse(content)
        document = read(content)
    except Unreadable as problem:
        return (_error(problem.at, problem.words),)
    return tuple((*_header(root, document), *_sections(document), *_elements(document)))


def _error(at: str, words: str) -> Finding:
    return Finding(Severity.ERROR, at, words)


def _warning(at: str, words: str) -> Finding:
    return Finding(Severity.WARNING, at, words)


def _header(root: Xml.Element, document: CdaDocument) -> Iterator[Finding]:
    kind = KINDS.get(document.code)
    if kind is None:
        yield _error("code", f"不认识的文档类型 {document.code[:20]}")
        return
    templates = {t.get("root") for t in root.findall(f"{{{HL7}}}templateId")}
    if kind.template not in templates:
        yield _error("templateId", f"须为 {kind.template}")
    if not document.person.name.strip():
        yield _error("recordTarget/patientRole/patient/name", "缺少患者姓名")
    yield from _person(document.person)
    if not document.author.name.strip():
        yield _error("author", "缺少作者姓名")
    if not document.custodian.name.strip():
        yield _error("custodian", "缺少医疗机构名称")
    if not document.custodian.code:
        yield _warning("custodian", "缺少组织机构代码：请在设置中填写 documents.organisation_code")
    if document.version > 1 and document.replaces is None:
        yield _error("relatedDocument", "更正版本须指明所替代的文档")


def _person(person: Person) -> Iterator[Finding]:
    if not person.numbers:
        yield _error("recordTarget/patientRole/id", "缺少患者标识号")
    if person.birth_date is None:
        yield _warning("recordTarget/patientRole/patient/birthTime", "缺少出生日期")


def _sections(document: CdaDocument) -> Iterator[Finding]:
    rules = sections_of(document.code)
    present = [section.code for section in document.sections]
    for rule in rules.values():
        if rule.is_required and rule.code not in present:
            yield _error(f"section {rule.code}", f"缺少章节“{rule.title}”")
    for section in document.sections:
        if rules and section.code not in rules:
            yield _error(f"section {section.code[:20]}", "该文档类型没有此章节")
        if not section.entries:
            yield _error(f"section {section.code[:20]}", "章节没有内容")
    for code in sorted({code for code in present if present.count(code) > 1}):
        yield _error(f"section {code[:20]}", "章节重复")


def _elements(document: CdaDocument) -> Iterator[Finding]:
    rules = elements_of(document.code)
    for section in document.sections:
        for entry in section.entries:
            for element in entry.elements:
                at = f"section {section.code[:20]} · {element.code[:20]}"
                rule = rules.get(element.code)
                if rule is None:
                    yield _error(at, "该文档类型没有此数据元")
                    continue
                yield from _element(at, rule, element)


def _element(at: str, rule: ElementRule, element: Element) -> Iterator[Finding]:
    if element.name not in rule.names:
        yield _warning(at, f"数据元名称应为“{rule.names[0]}”")
    fits, expected = _TYPES[rule.type]
    if not isinstance(element.value, fits):
        yield _error(at, f"数据类型应为{expected}")
        return
    yield from _format(at, rule, element.value)


_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "S1": ((Text,), "文本"),
    "S2": ((Coded,), "代码"),
    "S3": ((Coded,), "代码"),
    "N": (_COUNTED, "数值"),
    "D": ((Moment,), "日期"),
    "DT": ((Moment,), "日期时间"),
    "L": ((YesNo,), "是否"),
}


def _format(at: str, rule: ElementRule, value: Value) -> Iterator[Finding]:
    form = rule.format
    match value:
        case Text(text=text):
            if not text.strip():
                yield _error(at, "内容为空")
            elif not form.least <= len(text) <= form.most:
                yield _error(at, f"长度 {len(text)} 不在 {form.least}–{form.most} 之间")
        case Coded():
            yield from _code(at, form, value)
        case Amount(value=number):
            yield from _number(at, rule, number)
        case Price(money=money):
            yield from _number(at, rule, Decimal(money.fen).scaleb(-2))
        case Moment(at=moment):
            if (form.letters == "DT") != isinstance(moment, Instant):
                yield _error(at, "须有日期和时间" if form.letters == "DT" else "只填日期")


def _code(at: str, form: Format, value: Coded) -> Iterator[Finding]:
    if not value.code:
        yield _error(at, "缺少代码")
    elif not value.system:
        yield _warning(at, "院内代码：对外提交前须映射到国家值域")
    elif not form.least <= len(value.code) <= form.most:
        yield _error(at, f"代码长度不在 {form.least}–{form.most} 之间")


def _number(at: str, rule: ElementRule, number: Decimal) -> Iterator[Finding]:
    parts = number.as_tuple()
    decimals = max(0, -int(parts.exponent))
    if decimals > rule.format.decimals:
        yield _warning(at, f"小数超过 {rule.format.decimals} 位")
    if len(parts.digits) > rule.format.most:
        yield _error(at, f"数字超过 {rule.format.most} 位")
