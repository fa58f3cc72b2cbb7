"""Searching: parameters as FHIR means them, over what the boards found."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from plugward.kernel.fhir import Json, Param, ParamKind, Query, Resource, Unfit, span_of

COUNT_DEFAULT = 20
COUNT_MAX = 200
PARAMS_MAX = 60
ALTERNATIVES_MAX = 100
_RESULT = frozenset(
    {"_count", "_sort", "_include", "_summary", "_page", "_format", "_pretty", "_total"}
)
_PREFIXES = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"})
_MODIFIERS = {ParamKind.STRING: frozenset({"exact", "contains"})}
_PAIR = 2
_EVER = datetime.max.replace(tzinfo=UTC)
_NEVER = datetime.min.replace(tzinfo=UTC)
ID = Param(ParamKind.TOKEN, "id")


class Criterion(msgspec.Struct, frozen=True):
    """One parameter as it was given once: any of its values will do."""

    name: str
    param: Param
    modifier: str
    values: tuple[str, ...]


class Wish(msgspec.Struct, frozen=True):
    """A whole search request, understood."""

    criteria: tuple[Criterion, ...]
    sort: tuple[tuple[str, bool], ...]
    include: tuple[tuple[str, str], ...]
    count: int
    offset: int
    only_count: bool
    mark: str
    """Stands for the criteria and the order: a page belongs to one search."""

    @property
    def query(self) -> Query:
        given: dict[str, list[tuple[str, ...]]] = {}
        for criterion in self.criteria:
            given.setdefault(criterion.name, []).append(criterion.values)
        return Query(given)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(criterion.name for criterion in self.criteria)

    def page(self, offset: int) -> str:
        """The place of a page, bound to this search; everything is asked and checked again."""
        return f"{offset}.{self.mark}"


def pairs_of(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=PARAMS_MAX, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise Unfit(400, "invalid", "", "the query cannot be read") from None


def understand(resource: Resource, pairs: Sequence[tuple[str, str]]) -> Wish:
    """A search request; a parameter that is not understood is refused, never ignored."""
    criteria = tuple(_criterion(resource, n, v) for n, v in pairs if n not in _RESULT)
    _check_kept(criteria)
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in _RESULT:
            given.setdefault(name, []).append(value)
    for name in given.keys() - {"_include"}:
        if len(given[name]) > 1:
            raise Unfit(400, "invalid", name, "stands more than once")
    _check_format(given)
    sort = _sort(resource, given)
    summary = (given.get("_summary") or ["false"])[0]
    if summary not in ("false", "count"):
        raise Unfit(400, "not-supported", "_summary", "only count and false are supported")
    seed = repr((resource.type, sorted((c.name, c.modifier, c.values) for c in criteria), sort))
    mark = hashlib.sha256(seed.encode()).hexdigest()[:16]
    return Wish(
        criteria=criteria,
        sort=sort,
        include=tuple(_include(resource, value) for value in given.get("_include", ())),
        count=_count(given),
        offset=_offset(given, mark),
        only_count=summary == "count",
        mark=mark,
    )


def _criterion(resource: Resource, given: str, text: str) -> Criterion:
    name, _, modifier = given.partition(":")
    param = ID if name == "_id" else resource.params.get(name)
    if param is None:
        shown = given[:40] if given.isascii() else "parameter"
        raise Unfit(400, "not-supported", shown, "not a search parameter of this type here")
    if modifier in param.target:
        text, modifier = f"{modifier}/{text}", ""
    known = frozenset[str]() if param.is_kept else _MODIFIERS.get(param.kind, frozenset())
    if modifier and modifier not in known:
        raise Unfit(400, "not-supported", name, "this modifier is not supported")
    values = tuple(value for value in _split(text) if value)
    if not values or len(values) > ALTERNATIVES_MAX:
        raise Unfit(400, "invalid", name, "has no value, or too many")
    if param.kind is ParamKind.DATE:
        for value in values:
            stretch(value, name)
    return Criterion(name, param, modifier, values)


def _check_kept(criteria: Sequence[Criterion]) -> None:
    """A board's search hears each of its own parameters once: another one would be lost."""
    seen: set[str] = set()
    for criterion in criteria:
        if criterion.param.is_kept and criterion.param.path in seen:
            raise Unfit(400, "not-supported", criterion.name, "can be asked for once only")
        if criterion.param.is_kept:
            seen.add(criterion.param.path)


