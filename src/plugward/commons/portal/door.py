"""Door 门禁: who comes in with a request. Sessions are identity's; the edge keeps no copy."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from plugward.commons.identity.contract import (
    Activate,
    DemoSignIn,
    Identity,
    SessionLocked,
    SignedIn,
    SignIn,
    Unlock,
    Welcome,
    hash_of_token,
)
from plugward.commons.identity.contract import Door as CameBy
from plugward.kernel.envelope import ANONYMOUS, Actor, acting_as
from plugward.kernel.pages import Viewer
from plugward.kernel.refusals import SignInNeeded
from plugward.kernel.runtime import Runtime
from plugward.vocabulary import CampusCode

from .guard import host_name
from .http import Request, Response
from .words import LANGUAGES

SESSION = "__Host-plugward"
VISIT = "__Host-plugward-visit"
DEVICE = "__Host-plugward-device"
# Browsers that keep no Secure cookie over plain HTTP on a loopback name get these, and are told so.
FALLBACK = {SESSION: "plugward", VISIT: "plugward-visit", DEVICE: "plugward-device"}
LANGUAGE = "plugward-language"
PLACE = "plugward-place"
DEVICE_SECONDS = 400 * 86_400


class Visit(msgspec.Struct):
    """One request's person, if there is one."""

    token: str = ""  # the session's reference, or empty
    signed: SignedIn | None = None
    locked: SessionLocked | None = None
    from_cookie: bool = False
    visit: str = ""  # the reference of somebody not signed in, for their token against forgery
    device: str = ""
    language: str = LANGUAGES[0]

    @property
    def reference(self) -> str:
        """What the token against forgery belongs to."""
        return self.token if self.signed or self.locked else self.visit

    @property
    def client(self) -> str:
        """Whom the pace is counted for; the gateway adds the address of strangers."""
        return f"staff:{self.signed.staff}" if self.signed else ""


