"""Gateway 网关: one front for pages, interfaces and streams. Bare ASGI; see ADR 0010.

Order of a request: host, method, origin, static files, person, pace, token, route. Whatever ends
it, the answer carries the security headers and a request id, and the log carries no patient data.
"""

import logging
import secrets
import time
from collections.abc import MutableMapping
from typing import Any
from uuid import UUID

import msgspec

from plugward.commons.hub.fhir import BASE as FHIR
from plugward.commons.hub.fhir import Asked, FhirServer
from plugward.commons.identity.contract import SignedIn
from plugward.kernel.access import AccessScope
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import Fault, Refusal, Unavailable
from plugward.kernel.runtime import Runtime
from plugward.kit.ids import new_id

from . import assets, fhir_door
from .answers import MACHINE_PATHS, Answers
from .contract import Portal
from .door import Doors, Visit
from .frame import Framer
from .guard import METHODS, UNSAFE, Guard, Pace, check_csrf, is_loopback
from .http import Gone, HttpError, Receive, Request, Response, Scope, Send, one, redirect
from .interfaces import Interfaces
from .live import Streams
from .own_account import PAGE, OwnAccount
from .pages_served import PagesServed
from .running import within
from .signing_in import SigningIn
from .table import Table

_log = logging.getLogger("plugward.portal")
_access = logging.getLogger("plugward.access")
UUID_VERSION = 7  # it tells its own age
REQUEST_S = 60.0  # pages and operations have their own, shorter, limits
OPEN_WHEN_LOCKED = frozenset({"/portal/unlock", "/portal/lock", "/logout", "/login"})