def _split(text: str) -> Iterator[str]:
    """At commas that are not escaped."""
    part = ""
    escaped = False
    for letter in text:
        if escaped:
            part += letter if letter in ",\\$|" else "\\" + letter
            escaped = False
        elif letter == "\\":
            escaped = True
        elif letter == ",":
            yield part
            part = ""
        else:
            part += letter
    yield part


def _check_format(given: Mapping[str, list[str]]) -> None:
    wanted = (given.get("_format") or ["json"])[0].partition(";")[0].strip()
    if wanted not in ("json", "application/json", "application/fhir+json", "text/json"):
        raise Unfit(406, "not-supported", "_format", "only application/fhir+json is spoken here")
    if (given.get("_total") or ["none"])[0] not in ("none", "estimate", "accurate"):
        raise Unfit(400, "invalid", "_total", "none, estimate or accurate")


def _sort(resource: Resource, given: Mapping[str, list[str]]) -> tuple[tuple[str, bool], ...]:
    found = []
    for part in filter(None, (given.get("_sort") or [""])[0].split(",")):
        name = part.removeprefix("-")
        if name != "_id" and name not in resource.params:
            raise Unfit(400, "not-supported", "_sort", "not a search parameter of this type here")
        found.append((name, part.startswith("-")))
    return tuple(found)


def _include(resource: Resource, value: str) -> tuple[str, str]:
    parts = value.split(":")
    param = resource.params.get(parts[1]) if len(parts) >= _PAIR else None
    if parts[0] != resource.type or param is None or param.kind is not ParamKind.REFERENCE:
        raise Unfit(400, "not-supported", "_include", "not a reference of this type here")
    return parts[1], parts[2] if len(parts) > _PAIR else ""


def _count(given: Mapping[str, list[str]]) -> int:
    text = (given.get("_count") or [str(COUNT_DEFAULT)])[0]
    if not (text.isascii() and text.isdigit() and len(text) < 7):  # noqa: PLR2004 - digits
        raise Unfit(400, "invalid", "_count", "not a count")
    return min(int(text), COUNT_MAX)


def _offset(given: Mapping[str, list[str]], mark: str) -> int:
    if "_page" not in given:
        return 0
    number, _, of = given["_page"][0].partition(".")
    if of != mark or not (number.isascii() and number.isdigit() and len(number) < 7):  # noqa: PLR2004 - digits
        raise Unfit(400, "invalid", "_page", "not a page of this search")
    return int(number)


# ── matching ─────────────────────────────────────────────────────────────────────────────────


def fits(resource: Json, criteria: Sequence[Criterion]) -> bool:
    """Whether a resource is what was asked for; what the board keeps to by itself is not asked."""
    return all(
        criterion.param.is_kept
        or any(_matches(criterion, value, resource) for value in criterion.values)
        for criterion in criteria
    )


def _matches(criterion: Criterion, value: str, resource: Json) -> bool:
    found = tuple(elements(resource, criterion.param.path))
    match criterion.param.kind:
        case ParamKind.TOKEN:
            return any(_is_token(value, element) for element in found)
        case ParamKind.STRING:
            return any(_is_text(value, criterion.modifier, t) for e in found for t in _texts(e))
        case ParamKind.DATE:
            return any(_is_when(value, element) for element in found)
        case ParamKind.REFERENCE:
            return any(_is_reference(value, element) for element in found)
    raise AssertionError(criterion.param.kind)


