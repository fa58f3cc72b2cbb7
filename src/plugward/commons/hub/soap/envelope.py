"""Envelope 信封: one operation and its parameters, read with care, answered or refused.

No DOCTYPE, no entities, no external anything; depth, elements and attributes have limits. GB18030
and its elders are decoded strictly before the parser sees them, which does not know them.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple
from xml.etree.ElementTree import (
    Element,
    ParseError,
    SubElement,
    TreeBuilder,
    register_namespace,
    tostring,
)

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

DEPTH_MAX = 64
ELEMENTS_MAX = 20_000
ATTRIBUTES_MAX = 64
SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
TYPES = {SOAP_11: "text/xml; charset=utf-8", SOAP_12: "application/soap+xml; charset=utf-8"}
_DECLARED = re.compile(
    rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["'][^>]*\?>"""
)
_CHARSET = re.compile(r"""charset\s*=\s*"?([A-Za-z0-9._-]{1,40})""", re.IGNORECASE)
_CHINESE = ("gb18030", "gbk", "gb2312", "cp936")
# Fault codes are qualified names in text, so the prefixes have to be known.
_PREFIXES = {SOAP_11: "soap", SOAP_12: "soap12"}
for _namespace, _prefix in _PREFIXES.items():
    register_namespace(_prefix, _namespace)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Fault(Exception):
    """What is answered instead. ``is_caller``: the request will never do as it is."""

    def __init__(
        self, words: str, *, is_caller: bool = True, at: str = "", code: str = "", version: str = ""
    ) -> None:
        super().__init__(words)
        self.is_caller = is_caller
        self.at = at
        self.code = code
        """Another fault code, such as ``MustUnderstand``."""
        self.version = version or SOAP_11


class Called(NamedTuple):
    """An operation that was called."""

    operation: str
    namespace: str
    parameters: Mapping[str, str]
    """Texts of the parameters; one that holds elements is here as XML."""
    version: str = SOAP_11
    message_id: str = ""
    """Of WS-Addressing, if the caller gave one."""


class _Careful(TreeBuilder):
    """A builder that gives up on what no honest caller sends."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        self._count += 1
        if self._depth > DEPTH_MAX:
            raise Fault(f"the XML is deeper than {DEPTH_MAX} elements")
        if self._count > ELEMENTS_MAX or len(attrs) > ATTRIBUTES_MAX:
            raise Fault("the XML has too many elements or attributes")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def read_xml(body: bytes, content_type: str = "") -> Element:
    """The root element. Raises ``Fault``."""
    parser = DefusedXMLParser(target=_Careful(), forbid_dtd=True)
    try:
        parser.feed(_readable(body, content_type))
        root: Element = parser.close()
    except (ParseError, ValueError, LookupError, DefusedXmlException) as error:
        if isinstance(error, DefusedXmlException):
            raise Fault("DOCTYPE and entities are not taken") from None
        raise Fault("this is no well-formed XML") from None
    return root


def read(body: bytes, content_type: str = "") -> Called:
    """What is called. Raises ``Fault``."""
    root = read_xml(body, content_type)
    version, name = _split(root.tag)
    if name != "Envelope" or version not in TYPES:
        raise Fault("this is no SOAP envelope", code="VersionMismatch")
    message_id = ""
    for block in root.iterfind(f"{{{version}}}Header/*"):
        where, what = _split(block.tag)
        if where == ADDRESSING:
            message_id = (block.text or "").strip() if what == "MessageID" else message_id
        elif block.get(f"{{{version}}}mustUnderstand") in ("1", "true"):
            raise Fault(
                f"the header {what[:64]} is not understood", code="MustUnderstand", version=version
            )
    bodies = root.findall(f"{{{version}}}Body")
    if len(bodies) != 1 or len(bodies[0]) != 1:
        raise Fault("the body has to hold one operation", version=version)
    call = bodies[0][0]
    namespace, operation = _split(call.tag)
    parameters: dict[str, str] = {}
    for one in call:
        parameter = _split(one.tag)[1]
        if parameter in parameters:
            raise Fault(f"the parameter {parameter[:64]} stands twice", version=version)
        parameters[parameter] = (
            "".join(tostring(child, "unicode") for child in one) if len(one) else (one.text or "")
        )
    return Called(operation, namespace, parameters, version, message_id)


def answer(called: Called, told: Mapping[str, str]) -> bytes:
    """What the operation gives back."""
    envelope, body = _envelope(called.version)
    given = SubElement(body, f"{{{called.namespace}}}{called.operation}Response")
    for name, text in told.items():
        SubElement(given, f"{{{called.namespace}}}{name}").text = clean(text)
    return _written(envelope)


def fault(failure: Fault) -> bytes:
    """Why nothing came of it; ``detail`` says where."""
    envelope, body = _envelope(failure.version)
    given = SubElement(body, f"{{{failure.version}}}Fault")
    words = clean(str(failure))
    if failure.version == SOAP_12:
        code = failure.code or ("Sender" if failure.is_caller else "Receiver")
        value = SubElement(SubElement(given, f"{{{SOAP_12}}}Code"), f"{{{SOAP_12}}}Value")
        value.text = f"{_PREFIXES[SOAP_12]}:{code}"
        text = SubElement(SubElement(given, f"{{{SOAP_12}}}Reason"), f"{{{SOAP_12}}}Text")
        text.set("{http://www.w3.org/XML/1998/namespace}lang", "zh-CN")
        text.text = words
        detail = f"{{{SOAP_12}}}Detail"
    else:
        code = failure.code or ("Client" if failure.is_caller else "Server")
        SubElement(given, "faultcode").text = f"{_PREFIXES[SOAP_11]}:{code}"
        SubElement(given, "faultstring").text = words
        detail = "detail"
    if failure.at:
        SubElement(SubElement(given, detail), "at").text = clean(failure.at)
    return _written(envelope)


def clean(text: str) -> str:
    """Without the characters that XML has no way to say."""
    return _NOT_XML.sub("\ufffd", text)


def _readable(body: bytes, content_type: str) -> bytes:
    """In a charset that the parser knows."""
    declared = _DECLARED.match(body[:256])
    told = _CHARSET.search(content_type)
    charset = (
        told.group(1).lower() if told else declared.group(1).decode().lower() if declared else ""
    )
    if charset not in _CHINESE:
        return body
    rest = body[declared.end() :] if declared else body
    return rest.decode("gb18030").encode()


def _split(tag: str) -> tuple[str, str]:
    namespace, _, name = tag.rpartition("}")
    return namespace.lstrip("{"), name


def _envelope(version: str) -> tuple[Element, Element]:
    envelope = Element(f"{{{version}}}Envelope")
    return envelope, SubElement(envelope, f"{{{version}}}Body")


def _written(envelope: Element) -> bytes:
    written: bytes = tostring(envelope, "utf-8", xml_declaration=True)
    return written