class Gateway:
    """The ASGI application of one process."""

    def __init__(
        self, runtime: Runtime, *, hosts: frozenset[str], demo: bool, https: bool = False
    ) -> None:
        settings = runtime.plugged["portal"].settings
        self._runtime = runtime
        self._settings = settings
        self._guard = Guard(hosts, https=https)
        self._pace = Pace(in_flight_max=settings["in_flight_max"])
        self._table = Table(runtime.shown)
        self.framer = Framer(runtime.clock, demo=demo)
        self.doors = Doors(runtime, https=https)
        self.streams = Streams(runtime, per_person_max=settings["streams_max"])
        self._answers = Answers(self.framer)
        self._pages = PagesServed(runtime, self.framer, page_s=settings["page_ms_max"] / 1000)
        self._signing_in = SigningIn(
            self.doors,
            self.framer,
            {"zh-CN": settings["hospital_name"], "en": settings["hospital_name_en"]},
        )
        self._interfaces = Interfaces(runtime)
        self._fhir = FhirServer(runtime)
        self._own_account = OwnAccount(runtime, self.doors, self.framer)
        self._portal: Portal = runtime.client(Portal, caller="portal")

    async def prepare(self) -> None:
        """Learn the names of places and compile the first templates before anybody waits."""
        request = Request({"type": "http", "method": "GET", "path": "/", "headers": [],
                           "query_string": b"", "client": ("127.0.0.1", 0)}, _nothing)  # fmt: skip
        self._signing_in.learn(await self.doors.welcome(request, Visit()))

    @property
    def table(self) -> Table:
        """The pages as the boards are plugged in at this moment."""
        if not self._table.is_of(self._runtime):
            self._table = Table(self._runtime.shown)
        return self._table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # no websockets; the server handles the life span itself
        request = Request(scope, receive)
        started = time.perf_counter()
        response = Response(status=500, kind="")
        try:
            response = await self._answered(request)
            self._guard.dress(response, request.id)
            await response.send(send, head_only=request.method == "HEAD")
        except Gone:
            return
        finally:
            _access.info(
                "%s %s %s %.1fms",
                request.method,
                request.route or "-",
                response.status,
                (time.perf_counter() - started) * 1000,
                extra={"request": request.id},
            )

    async def _answered(self, request: Request) -> Response:
        """An answer, whatever happens: errors are answers too."""
        request.id = _request_id(request)
        visit = Visit()

        async def run() -> Response:
            return await self._let_in(request, visit)

        try:
            return await within(REQUEST_S, run, board="portal")
        except HttpError as error:
            if fhir_door.is_fhir(request):
                return fhir_door.denied(error)
            return self._answers.error(self.table, request, visit, error)
        except (Refusal, Unavailable, Fault) as problem:
            if fhir_door.is_fhir(request):
                return fhir_door.response(FhirServer.failed(problem))
            return self._problem(request, visit, problem)

    def _problem(
        self, request: Request, visit: Visit, problem: Refusal | Unavailable | Fault
    ) -> Response:
        if isinstance(problem, Refusal):
            return self._answers.refusal(self.table, request, visit, problem)
        return self._answers.problem(self.table, request, visit, problem)

    async def _let_in(self, request: Request, visit: Visit) -> Response:
        """What every request must pass, in this order."""
        self._guard.check_host(request)
        if request.method not in METHODS and not fhir_door.is_update(request):
            raise HttpError(405, "method")
        self._guard.check_origin(request)
        if request.path.startswith("/static/"):
            request.route = "static"
            return assets.serve(request)
        await self.doors.look(request, visit)
        client = self._paced(request, visit)
        self._pace.enter(client)
        try:
            answer = self._spoken if fhir_door.is_fhir(request) else self._routed
            return await answer(request, visit)
        finally:
            self._pace.leave(client)

    def _paced(self, request: Request, visit: Visit) -> str:
        """Count the request for its person, or for the address of a stranger."""
        settings = self._settings
        if visit.signed is not None:
            client = visit.client
            per_s, burst = settings["rate_per_s"], settings["rate_burst"]
        else:
            client = f"address:{request.address}"
            per_s, burst = settings["guest_rate_per_s"], settings["guest_rate_burst"]
        self._pace.take(client, per_s=per_s, burst=burst)
        return client

    async def _routed(self, request: Request, visit: Visit) -> Response:
        """Where it goes: first what is for everybody, then what needs a session."""
        path, table = request.path, self.table
        if path in self._interfaces.open_paths:
            return await self._interfaces.open(request)
        if visit.locked is not None and path not in OPEN_WHEN_LOCKED:
            return await self._signing_in.locked(table, request, visit)
        if path in self._signing_in.paths:
            request.route = path
            return await self._signing_in.answer(table, request, visit)
        if path.startswith(MACHINE_PATHS):
            called = path.startswith("/api/")
            return await (self._called if called else self._described)(request, visit)
        if visit.signed is None:
            return await self._signing_in.needed(table, request, visit)
        return await self._inside(request, visit, visit.signed)

    async def _inside(self, request: Request, visit: Visit, signed: SignedIn) -> Response:
        """For somebody with a session."""
        if request.path in self._own_account.paths:
            act = _act_of(request, {})
            return await self._own_account.answer(self.table, request, visit, act)
        if signed.must_change_password:
            return redirect(PAGE)  # nothing else is open until then
        own = {"/portal/live": self._stream, "/portal/draft-key": self._draft_key}
        return await own.get(request.path, self._page)(request, visit)

    async def _page(self, request: Request, visit: Visit) -> Response:
        """A page or an action of a board, as the signed-in person."""
        assert visit.signed is not None
        form = await request.form() if request.method in UNSAFE else {}
        if request.method in UNSAFE and visit.from_cookie:
            check_csrf(request, visit.reference, one(form, "_csrf"))
        act = _act_of(request, form)
        actor = self.doors.actor(request, visit.signed, visit)
        with acting_as(actor, campus=visit.signed.campus, request=act):
            async with AccessScope(self._runtime.audit.append):
                viewer = self.doors.viewer(visit.signed, visit.language)
                return await self._pages.answer(self.table, request, visit, viewer, form)

    async def _called(self, request: Request, visit: Visit) -> Response:
        """An operation of a contract, by JSON."""
        request.route = "api"
        if visit.signed is None:
            raise HttpError(401, "sign-in-needed")
        if visit.from_cookie and request.method in UNSAFE:
            check_csrf(request, visit.reference, None)
        actor = self.doors.actor(request, visit.signed, visit)
        campus = request.headers.get("x-campus", visit.signed.campus)
        if not actor.sees(campus):
            raise HttpError(403, "campus")
        with acting_as(actor, campus=campus, request=_act_of(request, {})):
            async with AccessScope(self._runtime.audit.append):
                return await self._interfaces.call(self.table, request)

    async def _spoken(self, request: Request, visit: Visit) -> Response:
        """FHIR: the same door as for operations, another language behind it."""
        request.route = "fhir"
        if visit.locked is not None:
            raise visit.locked
        path = request.path.removeprefix(FHIR)
        base = fhir_door.base_of(request, https=self.doors.https)
        asked = Asked(request.method, path, request.query, request.headers, base)
        if path == "/metadata" and (visit.signed is not None or is_loopback(request)):
            return fhir_door.response(await self._fhir.answer(asked))
        if visit.signed is None:
            raise HttpError(401, "sign-in-needed")
        if request.method in UNSAFE:
            if visit.from_cookie:
                check_csrf(request, visit.reference, None)
            asked = msgspec.structs.replace(asked, body=await request.body())
        actor = self.doors.actor(request, visit.signed, visit)
        campus = request.headers.get("x-campus", visit.signed.campus)
        if not actor.sees(campus):
            raise HttpError(403, "campus")
        with acting_as(actor, campus=campus, request=_act_of(request, {})):
            async with AccessScope(self._runtime.audit.append):
                return fhir_door.response(await self._fhir.answer(asked))

    async def _draft_key(self, request: Request, visit: Visit) -> Response:
        """The key that seals this person's drafts on the device: only to an open session."""
        request.route = "draft-key"
        assert visit.signed is not None
        if request.method != "POST":
            raise HttpError(405, "method")
        check_csrf(request, visit.reference, None)
        with acting_as(self.doors.actor(request, visit.signed, visit), campus=visit.signed.campus):
            key = await self._portal.my_draft_key()
            if key is None:
                key = await self._portal.keep_draft_key(secrets.token_bytes(32))
        return Response(key, kind="application/octet-stream")

    async def _described(self, request: Request, visit: Visit) -> Response:
        """Metrics and interface descriptions: on this machine, or with the right (SEC-API-07)."""
        request.route = "description"
        allowed = visit.signed and "portal.metrics" in visit.signed.permissions
        if not allowed and not is_loopback(request):
            raise HttpError(404, "not-found")
        return self._interfaces.described(self.table, request)

    async def _stream(self, request: Request, visit: Visit) -> Response:
        request.route = "live"
        assert visit.signed is not None
        topics = [t for v in request.values().get("topics", []) for t in v.split(",") if t]
        stream = self.streams.open(
            request,
            topics,
            lambda: self.doors.still(request, visit),
            self.doors.actor(request, visit.signed, visit),
        )
        answer = Response(kind="text/event-stream; charset=utf-8", stream=stream)
        return answer.header("cache-control", "no-store").header("x-accel-buffering", "no")


async def _nothing() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}


def _request_id(request: Request) -> str:
    """The id of this request in logs and answers: the caller's if it is a UUID, else a new one."""
    try:
        return str(UUID(request.headers.get("x-request-id", "")))
    except ValueError:
        return str(new_id())


def _act_of(request: Request, form: dict[str, list[str]]) -> UUID:
    """The id of the act: the browser's own, so that a retry is known as one."""
    try:
        act = UUID((form.get("_act") or [""])[0] or request.id)
    except ValueError:
        raise HttpError(422, "request-id") from None
    if act.version == UUID_VERSION:
        return act
    if request.method in UNSAFE:
        raise HttpError(422, "request-id")  # its age cannot be told, so it cannot be known again
    return new_id()
