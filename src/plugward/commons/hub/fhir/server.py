"""The server: a request for ``/fhir/R4`` becomes calls of boards, and their answer a resource."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from plugward.kernel.envelope import acting_as, current_call
from plugward.kernel.fhir import (
    Ask,
    Found,
    Json,
    Made,
    Resource,
    Unfit,
    needs_of,
    resources_of,
    tidy,
)
from plugward.kernel.refusals import Fault, Forbidden, NotFound, Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import derive

from . import bundles, capability
from .outcome import Problem, of_problem, outcome
from .search import Wish, elements, fits, in_order, pairs_of, understand

BASE = "/fhir/R4"
KIND = "application/fhir+json; charset=utf-8"
BODY_BYTES_MAX = 1 << 20
DEPTH_MAX = 40
INCLUDED_MAX = 100
LOCKS_MAX = 1_024
_JSON = frozenset({"application/fhir+json", "application/json"})
_ANY = _JSON | {"*/*", "application/*", ""}
_encode = msgspec.json.Encoder().encode


class Asked(msgspec.Struct, frozen=True):
    """A request whose sender has been let in. ``path`` begins behind ``/fhir/R4``."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    base: str
    body: bytes = b""


class Answered(msgspec.Struct, frozen=True):
    status: int
    resource: Json | None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        return _encode(self.resource) if self.resource is not None else b""


