"""A portal to ask: identity, the portal and a small board, answered in this process."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

import pytest

from plugward.commons.identity.board import board as identity_board
from plugward.commons.identity.demo import Login
from plugward.commons.identity.seed import DEMO_STAFF
from plugward.commons.portal.board import board as portal_board
from plugward.commons.portal.gateway import Gateway
from plugward.commons.portal.guard import LOOPBACK_NAMES
from plugward.commons.portal.tests.specimen.board import board as specimen_board
from plugward.kernel.auditlog import AuditLog
from plugward.kernel.clock import ManualClock
from plugward.kernel.dispatch import Transport
from plugward.kernel.runtime import Runtime
from plugward.kernel.store.databases import MEMORY, Databases
from plugward.kit.ids import new_id

HOST = "127.0.0.1:8000"
DOCTOR = "D10247"
ADMINISTRATOR = "A10001"
CASHIER = "C10036"
SCREEN = "TV1001"
ELSEWHERE = "D20114"  # a doctor of campus C2
PASSWORD = "corr-ect-hrse"  # noqa: S105 - of invented people, in this test only
LOGINS = tuple(
    Login(
        staff_no=person.staff_no,
        password=PASSWORD,
        name=person.name,
        title=person.title,
        role=person.role,
        campus=person.campuses[0],
    )
    for person in DEMO_STAFF
    if person.staff_no in (DOCTOR, ADMINISTRATOR, CASHIER, ELSEWHERE, SCREEN)
)


class Reply:
    """What came back."""

    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = {name: value for name, value in headers}
        self.all_headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


class Browser:
    """A browser with its cookies, at one address."""

    def __init__(self, gateway: Gateway, *, address: str = "127.0.0.1", keeps_secure: bool = True):
        self._gateway = gateway
        self.address = address
        self.cookies: dict[str, str] = {}
        self._keeps_secure = keeps_secure

    async def ask(
        self,
        method: str,
        path: str,
        *,
        form: dict[str, Any] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        host: str = HOST,
    ) -> Reply:
        given = {"host": host, "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate"}
        if form is not None:
            body = urlencode(form, doseq=True).encode()
            given["content-type"] = "application/x-www-form-urlencoded"
        if method == "POST":
            given["origin"] = f"http://{host}"
        given |= {name.lower(): value for name, value in (headers or {}).items()}
        if self.cookies:
            given["cookie"] = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        content = body or b""
        given["content-length"] = str(len(content))
        reply = await send(self._gateway, method, path, given, content, self.address)
        for name, value in reply.all_headers:
            if name == "set-cookie":
                self._keep(value)
        return reply

    def _keep(self, cookie: str) -> None:
        pair, _, rest = cookie.partition(";")
        name, _, value = pair.partition("=")
        if "secure" in rest.lower() and not self._keeps_secure:
            return
        if "Max-Age=0" in rest:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    async def get(self, path: str, **kwargs: Any) -> Reply:
        return await self.ask("GET", path, **kwargs)

    async def post(self, path: str, form: dict[str, Any], **kwargs: Any) -> Reply:
        """A form of a page, with the page's own token and a fresh act."""
        form = {"_csrf": self.csrf, "_act": str(new_id()), **form}
        return await self.ask("POST", path, form=form, **kwargs)

    async def call(self, operation: str, arguments: Any, **headers: str) -> Reply:
        board, _, name = operation.partition(".")
        body = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
        given = {
            "content-type": "application/json",
            "x-csrf-token": self.csrf,
            "x-request-id": str(new_id()),
        }
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", f"/api/{board}/v1/{name}", body=body, headers=given)

    async def sign_in(self, staff_no: str) -> "Browser":
        page = await self.get("/login")
        token = page.text.split('name="_csrf" value="')[1].split('"')[0]
        reply = await self.post("/login", {"role": staff_no, "next": "/", "_csrf": token})
        assert reply.status == 303, reply.text
        return self

    @property
    def token(self) -> str:
        return self.cookies.get("__Host-plugward") or self.cookies.get("plugward", "")

    @property
    def csrf(self) -> str:
        from plugward.commons.portal.guard import csrf_token

        visit = self.cookies.get("__Host-plugward-visit") or self.cookies.get("plugward-visit", "")
        return csrf_token(self.token or visit)


async def send(
    gateway: Gateway, method: str, path: str, headers: dict[str, str], body: bytes, address: str
) -> Reply:
    plain, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": plain,
        "query_string": query.encode(),
        "headers": [(n.encode(), v.encode("utf-8")) for n, v in headers.items()],
        "client": (address, 40_000),
    }
    sent: list[Any] = []
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if given:
            return given.pop()
        return await asyncio.Event().wait()

    async def sender(message: Any) -> None:
        sent.append(message)

    await gateway(scope, receive, sender)
    start = next(m for m in sent if m["type"] == "http.response.start")
    pieces = b"".join(m.get("body", b"") for m in sent if m["type"] == "http.response.body")
    heads = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in start["headers"]]
    return Reply(start["status"], heads, pieces)


class Portal:
    """The running portal and its runtime."""

    def __init__(self, runtime: Runtime, gateway: Gateway, clock: ManualClock) -> None:
        self.runtime = runtime
        self.gateway = gateway
        self.clock = clock

    def browser(self, **kwargs: Any) -> Browser:
        return Browser(self.gateway, **kwargs)

    async def signed_in(self, staff_no: str = DOCTOR) -> Browser:
        return await self.browser().sign_in(staff_no)


Open = Callable[..., Any]


@pytest.fixture
async def open_portal() -> AsyncIterator[Open]:
    """Open portals with chosen settings."""
    running: list[Portal] = []

    async def open_one(
        *,
        https: bool = False,
        demo: bool = True,
        transport: Transport = Transport.STRICT,
        **settings: Any,
    ) -> Portal:
        clock = ManualClock("2026-03-02 08:00")
        runtime = Runtime(
            Databases(MEMORY),
            clock,
            AuditLog(None, clock),
            transport=transport,
            settings={"identity": {"demo": demo}, "portal": settings},
        )
        await runtime.start([identity_board, portal_board, specimen_board])
        if demo:
            await runtime.plugged["identity"].service.demo.admit(LOGINS)
        gateway = Gateway(runtime, hosts=LOOPBACK_NAMES, demo=demo, https=https)
        await gateway.prepare()
        running.append(Portal(runtime, gateway, clock))
        return running[-1]

    yield open_one
    for portal in running:
        portal.gateway.streams.close()
        await portal.runtime.stop()


@pytest.fixture
async def portal(open_portal: Open) -> Portal:
    found: Portal = await open_portal()
    return found


class Elements(HTMLParser):
    """The elements and attributes of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
