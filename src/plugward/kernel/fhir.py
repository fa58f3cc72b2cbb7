"""FHIR: how a board's messages are FHIR R4 resources, declared by the board, found by the facade.

``fhir.py`` of a board holds ``resources = (Resource(…), …)``: pure functions that write a message
as a resource, and short ones that answer a read, a search, a create or an update by calling
contracts. The facade brings the request and makes the answer; a service never sees a resource.
"""

import importlib
import importlib.util
import inspect
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from plugward.kit.ids import derive
from plugward.kit.time import HOSPITAL_ZONE, Instant

Json = dict[str, Any]
T = TypeVar("T")

LOCAL = "urn:plugward"
"""The root of the hospital's own code systems and identifier systems, until it has an OID."""


class Unfit(Exception):
    """A request that cannot be answered as it stands: the HTTP status, the FHIR issue type, the
    element or parameter that is to blame, and why. The words never repeat a value."""

    def __init__(self, status: int, code: str, at: str, words: str) -> None:
        super().__init__(f"{status} {code} {at}")
        self.status = status
        self.code = code
        self.at = at
        self.words = words


class ParamKind(StrEnum):
    TOKEN = "token"  # noqa: S105 - FHIR's name of a search parameter type
    STRING = "string"
    DATE = "date"
    REFERENCE = "reference"


class Param(msgspec.Struct, frozen=True):
    """A search parameter and the elements it looks at, such as ``period`` or ``subject``.

    ``is_kept`` says that the board's search keeps to it by itself: a person's ids after a merge
    are several, so that the element alone does not tell.
    """

    kind: ParamKind
    path: str
    target: tuple[str, ...] = ()
    is_kept: bool = False


def token(path: str, *, is_kept: bool = False) -> Param:
    return Param(ParamKind.TOKEN, path, is_kept=is_kept)


def string(path: str, *, is_kept: bool = False) -> Param:
    return Param(ParamKind.STRING, path, is_kept=is_kept)


def moment(path: str) -> Param:
    return Param(ParamKind.DATE, path)


def reference(path: str, *target: str, is_kept: bool = False) -> Param:
    return Param(ParamKind.REFERENCE, path, target, is_kept)