class FhirServer:
    """Answers with what the boards that are plugged in declare."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: tuple[str, ...] | None = None
        self._resources: dict[str, Resource] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    @property
    def resources(self) -> dict[str, Resource]:
        """The resource types by name, as the boards are plugged in at this moment."""
        boards = self._runtime.boards
        if tuple(boards) != self._known:
            self._resources = {
                resource.type: resource
                for board in boards.values()
                for resource in resources_of(board.package)
            }
            self._known = tuple(boards)
        return self._resources

    async def answer(self, asked: Asked) -> Answered:
        """One request. Raises a refusal, ``Unavailable`` or ``Fault``, for ``failed``."""
        try:
            _check_accept(asked.headers.get("accept", ""))
            if asked.path in ("", "/"):
                return await self._bundle(asked)
            return await self._interaction(asked, _body_of(asked) if asked.body else None)
        except Unfit as unfit:
            return self.failed(unfit)

    @staticmethod
    def failed(problem: Problem) -> Answered:
        status, resource = of_problem(problem)
        return Answered(status, resource)

    async def _interaction(self, asked: Asked, body: Json | None) -> Answered:
        parts = [part for part in asked.path.split("/") if part]
        if parts == ["metadata"] and asked.method in ("GET", "HEAD"):
            return self._metadata(asked)
        resource = self.resources.get(parts[0]) if parts else None
        if resource is None:
            raise Unfit(404, "not-supported", "", "this resource type is not held here")
        match asked.method, parts[1:]:
            case "GET" | "HEAD", [id_]:
                return await self._read(resource, id_, asked)
            case "GET" | "HEAD", []:
                return await self._search(resource, asked)
            case "POST", []:
                return await self._create(resource, body, asked)
            case "PUT", [id_]:
                return await self._update(resource, id_, body, asked)
        raise Unfit(405, "not-supported", "", "this interaction is not offered")

    def _metadata(self, asked: Asked) -> Answered:
        now = self._runtime.clock.now()
        return Answered(200, capability.statement(self.resources, base=asked.base, at=now))

    # ── reading ─────────────────────────────────────────────────────────────────────────────
    async def _read(self, resource: Resource, id_: str, asked: Asked) -> Answered:
        found = await self._get(resource, id_)
        if found is None:
            raise Unfit(404, "not-found", "", "no such resource, or none that you may see")
        if etag_of(found) in _tags(asked.headers.get("if-none-match", "")):
            return Answered(304, None, (("etag", etag_of(found)),))
        return Answered(200, _dressed(found), (("etag", etag_of(found)),))

    async def _get(self, resource: Resource, id_: str) -> Json | None:
        try:
            found: Json | None = await self._call(resource.read, id_)
        except NotFound:
            return None
        return found

    async def _search(self, resource: Resource, asked: Asked) -> Answered:
        pairs = pairs_of(asked.query)
        wish = understand(resource, pairs)
        found = await self._found(resource, wish)
        matching = [one for one in found.resources if fits(one, wish.criteria)]
        ordered = in_order(resource, matching, wish)
        page = ordered[wish.offset : wish.offset + wish.count]
        empty = wish.only_count or not wish.count
        entries = [] if empty else [_entry(asked.base, one, "match") for one in page]
        if not empty and wish.include:
            included = await self._included(resource, page, wish)
            entries += [_entry(asked.base, one, "include") for one in included]
        if not found.is_whole:
            entries.append({"resource": _NOT_WHOLE, "search": {"mode": "outcome"}})
        own = f"{asked.base}/{resource.type}"
        kept = [(name, value) for name, value in pairs if name != "_page"]
        links = [{"relation": "self", "url": _url(own, pairs)}]
        rest = len(ordered) > wish.offset + wish.count
        if rest and not empty:
            more = [*kept, ("_page", wish.page(wish.offset + wish.count))]
            links.append({"relation": "next", "url": _url(own, more)})
        bundle: Json = {"resourceType": "Bundle", "type": "searchset", "link": links}
        bundle["entry"] = entries
        if found.is_whole:
            bundle["total"] = len(ordered)
        return Answered(200, tidy(bundle))

    async def _found(self, resource: Resource, wish: Wish) -> Found:
        if resource.search is None:
            raise Unfit(405, "not-supported", "", "searching this type is not offered")
        if any(set(start) <= wish.names for start in resource.starts):
            return await self._whole(resource, wish)
        if "_id" not in wish.names:
            starts = "; ".join(" and ".join(names) for names in (("_id",), *resource.starts))
            raise Unfit(400, "required", "", f"a search of this type starts from: {starts}")
        kept = [c.name for c in wish.criteria if c.param.is_kept]
        if kept:
            raise Unfit(400, "not-supported", kept[0], "not together with _id alone")
        ids = dict.fromkeys(v.rpartition("/")[2] for v in wish.query.one_of("_id"))
        return Found(await self._many(resource, tuple(ids)))

    async def _whole(self, resource: Resource, wish: Wish) -> Found:
        try:
            found: Found = await self._call(resource.search, wish.query)
        except NotFound:
            return Found(())  # a search for what is not there finds nothing
        return found

    async def _many(self, resource: Resource, ids: Sequence[str]) -> list[Json]:
        if resource.many is not None:
            try:
                return list(await self._call(resource.many, tuple(ids)))
            except NotFound:  # one of them is gone: the others still count
                return [one for id_ in ids for one in await self._one(resource, id_)]
        return [one for id_ in ids for one in await self._one(resource, id_)]

    async def _one(self, resource: Resource, id_: str) -> list[Json]:
        found = await self._get(resource, id_)
        return [] if found is None else [found]

    async def _included(
        self, resource: Resource, page: Sequence[Json], wish: Wish
    ) -> Iterable[Json]:
        """What the page's resources refer to, once each; what the caller may not see is absent."""
        wanted: dict[str, dict[str, None]] = {}
        for name, only in wish.include:
            for one in page:
                for element in elements(one, resource.params[name].path):
                    kind, _, id_ = str(element.get("reference", "")).partition("/")
                    if kind in self.resources and only in ("", kind):
                        wanted.setdefault(kind, {})[id_] = None
        found: list[Json] = []
        for kind, ids in wanted.items():
            chosen = tuple(ids)[: INCLUDED_MAX - len(found)]
            try:
                found += await self._many(self.resources[kind], chosen)
            except Forbidden:
                continue
        return found

    # ── writing ─────────────────────────────────────────────────────────────────────────────
    async def _create(self, resource: Resource, body: Json | None, asked: Asked) -> Answered:
        if resource.create is None:
            raise Unfit(405, "not-supported", "", "creating this type is not offered")
        sent = _sent(resource, body)
        condition = asked.headers.get("if-none-exist", "")
        if condition:
            there = await self._existing(resource, condition)
            if there is not None:
                return _stored(asked, there, 200)
        made: Made = await self._call(resource.create, sent, self._ask())
        return _stored(asked, made.resource, 201 if made.is_new else 200)

    async def _existing(self, resource: Resource, condition: str) -> Json | None:
        wish = understand(resource, pairs_of(condition.partition("?")[2] or condition))
        if not wish.names <= set(resource.conditional) or not wish.criteria:
            allowed = ", ".join(resource.conditional) or "nothing"
            raise Unfit(412, "not-supported", "If-None-Exist", f"may be conditional on: {allowed}")
        found = await self._found(resource, wish)
        matching = [one for one in found.resources if fits(one, wish.criteria)]
        if len(matching) > 1 or not found.is_whole:
            raise Unfit(412, "multiple-matches", "If-None-Exist", "more than one fits")
        return matching[0] if matching else None

    async def _update(
        self, resource: Resource, id_: str, body: Json | None, asked: Asked
    ) -> Answered:
        if resource.update is None:
            raise Unfit(405, "not-supported", "", "updating this type is not offered")
        sent = _sent(resource, body)
        if sent.get("id") != id_:
            raise Unfit(400, "invalid", f"{resource.type}.id", "not the id in the address")
        lock = self._lock(f"{resource.type}/{id_}")
        async with lock:
            before = await self._get(resource, id_)
            if before is None:
                raise Unfit(404, "not-found", "", "no such resource, or none that you may see")
            condition = asked.headers.get("if-match", "")
            if condition and etag_of(before) not in _tags(condition):
                raise Unfit(412, "conflict", "If-Match", "it has changed since: read it again")
            after: Json = await self._call(resource.update, before, sent, self._ask())
        return _stored(asked, after, 200)

    def _lock(self, key: str) -> asyncio.Lock:
        """Updates of one resource by way of this server come one after the other."""
        if len(self._locks) > LOCKS_MAX:
            self._locks = {k: lock for k, lock in self._locks.items() if lock.locked()}
        return self._locks.setdefault(key, asyncio.Lock())

    # ── several at once ─────────────────────────────────────────────────────────────────────
    async def _bundle(self, asked: Asked) -> Answered:
        if asked.method != "POST":
            raise Unfit(405, "not-supported", "", "only bundles are posted here")
        bundle = _body_of(asked)
        kind = bundle.get("type")
        if bundle.get("resourceType") != "Bundle" or kind not in ("batch", "transaction"):
            raise Unfit(422, "invalid", "Bundle.type", "a batch or a transaction is expected")
        steps = bundles.steps_of(bundle)
        if kind == "transaction":
            bundles.check_atomic(steps)
            steps = tuple(bundles.in_turn(steps))
        done: dict[int, Json] = {}
        for step in steps:
            done[step.number] = await self._step(step, asked, stops=kind == "transaction")
        entries = [done[number] for number in sorted(done)]
        answer = {"resourceType": "Bundle", "type": f"{kind}-response", "entry": entries}
        return Answered(200, tidy(answer))

    async def _step(self, step: bundles.Step, asked: Asked, *, stops: bool) -> Json:
        """One entry, as a request of its own whose id follows from the whole one's."""
        path, _, query = step.url.removeprefix(asked.base).partition("?")
        inner = Asked(
            method=step.method,
            path=path,
            query=query,
            headers=step.headers,
            base=asked.base,
        )
        envelope = _running().envelope
        with acting_as(
            envelope.actor,
            campus=envelope.campus,
            request=derive(envelope.request, "fhir-entry", step.number),
        ):
            try:
                answered = await self._interaction(inner, step.body)
            except (Unfit, Refusal, Unavailable, Fault) as problem:
                if stops:
                    raise
                answered = self.failed(problem)
        headers = dict(answered.headers)
        is_error = answered.status >= 400  # noqa: PLR2004 - HTTP
        response = {
            "status": str(answered.status),
            "location": headers.get("location"),
            "etag": headers.get("etag"),
            "outcome": answered.resource if is_error else None,
        }
        return {"resource": None if is_error else answered.resource, "response": response}

    # ── calling boards ──────────────────────────────────────────────────────────────────────
    async def _call(self, function: Callable[..., Awaitable[Any]] | None, *given: Any) -> Any:
        assert function is not None
        needs = needs_of(function, len(given))
        clients = {name: self._runtime.client(kind, caller="hub") for name, kind in needs.items()}
        return await function(*given, **clients)

    def _ask(self) -> Ask:
        envelope = _running().envelope
        return Ask(envelope.request, envelope.campus, self._runtime.clock.now())


