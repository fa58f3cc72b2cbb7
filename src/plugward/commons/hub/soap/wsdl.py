"""WSDL: what a service's operations are called and take, for callers that make their code from it.

Document/literal, wrapped; every parameter is a text. One port for SOAP 1.1 and one for 1.2.
"""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

ANSWER = ("code", "id", "text")

_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"
    xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/"
    xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:tns={namespace}
    name={name} targetNamespace={namespace}>
  <wsdl:documentation>{title}</wsdl:documentation>
  <wsdl:types>
    <xs:schema elementFormDefault="qualified" targetNamespace={namespace}>
"""
_ELEMENT = """      <xs:element name={name}><xs:complexType><xs:sequence>
{parts}      </xs:sequence></xs:complexType></xs:element>
"""
_PART = '        <xs:element name={name} type="xs:string" minOccurs="{least}"/>\n'
_MESSAGE = """  <wsdl:message name={message}>
    <wsdl:part name="parameters" element={element}/></wsdl:message>
"""
_OPERATION = """    <wsdl:operation name={name}>
      <wsdl:input message={input}/><wsdl:output message={output}/></wsdl:operation>
"""
_BOUND = """    <wsdl:operation name={name}>
      <{soap}:operation soapAction={name} style="document"/>
      <wsdl:input><{soap}:body use="literal"/></wsdl:input>
      <wsdl:output><{soap}:body use="literal"/></wsdl:output></wsdl:operation>
"""


def wsdl(
    name: str,
    *,
    namespace: str,
    operations: Mapping[str, Sequence[str]],
    address: str,
    title: str = "",
    answers: Sequence[str] = ANSWER,
) -> bytes:
    """The description of a service at an address."""
    q = quoteattr
    text = [_HEAD.format(namespace=q(namespace), name=q(name), title=escape(title or name))]
    for operation, parameters in operations.items():
        for element, parts, least in (
            (operation, parameters, 1),
            (operation + "Response", answers, 0),
        ):
            listed = "".join(_PART.format(name=q(part), least=least) for part in parts)
            text.append(_ELEMENT.format(name=q(element), parts=listed))
    text.append("    </xs:schema>\n  </wsdl:types>\n")
    for operation in operations:
        for element in (operation, operation + "Response"):
            text.append(_MESSAGE.format(message=q(element), element=q("tns:" + element)))
    text.append(f"  <wsdl:portType name={q(name + 'Port')}>\n")
    text += [
        _OPERATION.format(name=q(one), input=q("tns:" + one), output=q(f"tns:{one}Response"))
        for one in operations
    ]
    text.append("  </wsdl:portType>\n")
    for soap in ("soap", "soap12"):
        text.append(
            f"  <wsdl:binding name={q(name + '_' + soap)} type={q(f'tns:{name}Port')}>\n"
            f'    <{soap}:binding transport="http://schemas.xmlsoap.org/soap/http"/>\n'
        )
        text += [_BOUND.format(name=q(one), soap=soap) for one in operations]
        text.append("  </wsdl:binding>\n")
    text.append(f"  <wsdl:service name={q(name)}>\n")
    text += [
        f"    <wsdl:port name={q(name + '_' + soap)} binding={q(f'tns:{name}_{soap}')}>"
        f"<{soap}:address location={q(address)}/></wsdl:port>\n"
        for soap in ("soap", "soap12")
    ]
    text.append("  </wsdl:service>\n</wsdl:definitions>\n")
    return "".join(text).encode()
