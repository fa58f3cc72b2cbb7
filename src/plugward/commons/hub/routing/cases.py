"""Cases 用例: what a route has to do with a sample, checked before it may be activated.

``cases/first.hl7`` is the sample, ``cases/first.toml`` what is expected of it::

    kind = "ADT^A28"            # only where the sample is not HL7 v2
    refused = "PID-3"           # it has to be refused, at this place
    [[send]]
    to = "emr"
    key = "P1"
    body = "…"                  # the whole body, where that is short
    [send.fields]
    "PID-5.1" = "张示例"
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec

from plugward.commons.hub.hl7 import Hl7Error, Message, parse

from .compiled import Compiled, RouteFault, RouteInvalid
from .incoming import Incoming, Refuse, Send
from .incoming import encoded as as_bytes


class ExpectedSend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message that has to come out."""

    to: str
    key: str | None = None
    body: str | None = None
    fields: dict[str, str] = {}


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a case expects."""

    kind: str = ""
    sender: str = ""
    refused: str = ""
    send: tuple[ExpectedSend, ...] = ()


class Case(NamedTuple):
    """A sample and what is expected."""

    name: str
    incoming: Incoming
    expected: Expected


def cases_of(folder: Path) -> list[Case]:
    """The cases beside a route."""
    found = []
    for told in sorted((folder / "cases").glob("*.toml")):
        try:
            expected = msgspec.convert(tomllib.loads(told.read_text("utf-8")), Expected)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise RouteInvalid(f"cases/{told.name}: {error}") from None
        samples = [path for path in told.parent.glob(f"{told.stem}.*") if path != told]
        if len(samples) != 1:
            raise RouteInvalid(f"cases/{told.name}: exactly one sample {told.stem}.* is needed")
        sample = sample_of(samples[0].read_bytes(), expected.kind, expected.sender)
        found.append(Case(told.stem, sample, expected))
    return found


def sample_of(raw: bytes, kind: str = "", sender: str = "") -> Incoming:
    """A file as a message: an HL7 sample may end its lines as editors do."""
    if not raw.startswith(b"MSH"):
        return Incoming(raw, kind=kind or "sample", sender=sender)
    raw = raw.replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    try:
        message = parse(raw)
        message.check()
    except Hl7Error as error:
        raise RouteInvalid(f"the sample is no HL7 v2 message: {error}") from None
    told = f"{message['MSH-9.1']}^{message['MSH-9.2']}"
    name = f"{message['MSH-3']}|{message['MSH-4']}"
    return Incoming(raw, kind=kind or told, sender=sender or name, message=message)


def failures(route: Compiled, cases: list[Case]) -> list[str]:
    """Every case that does not come out as expected, and how."""
    found = []
    for case in cases:
        found += [f"{case.name}: {problem}" for problem in _problems(route, case)]
    return found


def _problems(route: Compiled, case: Case) -> list[str]:
    expected = case.expected
    if not route.wants(case.incoming.kind, case.incoming.sender):
        return [f"the route does not take {case.incoming.kind} from {case.incoming.sender}"]
    try:
        sends = route.run(case.incoming)
    except Refuse as refused:
        return [] if refused.at == expected.refused else [f"refused at {refused.at}"]
    except RouteFault as fault:
        return [f"fault: {fault}"]
    if expected.refused:
        return [f"was to be refused at {expected.refused} and was not"]
    if len(sends) != len(expected.send):
        return [f"{len(sends)} messages come out, {len(expected.send)} were expected"]
    found = []
    for number, (made, wanted) in enumerate(zip(sends, expected.send, strict=True), 1):
        found += [f"message {number}: {told}" for told in _differences(case, made, wanted)]
    return found


def _differences(case: Case, made: Send, wanted: ExpectedSend) -> list[str]:
    body = as_bytes(made.body) if made.body is not None else case.incoming.body
    assert body is not None
    found = []
    if made.to != wanted.to:
        found.append(f"goes to {made.to}, not to {wanted.to}")
    if wanted.key is not None and made.key != wanted.key:
        found.append(f"has the key {made.key!r}, not {wanted.key!r}")
    if wanted.body is not None and body != wanted.body.encode():
        found.append("has another body")
    if wanted.fields:
        found += _fields(body, wanted.fields)
    return found


def _fields(body: bytes, wanted: dict[str, str]) -> list[str]:
    try:
        message: Message = parse(body)
        return [
            f"{path} is {message[path]!r}, not {value!r}"
            for path, value in wanted.items()
            if message[path] != value
        ]
    except (Hl7Error, ValueError) as error:
        return [f"cannot be compared: {error}"]