_NOT_WHOLE = outcome(
    "incomplete",
    "there may be more than could be looked at: narrow the search",
    severity="warning",
)


def _running() -> Any:
    call = current_call()
    assert call is not None, "the gateway opens a call for every request"
    return call


def etag_of(resource: Json) -> str:
    return f'W/"{_version(resource)}"'


def _version(resource: Json) -> str:
    """What a resource says, in one word: the same as long as it says the same."""
    text = json.dumps(resource, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _dressed(resource: Json) -> Json:
    return {**resource, "meta": {"versionId": _version(resource)}}


def _tags(header: str) -> set[str]:
    found = {part.strip() for part in header.split(",")}
    return {f'W/"{tag.removeprefix("W/").strip(chr(34))}"' for tag in found if tag}


def _entry(base: str, resource: Json, mode: str) -> Json:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": _dressed(resource), "search": {"mode": mode}}


def _stored(asked: Asked, resource: Json, status: int) -> Answered:
    place = f"{asked.base}/{resource['resourceType']}/{quote(resource['id'])}"
    headers = (("etag", etag_of(resource)), ("location", place))
    return Answered(status, _dressed(resource), headers)


def _url(own: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"{own}?{urlencode(pairs)}" if pairs else own


def _sent(resource: Resource, body: Json | None) -> Json:
    if body is None:
        raise Unfit(400, "required", resource.type, "a resource is expected")
    if body.get("resourceType") != resource.type:
        raise Unfit(400, "invalid", "resourceType", f"a {resource.type} is expected")
    return body


# ── the body ─────────────────────────────────────────────────────────────────────────────────


def _check_accept(header: str) -> None:
    kinds = {part.partition(";")[0].strip().lower() for part in header.split(",")}
    if not kinds & _ANY:
        raise Unfit(406, "not-supported", "Accept", "only application/fhir+json is spoken here")


def _body_of(asked: Asked) -> Json:
    kind, _, rest = asked.headers.get("content-type", "").lower().partition(";")
    if kind.strip() not in _JSON or ("charset" in rest and "utf-8" not in rest):
        raise Unfit(415, "not-supported", "Content-Type", "application/fhir+json in UTF-8 only")
    if len(asked.body) > BODY_BYTES_MAX:
        raise Unfit(413, "too-long", "", f"at most {BODY_BYTES_MAX} bytes")
    try:
        found = json.loads(
            asked.body.decode(),
            object_pairs_hook=_no_doubles,
            parse_constant=_no_constant,
            parse_float=Decimal,
        )
    except (ValueError, RecursionError):
        raise Unfit(400, "structure", "", "not JSON, or an element stands twice") from None
    if not isinstance(found, dict):
        raise Unfit(400, "structure", "", "not a JSON object")
    _check_depth(found, 0)
    return found


def _no_doubles(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an element stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Any, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise Unfit(400, "structure", "", f"nested deeper than {DEPTH_MAX}")
    parts = value.values() if isinstance(value, dict) else value
    for part in parts if isinstance(value, dict | list) else ():
        _check_depth(part, depth + 1)