class Query:
    """What a search asks for: by name, the alternatives of each time it was given."""

    def __init__(self, given: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._given = given

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def one_of(self, *names: str) -> tuple[str, ...]:
        """The alternatives of the first of these parameters that was given."""
        for name in names:
            if name in self._given:
                return tuple(self._given[name][0])
        return ()

    def ids(self, *names: str) -> tuple[UUID, ...]:
        """The same as our ids; what is no id of ours names nothing."""
        found = (uuid_of(value.rpartition("/")[2]) for value in self.one_of(*names))
        return tuple(id_ for id_ in found if id_ is not None)

    def codes(self, name: str) -> tuple[tuple[str | None, str], ...]:
        """The alternatives of a token parameter: the system, if one was given, and the code."""
        found: list[tuple[str | None, str]] = []
        for value in self.one_of(name):
            system, bar, code = value.rpartition("|")
            found.append((system if bar else None, code))
        return tuple(found)


class Found(msgspec.Struct, frozen=True):
    """What a search found. ``is_whole`` is false if there may be more than was looked at."""

    resources: Sequence[Json]
    is_whole: bool = True


class Ask(msgspec.Struct, frozen=True):
    """The request that wants something done."""

    id: UUID
    campus: str
    now: Instant

    def derive(self, *parts: object) -> UUID:
        """An id that follows from the request: the same when it is sent again."""
        return derive(self.id, *parts)


class Made(msgspec.Struct, frozen=True):
    """The resource as it stands after a create. ``is_new`` is false if it was there already."""

    resource: Json
    is_new: bool = True


Call = Callable[..., Awaitable[Any]]


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource type as a board holds it. A function that is absent is not offered.

    ``read(id, …)`` answers a resource or None; ``many(ids, …)`` several at once;
    ``search(query, …)`` a ``Found``; ``create(body, ask, …)`` a ``Made``;
    ``update(before, body, ask, …)`` the resource as it stands then. The parameters that follow are
    contracts, injected by type and called in the client's own name.
    """

    type: str
    read: Call
    params: Mapping[str, Param] = {}
    starts: tuple[tuple[str, ...], ...] = ()
    """Parameters a search may start from: all of one of these must be given. ``_id`` always may."""
    search: Call | None = None
    many: Call | None = None
    create: Call | None = None
    update: Call | None = None
    conditional: tuple[str, ...] = ()
    """The parameters that a conditional create may be conditional on."""
    note: str = ""
    """What a client must know, for the CapabilityStatement."""


def needs_of(function: Call, given: int) -> dict[str, Any]:
    """The contracts a function asks for, after what the facade gives."""
    hints = typing.get_type_hints(function)
    return {name: hints[name] for name in list(inspect.signature(function).parameters)[given:]}


def resources_of(package: str) -> tuple[Resource, ...]:
    """What a board declares in its ``fhir.py``; most boards have none."""
    name = f"{package}.fhir"
    if importlib.util.find_spec(name) is None:
        return ()
    # The hub's package of this name is the facade itself: it holds no resources of its own.
    return tuple(getattr(importlib.import_module(name), "resources", ()))


# ── writing ──────────────────────────────────────────────────────────────────────────────────


def tidy(value: T) -> T:
    """Without what is absent: FHIR has no empty elements."""
    return typing.cast("T", _tidied(value))


def _tidied(value: Any) -> Any:
    if isinstance(value, dict):
        members = typing.cast("Json", value)
        pairs = ((name, _tidied(part)) for name, part in members.items())
        return {name: part for name, part in pairs if part is not None and part not in ("", {}, [])}
    if isinstance(value, list | tuple):
        parts = typing.cast("Sequence[Any]", value)
        return [part for part in map(_tidied, parts) if part is not None and part not in ("", {})]
    return value


def system(name: str) -> str:
    """A code system or identifier system of the hospital's own."""
    return f"{LOCAL}:{name}"


def refer(kind: str, id_: object, display: str = "") -> Json | None:
    """A reference to a resource here, or nothing for nothing."""
    return {"reference": f"{kind}/{id_}", "display": display} if id_ else None


def actor(author: str, display: str = "") -> Json | None:
    """Who did it: a member of staff, or an outside system by its name."""
    kind, _, id_ = author.partition(":")
    if kind == "staff" and uuid_of(id_) is not None:
        return refer("Practitioner", id_, display)
    return {"display": display or author} if author else None


def concept(code_system: str, code: str, display: str = "", text: str = "") -> Json:
    return {"coding": [{"system": code_system, "code": code, "display": display}], "text": text}


def number(value: Decimal | None) -> int | float | None:
    """A JSON number: FHIR has no decimals in quotes. Its digits are the decimal's own."""
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def pair(first: UUID, second: UUID) -> str:
    """The id of a thing that is found in another one: both ids, 64 places, as FHIR allows."""
    return first.hex + second.hex


def parted(id_: str) -> tuple[UUID, UUID] | None:
    """The two ids, if it is such a pair."""
    half = len(id_) // 2
    try:
        first, second = UUID(id_[:half]), UUID(id_[half:])
    except ValueError:
        return None
    return (first, second) if pair(first, second) == id_ else None


def stamp(at: Instant | None) -> str | None:
    """An instant in the hospital's own zone, to the millisecond."""
    return at.astimezone(HOSPITAL_ZONE).isoformat(timespec="milliseconds") if at else None


# ── reading ──────────────────────────────────────────────────────────────────────────────────


class Element(
    msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True
):
    """What a client may send of a type. An element that is not named is refused, never dropped."""

    id: str | None = None


class Coding(Element, frozen=True):
    system: str = ""
    code: str = ""
    display: str = ""
    version: str = ""
    user_selected: bool | None = None


class Concept(Element, frozen=True):
    coding: tuple[Coding, ...] = ()
    text: str = ""

    def code_in(self, code_system: str) -> str:
        """The code in one system, or nothing."""
        return next((c.code for c in self.coding if c.system == code_system), "")


class Reference(Element, frozen=True):
    reference: str = ""
    type: str = ""
    display: str = ""


class Number(Element, frozen=True):
    """FHIR's Identifier."""

    system: str = ""
    value: str = ""
    use: str = ""
    type: Concept | None = None


class Sent(Element, frozen=True):
    """The part that every resource has: what the server writes itself is taken and left alone."""

    resource_type: str
    meta: Json | None = None
    text: Json | None = None
    language: str = ""


def take(body: Json, kind: type[T]) -> T:
    """The body as this type. A wrong type or an element that is not held here is refused."""
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        words, _, place = str(error).partition(" - at ")
        at = f"{body.get('resourceType', '')}{place.strip('`').removeprefix('$')}"
        if "unknown field" in words:
            name = words.rpartition("unknown field ")[2].strip("`'")
            raise Unfit(
                422, "not-supported", f"{at}.{name}", "not an element of this type, or not held"
            ) from None
        code = "required" if "missing required" in words else "structure"
        said = words if code == "required" else words.partition(", got")[0].partition("'")[0]
        raise Unfit(422, code, at, said.strip()) from None


def uuid_of(text: str) -> UUID | None:
    """Our id, if it is one."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def target_of(given: Reference | None, kind: str, at: str) -> UUID:
    """Whom a reference names; it must be of this type and of this server."""
    text = given.reference if given else ""
    type_, _, id_ = text.rpartition("/")
    found = uuid_of(id_)
    if not text:
        raise Unfit(422, "required", at, f"a reference to a {kind} of this server is needed")
    if found is None or type_.rpartition("/")[2] != kind:
        raise Unfit(422, "value", at, f"not a reference to a {kind} of this server")
    return found


def code_of(given: Concept | None, code_system: str, at: str) -> str:
    """The code in a system of ours; there must be one."""
    code = given.code_in(code_system) if given else ""
    if not code:
        raise Unfit(422, "code-invalid", at, f"a code of {code_system} is needed")
    return code


def choose(value: str, table: Mapping[str, T], at: str) -> T:
    """The table's value for a code."""
    if value not in table:
        raise Unfit(422, "code-invalid", at, f"one of {', '.join(table)} is needed")
    return table[value]


def day_of(text: str, at: str) -> date:
    """A whole date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Unfit(422, "value", at, "not a whole date (YYYY-MM-DD)") from None


def span_of(text: str) -> tuple[Instant, Instant]:
    """A date or time of any precision as the stretch it covers. Raises ValueError."""
    try:
        return _span(text)
    except OverflowError:
        raise ValueError("beyond the calendar") from None


def _span(text: str) -> tuple[Instant, Instant]:
    for layout, step in (("%Y", "year"), ("%Y-%m", "month"), ("%Y-%m-%d", "day")):
        try:
            start = datetime.strptime(text, layout).replace(tzinfo=HOSPITAL_ZONE)
        except ValueError:
            continue
        return start, _after(start, step)
    start = datetime.fromisoformat(text)
    if start.tzinfo is None:
        start = start.replace(tzinfo=HOSPITAL_ZONE)
    step = "second" if "." not in text else "millisecond"
    return start, _after(start, "minute" if text.count(":") == 1 else step)


def _after(start: datetime, step: str) -> datetime:
    if step == "year":
        return start.replace(year=start.year + 1)
    if step == "month":
        return (start + timedelta(days=32)).replace(day=1)
    size = {"day": 86_400_000, "minute": 60_000, "second": 1_000, "millisecond": 1}[step]
    return start + timedelta(milliseconds=size)