class Doors:
    """Asks identity about every request."""

    def __init__(self, runtime: Runtime, *, https: bool) -> None:
        self._identity: Identity = runtime.client(Identity, caller="portal")
        self._runtime = runtime
        self.https = https

    async def look(self, request: Request, visit: Visit) -> None:
        """Who this is. An unknown or ended reference is nobody; a locked one is known by name."""
        cookies = request.cookies
        bearer = request.headers.get("authorization", "")
        visit.from_cookie = not bearer.startswith("Bearer ")
        token = self._read(cookies, SESSION) if visit.from_cookie else bearer[7:].strip()
        chosen = cookies.get(LANGUAGE, "")
        visit.visit = self._read(cookies, VISIT)
        visit.device = self._read(cookies, DEVICE)
        visit.language = chosen if chosen in LANGUAGES else LANGUAGES[0]
        if not token:
            return
        try:
            with self.stranger(request, visit):
                signed = await self._identity.session(
                    hash_of_token(token), "x-quiet" in request.headers
                )
        except SignInNeeded:
            return
        except SessionLocked as locked:
            visit.token, visit.locked = token, locked
            return
        visit.token, visit.signed = token, signed
        if chosen not in LANGUAGES and signed.language in LANGUAGES:
            visit.language = signed.language

    async def welcome(self, request: Request, visit: Visit) -> Welcome:
        """What the login page shows."""
        with self.stranger(request, visit):
            return await self._identity.welcome(came_by(request))

    async def sign_in(
        self, request: Request, visit: Visit, *, staff_no: str, password: str, place: "Chosen"
    ) -> str:
        """A new session; answers its new reference."""
        token = new_reference()
        with self.stranger(request, visit):
            await self._identity.sign_in(
                SignIn(
                    staff_no=staff_no,
                    password=password,
                    token=token,
                    campus=CampusCode(place.campus),
                    workplace=place.workplace,
                    language=visit.language,
                )
            )
        return token

    async def demo_sign_in(
        self, request: Request, visit: Visit, *, staff_no: str, place: "Chosen"
    ) -> str:
        """One click on a role, in the demo and on this machine; identity checks both."""
        token = new_reference()
        with self.stranger(request, visit):
            await self._identity.demo_sign_in(
                DemoSignIn(
                    staff_no=staff_no,
                    token=token,
                    door=came_by(request),
                    workplace=place.workplace,
                    language=visit.language,
                )
            )
        return token

    async def activate(
        self, request: Request, visit: Visit, *, staff_no: str, code: str, password: str
    ) -> str:
        """The first password, by a one-time code; the session begins with it."""
        token = new_reference()
        with self.stranger(request, visit):
            await self._identity.activate(
                Activate(
                    staff_no=staff_no,
                    code=code,
                    password=password,
                    token=token,
                    language=visit.language,
                )
            )
        return token

    async def unlock(self, request: Request, visit: Visit, password: str) -> SignedIn:
        with self.stranger(request, visit):
            return await self._identity.unlock(Unlock(token=visit.token, password=password))

    async def lock(self, request: Request, visit: Visit) -> None:
        with self.stranger(request, visit):
            await self._identity.lock(hash_of_token(visit.token))

    async def sign_out(self, request: Request, visit: Visit) -> None:
        with self.stranger(request, visit):
            await self._identity.sign_out(hash_of_token(visit.token))

    @contextmanager
    def stranger(self, request: Request, visit: Visit) -> Iterator[None]:
        """Ask identity as somebody unknown, at this device and address."""
        actor = msgspec.structs.replace(
            ANONYMOUS, address=request.address, device=visit.device or None
        )
        with acting_as(actor):
            yield

    async def still(self, request: Request, visit: Visit) -> SignedIn:
        """The same session a little later; refuses when it has ended or is locked."""
        with self.stranger(request, visit):
            return await self._identity.session(hash_of_token(visit.token), is_quiet=True)

    def actor(self, request: Request, signed: SignedIn, visit: Visit) -> Actor:
        return signed.actor(device=visit.device or None, address=request.address)

    def viewer(self, signed: SignedIn, language: str) -> Viewer:
        """The person as pages see them."""
        return Viewer(
            actor_id=f"staff:{signed.staff}",
            name=signed.name,
            title=signed.title,
            roles=signed.roles,
            permissions=frozenset(signed.permissions),
            campus=signed.campus,
            campuses=tuple(signed.campuses),
            department=signed.department,
            language=language,
            now=self._runtime.clock.now(),
            workplace=signed.workplace,
        )

    # ── cookies ─────────────────────────────────────────────────────────────────────────────
    def open_visit(self, response: Response, visit: Visit) -> None:
        """Give a stranger a reference, under both names: which comes back shows what is kept."""
        for name, value, seconds in (
            (VISIT, visit.visit, None),
            (DEVICE, visit.device, DEVICE_SECONDS),
        ):
            response.cookie(name, value, seconds=seconds)
            if not self.https:
                response.cookie(FALLBACK[name], value, seconds=seconds, secure=False)

    def keep_session(self, request: Request, response: Response, token: str) -> None:
        """Hand the reference to the browser, under the strict name wherever it keeps that."""
        if self.https or VISIT in request.cookies:
            response.cookie(SESSION, token)
        else:
            response.cookie(FALLBACK[SESSION], token, secure=False)

    def forget_session(self, response: Response) -> None:
        response.cookie(SESSION, "", seconds=0)
        if not self.https:
            response.cookie(FALLBACK[SESSION], "", seconds=0, secure=False)

    def _read(self, cookies: dict[str, str], name: str) -> str:
        """A cookie under its strict name; over plain HTTP also under its fallback."""
        return cookies.get(name) or ("" if self.https else cookies.get(FALLBACK[name], ""))

    def is_fallback(self, request: Request) -> bool:
        """This browser keeps no Secure cookie here."""
        cookies = request.cookies
        return FALLBACK[VISIT] in cookies and VISIT not in cookies


class Chosen(msgspec.Struct, frozen=True):
    """Where somebody wants to work."""

    campus: str = ""
    workplace: str = ""


def new_reference() -> str:
    """128 random bits and more, for a URL-safe cookie value."""
    return secrets.token_urlsafe(24)


def came_by(request: Request) -> CameBy:
    forwarded = any(
        name in request.headers for name in ("x-forwarded-for", "x-forwarded-host", "forwarded")
    )
    return CameBy(host=host_name(request.headers.get("host", "")), is_forwarded=forwarded)
