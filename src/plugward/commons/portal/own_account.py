"""Own account 我的账号: one's own sessions and password.

The only pages left while a password must be changed, so they ask for no permission of the portal.
"""

from uuid import UUID

from plugward.commons.identity.contract import (
    ChangePassword,
    Identity,
    SamePassword,
    SessionId,
    TryLater,
    WeakPassword,
    WrongCredentials,
)
from plugward.kernel.envelope import acting_as
from plugward.kernel.refusals import BadRequest, Refusal
from plugward.kernel.runtime import Runtime

from .door import Doors, Visit
from .frame import Framer
from .guard import check_csrf
from .http import Request, Response, one, redirect
from .table import Table

PAGE = "/portal/me"
SAID_S = 30


class OwnAccount:
    """What everybody with a session may do about it."""

    paths = frozenset({PAGE, "/portal/me/end", "/portal/password"})

    def __init__(self, runtime: Runtime, doors: Doors, framer: Framer) -> None:
        self._identity: Identity = runtime.client(Identity, caller="portal")
        self._doors = doors
        self._framer = framer

    async def answer(self, table: Table, request: Request, visit: Visit, act: UUID) -> Response:
        """One of ``paths``, as the signed-in person."""
        assert visit.signed is not None
        request.route = request.path
        actor = self._doors.actor(request, visit.signed, visit)
        form = await request.form() if request.method == "POST" else {}
        if request.method == "POST":
            check_csrf(request, visit.reference, one(form, "_csrf"))
        with acting_as(actor, campus=visit.signed.campus, request=act):
            if request.method != "POST" or request.path == PAGE:
                return await self._page(table, visit)
            if request.path == "/portal/password":
                return await self._change(table, visit, form)
            await self._identity.end_my_session(_session(one(form, "session")))
            return redirect(PAGE)

    async def _change(self, table: Table, visit: Visit, form: dict[str, list[str]]) -> Response:
        say = table.words.say
        if one(form, "new") != one(form, "again"):
            problem = say("passwords_differ", visit.language)
            return await self._page(table, visit, problem=problem, status=422)
        wanted = ChangePassword(
            token=visit.token, current=one(form, "current"), new=one(form, "new")
        )
        try:
            await self._identity.change_password(wanted)
        except (WrongCredentials, TryLater, WeakPassword, SamePassword) as refusal:
            return await self._refused(table, visit, refusal)
        done = say("password_changed", visit.language)
        return await self._page(table, visit, done=done)

    async def _refused(self, table: Table, visit: Visit, refusal: Refusal) -> Response:
        sentence = table.words.refusal(refusal, visit.language)
        return await self._page(table, visit, problem=sentence, status=refusal.http_status)

    async def _page(
        self, table: Table, visit: Visit, *, problem: str = "", done: str = "", status: int = 200
    ) -> Response:
        assert visit.signed is not None
        viewer = self._doors.viewer(visit.signed, visit.language)
        scene = self._framer.scene(table, "portal", visit, viewer)
        values = {
            "sessions": await self._identity.my_sessions(),
            "mine": visit.signed.session,
            "must_change": visit.signed.must_change_password and not done,
            "problem": problem,
            "done": done,
        }
        body = table.renderer.render("portal/me.html", values, scene)
        title = table.words.say("my_account", visit.language)
        document = self._framer.framed(
            table, scene, body, page=None, path=PAGE, said=done, title=title
        )
        return Response(document, status=status)


def _session(text: str) -> SessionId:
    try:
        return SessionId(UUID(text))
    except ValueError:
        raise BadRequest(where="session") from None