def elements(resource: Json, path: str) -> Iterator[Any]:
    """The elements at a path, or at any of several (``a.b|c``), lists laid flat."""
    for one in path.split("|"):
        level: list[Any] = [resource]
        for name in one.split("."):
            below = (part[name] for part in level if isinstance(part, dict) and name in part)
            level = [
                leaf for part in below for leaf in (part if isinstance(part, list) else [part])
            ]
        yield from level


def _is_token(value: str, element: Any) -> bool:
    system, bar, code = value.rpartition("|")
    if isinstance(element, str | bool):
        own = str(element).lower() if isinstance(element, bool) else element
        return own == code
    if "coding" in element:
        return any(_is_token(value, coding) for coding in element["coding"])
    if bar and element.get("system", "") != system:
        return False
    return not code or code in (element.get("code"), element.get("value"))


def _texts(element: Any) -> Iterator[str]:
    if isinstance(element, str):
        yield element
    elif isinstance(element, dict):
        for name in ("text", "family", "display", "value", "city", "line"):
            if isinstance(element.get(name), str):
                yield element[name]
        yield from element.get("given", ())


def _is_text(value: str, modifier: str, own: str) -> bool:
    if modifier == "exact":
        return own == value
    wanted, have = value.casefold(), own.casefold()
    return wanted in have if modifier == "contains" else have.startswith(wanted)


def _is_reference(value: str, element: Any) -> bool:
    own = element.get("reference", "") if isinstance(element, dict) else ""
    wanted = value.rpartition("/")
    return bool(own) and (
        own == "/".join(value.split("/")[-2:]) if wanted[1] else own.rpartition("/")[2] == value
    )


def stretch(value: str, name: str) -> tuple[str, datetime, datetime]:
    """A date parameter: its prefix, and the stretch of time it names."""
    prefix = value[:2] if value[:2] in _PREFIXES else ""
    try:
        start, end = span_of(value.removeprefix(prefix).replace(" ", "+"))
    except ValueError:
        raise Unfit(400, "invalid", name, "not a date, or a prefix that is not known") from None
    return prefix or "eq", start, end


def _is_when(value: str, element: Any) -> bool:
    prefix, low, high = stretch(value, "")
    start, end = _own_span(element)
    equal = low <= start and end <= high
    return {
        "eq": equal,
        "ne": not equal,
        "gt": end > high,
        "lt": start < low,
        "ge": equal or end > high,
        "le": equal or start < low,
        "sa": start >= high,
        "eb": end <= low,
    }[prefix]


def _own_span(element: Any) -> tuple[datetime, datetime]:
    if isinstance(element, str):
        return span_of(element)
    start = span_of(element["start"])[0] if "start" in element else _NEVER
    return start, span_of(element["end"])[1] if "end" in element else _EVER


# ── order ────────────────────────────────────────────────────────────────────────────────────


def in_order(resource: Resource, found: Sequence[Json], wish: Wish) -> list[Json]:
    """As the client wants them; without a wish as the board gave them. Nothing comes last."""
    ordered = list(found)
    for name, descending in reversed(wish.sort):
        param = ID if name == "_id" else resource.params[name]
        known = [r for r in ordered if _key(param, r) is not None]
        known.sort(key=lambda r, p=param: _key(p, r), reverse=descending)  # type: ignore[misc]  # one kind a parameter
        ordered = known + [r for r in ordered if _key(param, r) is None]
    return ordered


def _key(param: Param, resource: Json) -> Any:
    for element in elements(resource, param.path):
        if param.kind is ParamKind.DATE:
            return _own_span(element)[0]
        if isinstance(element, str | bool):
            return str(element)
        if param.kind is ParamKind.STRING:
            return next(_texts(element), None)
        inner = (element.get("coding") or [element])[0]
        return inner.get("code") or inner.get("value") or inner.get("reference")
    return None
