"""Signing in 登录: the login page, leaving, locking, unlocking, the language."""

from typing import Any
from urllib.parse import quote, unquote

import msgspec

from plugward.commons.identity.contract import (
    DemoOnlyHere,
    DemoPerson,
    NoWorkHere,
    TryLater,
    WeakPassword,
    Welcome,
    WrongCredentials,
)
from plugward.kernel.refusals import BadRequest, Refusal

from .door import LANGUAGE, PLACE, Chosen, Doors, Visit, new_reference
from .frame import Framer
from .guard import check_csrf
from .http import HttpError, Request, Response, local, one, redirect
from .table import Table
from .words import LANGUAGES

_ANSWERED = (
    WrongCredentials,
    TryLater,
    NoWorkHere,
    DemoOnlyHere,
    WeakPassword,
    BadRequest,
)
YEAR_S = 365 * 86_400
SLOTS = 7
_ICONS = {
    "doctor": "stethoscope",
    "nurse": "heart-pulse",
    "cashier": "banknote",
    "pharmacist": "pill",
    "registrar": "clipboard-list",
    "triage-nurse": "users",
    "lab-technician": "flask-conical",
    "manager": "chart-column",
    "steward": "database",
    "integration-engineer": "network",
    "administrator": "settings",
    "screen": "monitor",
}
_FIRST_CHOICE = frozenset({"D10247"})  # the doctor of the tour in the README


class DemoButton(msgspec.Struct, frozen=True):
    key: str
    title: str
    name: str
    icon: str


class SlotShown(msgspec.Struct, frozen=True):
    title: str
    up: bool


class SigningIn:
    """Everything somebody may do before, between and after sessions."""

    paths = frozenset(
        {"/login", "/logout", "/activate", "/portal/lock", "/portal/unlock", "/portal/language"}
    )

    def __init__(self, doors: Doors, framer: Framer, hospital: dict[str, str]) -> None:
        self._doors = doors
        self._framer = framer
        self._hospital = hospital

    async def answer(self, table: Table, request: Request, visit: Visit) -> Response:
        """One of ``paths``."""
        if request.method != "POST":
            if request.path in ("/login", "/activate") and visit.signed is None:
                return await self._page(table, request, visit, _next(request.values()))
            return redirect(_next(request.values()))
        form = await request.form()
        if request.path in ("/login", "/activate"):
            return await self._come_in(table, request, visit, form)
        check_csrf(request, visit.reference, one(form, "_csrf"))
        if request.path == "/portal/unlock":
            return await self._unlock(table, request, visit, form)
        if request.path == "/portal/language":
            return self._language(visit, form)
        return await self._leave(request, visit)

    async def _leave(self, request: Request, visit: Visit) -> Response:
        """Lock the screen, or end the session."""
        if request.path == "/portal/lock":
            await self._doors.lock(request, visit)
            return redirect("/")
        await self._doors.sign_out(request, visit)
        answer = redirect("/login").header("clear-site-data", '"cache"')
        self._doors.forget_session(answer)
        return answer

    async def needed(self, table: Table, request: Request, visit: Visit) -> Response:
        """Somebody not signed in wants a page."""
        if request.is_htmx or request.method == "POST":
            raise HttpError(401, "sign-in-needed")
        if request.path == "/":
            return await self._page(table, request, visit, "/")
        request.route = "login"
        return redirect(f"/login?next={quote(request.path, safe='/')}")

    async def locked(self, table: Table, request: Request, visit: Visit) -> Response:
        """The page is blanked; only unlocking is answered."""
        request.route = "locked"
        if request.is_htmx or request.method == "POST":
            return Response(status=423, kind="").header("x-plugward-login", "locked")
        return await self._page(table, request, visit, request.path, status=423)

    # ── acts ────────────────────────────────────────────────────────────────────────────────
    async def _come_in(
        self, table: Table, request: Request, visit: Visit, form: dict[str, list[str]]
    ) -> Response:
        """Sign in, or set the first password; either way a new session begins."""
        to = _next(form)
        say = table.words.say
        try:
            check_csrf(request, visit.visit, one(form, "_csrf"))
        except HttpError:
            problem = say("login_expired", visit.language)
            return await self._page(table, request, visit, to, status=403, problem=problem)
        if request.path == "/activate" and one(form, "password") != one(form, "again"):
            problem = say("passwords_differ", visit.language)
            return await self._page(table, request, visit, to, status=422, problem=problem)
        place = Chosen(one(form, "campus")[:16], one(form, "workplace")[:80])
        try:
            token = await self._session(request, visit, form, place)
        except _ANSWERED as refusal:
            return await self._failed(table, request, visit, to, refusal, form)
        answer = redirect(to)
        self._doors.keep_session(request, answer, token)
        if one(form, "remember"):
            kept = quote(f"{place.campus}|{place.workplace}")
            answer.cookie(PLACE, kept, seconds=YEAR_S, secure=self._doors.https)
        return answer

    async def _session(
        self, request: Request, visit: Visit, form: dict[str, list[str]], place: Chosen
    ) -> str:
        """The reference of the new session, by the way that was chosen."""
        staff, password = one(form, "staff")[:40], one(form, "password")[:200]
        if request.path == "/activate":
            return await self._doors.activate(
                request, visit, staff_no=staff, code=one(form, "code")[:200], password=password
            )
        role = one(form, "role")[:40]
        if role:
            return await self._doors.demo_sign_in(request, visit, staff_no=role, place=place)
        return await self._doors.sign_in(
            request, visit, staff_no=staff, password=password, place=place
        )

    async def _failed(
        self,
        table: Table,
        request: Request,
        visit: Visit,
        to: str,
        refusal: Refusal,
        form: dict[str, list[str]],
    ) -> Response:
        """The same page again. A wrong name and a wrong password look alike."""
        say = table.words.say
        if isinstance(refusal, TryLater):
            problem = say("login_wait", visit.language).replace("{seconds}", str(refusal.wait_s))
        elif isinstance(refusal, WrongCredentials | BadRequest):
            problem = say("login_failed", visit.language)
        else:
            problem = table.words.refusal(refusal, visit.language)
        status = 401 if isinstance(refusal, BadRequest) else refusal.http_status
        answer = await self._page(
            table, request, visit, to, status=status, problem=problem, staff=one(form, "staff")[:40]
        )
        if isinstance(refusal, TryLater):
            answer.header("retry-after", str(refusal.wait_s))
        return answer

    async def _unlock(
        self, table: Table, request: Request, visit: Visit, form: dict[str, list[str]]
    ) -> Response:
        to = _next(form)
        if visit.locked is None:
            return redirect(to)
        try:
            await self._doors.unlock(request, visit, one(form, "password")[:200])
        except (WrongCredentials, TryLater) as refusal:
            return await self._failed(table, request, visit, to, refusal, form)
        return redirect(to)

    def _language(self, visit: Visit, form: dict[str, list[str]]) -> Response:
        other = LANGUAGES[1] if visit.language == LANGUAGES[0] else LANGUAGES[0]
        answer = redirect(local(one(form, "back") or "/"))
        return answer.cookie(LANGUAGE, other, seconds=YEAR_S, secure=self._doors.https)

    # ── the page ────────────────────────────────────────────────────────────────────────────
    async def _page(
        self,
        table: Table,
        request: Request,
        visit: Visit,
        to: str,
        *,
        status: int = 200,
        problem: str = "",
        staff: str = "",
    ) -> Response:
        request.route = "login"
        known = bool(visit.visit)
        visit.visit = visit.visit or new_reference()
        visit.device = visit.device or new_reference()
        welcome = await self._doors.welcome(request, visit)
        self.learn(welcome)
        scene = self._framer.scene(table, "portal", visit)
        values = self._values(table, request, visit, welcome) | {
            "next": to,
            "problem": problem,
            "staff": staff,
        }
        body = table.renderer.render("portal/login.html", values, scene)
        title = table.words.say("locked" if visit.locked else "login_title", visit.language)
        document = self._framer.bare(table, scene, body, title=title, path=request.path)
        answer = Response(document, status=status)
        if not known or not self._doors.https:
            self._doors.open_visit(answer, visit)
        return answer

    def learn(self, welcome: Welcome) -> None:
        """Keep the names of campuses and departments for the top bar."""
        places = (*welcome.campuses, *welcome.departments)
        self._framer.names = {place.code: (place.name_zh, place.name_en) for place in places}

    def _values(
        self, table: Table, request: Request, visit: Visit, welcome: Welcome
    ) -> dict[str, Any]:
        chinese = visit.language == LANGUAGES[0]
        campus, _, workplace = unquote(request.cookies.get(PLACE, "")).partition("|")
        boards = [part.board.manifest for part in table.plugged.values()]
        shown = sorted(boards, key=lambda m: (m.name in ("identity", "portal"), not m.core))
        return {
            "locked": visit.locked is not None,
            "activating": request.path == "/activate",
            "locked_name": visit.locked.name if visit.locked else "",
            "demo": welcome.is_demo,
            "hospital": self._hospital[visit.language],
            "campus_choices": [
                (p.code, p.name_zh if chinese else p.name_en) for p in welcome.campuses
            ],
            "workplaces": [p.name_zh if chinese else p.name_en for p in welcome.departments],
            "campus": campus,
            "workplace": workplace,
            "remembered": bool(campus or workplace),
            "ask_code": False,
            "fallback": self._doors.is_fallback(request),
            "roles": _one_of_each(welcome, table, visit.language),
            "slots": [
                SlotShown(m.title if chinese else m.title_en[:12], True) for m in shown[:SLOTS]
            ],
            "boards_up": len(boards),
            "services": sum(len(contract.operations) for _, contract in table.contracts()),
        }


def _one_of_each(welcome: Welcome, table: Table, language: str) -> list[DemoButton]:
    """One demo person of each role, in the order a patient meets them."""
    people: dict[str, DemoPerson] = {}
    for person in sorted(welcome.demo_people, key=lambda p: p.staff_no not in _FIRST_CHOICE):
        people.setdefault(person.role, person)
    return [
        DemoButton(
            people[role].staff_no,
            table.words.say(f"role_{role}", language),
            f"{people[role].name} {people[role].title}",
            icon,
        )
        for role, icon in _ICONS.items()
        if role in people
    ]


def _next(values: dict[str, list[str]]) -> str:
    to = local(one(values, "next") or "/")
    return "/" if to.startswith(("/login", "/logout", "/portal/lock", "/portal/unlock")) else to
